"""Make signed transactions: for entries, exits, protection, and for ending what hangs.

The account's nonce is read from the chain and becomes part of the stored bytes. Of two transactions with one nonce at
most one ever lands, so whatever an earlier one became, a later one never doubles it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from agentwhere_core.domain.enums import OrderPurpose, OrderSide
from agentwhere_core.domain.errors import ConfigurationError, InvariantError, RefusedError
from agentwhere_core.domain.trade import OrderSpec, VenueAccount
from agentwhere_core.venues.ostium import contracts, rules
from agentwhere_core.venues.ostium.contracts import NOBODY
from agentwhere_core.venues.ostium.envelopes import Envelope, Kind, Leg, Named
from agentwhere_core.venues.ostium.node import SERVICE, Node, NodeRefusedError
from agentwhere_core.venues.ostium.reader import OpenTrade, Reader

_TRANSFER_GAS: Final = 21_000
# On Arbitrum the part of the gas that pays for Ethereum moves between estimate and block.
_GAS_MARGIN_PCT: Final = 150
_GAS_STEP: Final = 100_000
_BUMP_PCT: Final = 130
# Thirteen times the price at most, at which even a crowded chain takes a transfer.
_BUMPS: Final = range(1, 11)
_MARKET: Final = 0
_PROTECTION = {
    OrderPurpose.TAKE_PROFIT: (Kind.TAKE_PROFIT, "updateTp"),
    OrderPurpose.STOP_LOSS: (Kind.STOP_LOSS, "updateSl"),
}


@dataclass(frozen=True, slots=True)
class _Draft:
    """A call to be signed, and what it is."""

    kind: Kind
    to: str
    data: str
    details: dict[str, Any]


class Signer:
    """Sign for the accounts of one chain."""

    def __init__(self, node: Node, reader: Reader) -> None:
        self._node = node
        self._reader = reader

    def orders(self, specs: Sequence[OrderSpec], account: VenueAccount, key: str) -> Envelope:
        """Return the signed transactions that place ``specs``: an entry with its protection, or single orders.

        Raises
        ------
        RefusedError
            If the contracts would revert, or there is no trade to close or protect; nothing was sent.
        InvariantError
            If ``specs`` holds two entries.
        """
        first = specs[0]
        if first.purpose is OrderPurpose.ENTRY:
            draft = self._entry(first, specs[1:], account)
            named = tuple(Named(**_names(spec), leg=0) for spec in specs)
            return self._signed([draft], account, key, named)
        drafts = [
            self._exit(spec, account)
            if spec.purpose is OrderPurpose.EXIT
            else self._protection(spec, account, spec.trigger_price)
            for spec in specs
        ]
        named = tuple(Named(**_names(spec), leg=leg) for leg, spec in enumerate(specs))
        return self._signed(drafts, account, key, named)

    def cancel(self, specs: Sequence[OrderSpec], account: VenueAccount, key: str) -> Envelope:
        """Return the signed transactions that take take profits and stop losses off their trade."""
        drafts = [self._protection(spec, account, None) for spec in specs]
        return self._signed(drafts, account, key)

    def approval(self, account: VenueAccount, key: str) -> Envelope | None:
        """Return what lets the storage take the account's USDC, or None if it may.

        Only as much as the account holds is approved.

        Raises
        ------
        ConfigurationError
            If a delegate signs: only the trader's own key can approve.
        """
        held = self._reader.balance(account.address)
        if self._reader.allowance(account.address) >= held:
            return None
        storage = self._reader.addresses().storage
        if _is_delegated(account):
            raise ConfigurationError(
                f"{account.address} has not approved its USDC to Ostium's storage {storage}, and its delegate "
                f"cannot: send approve({storage}, amount) to the USDC contract from that wallet"
            )
        data = contracts.encode("approve", contracts.checksummed(storage), held)
        draft = _Draft(Kind.APPROVE, self._reader.addresses().usdc, data, {})
        return self._signed([draft], account, key)

    def reclaim(self, leg: Leg, order_id: int, account: VenueAccount, key: str) -> Envelope:
        """Return what ends a market order that the keeper never settled: an entry's collateral comes back."""
        data = (
            contracts.encode("openTradeMarketTimeout", order_id)
            if leg.kind is Kind.OPEN
            else contracts.encode("closeTradeMarketTimeout", order_id, False)
        )
        return self._signed([self._draft(Kind.RECLAIM, data, account)], account, key)

    def burn(self, legs: Sequence[Leg], account: VenueAccount, key: str) -> Envelope:
        """Return transfers of nothing to oneself that use up the nonces of ``legs``, at a price that replaces them.

        Where the node holds such a transfer already, which hangs too, the next one is dearer.
        """
        self._check_key(account, key)
        signer = account.signer_address
        # A node may count data that a chain above it charges for; a transfer has none. Rounded up, so that the same
        # transfer is recognized by its hash.
        needed = max(_TRANSFER_GAS, self._gas(signer, signer, "0x"))
        gas = -(-needed // _GAS_STEP) * _GAS_STEP
        enough, _ = self._prices()
        signed = []
        for leg in legs:
            ladder = [self._transfer(leg, bumps, gas, account, key) for bumps in _BUMPS]
            if ladder[-1].max_fee < enough:
                signed.append(self._transfer(leg, _BUMPS[-1], gas, account, key, at_least=enough))
                continue
            held = [n for n, rung in enumerate(ladder) if self._node.holds(rung.tx_hash)]
            next_one = min(held[-1] + 1, len(ladder) - 1) if held else 0
            signed.append(next(rung for rung in ladder[next_one:] if rung.max_fee >= enough))
        return self._envelope(account, signed)

    def _transfer(  # noqa: PLR0917 - what one signed transfer is made of
        self,
        leg: Leg,
        bumps: int,
        gas: int,
        account: VenueAccount,
        key: str,
        at_least: int = 0,
    ) -> Leg:
        """Return a transfer of nothing in the place of ``leg``, its price raised so many times."""
        tip = leg.tip * _BUMP_PCT**bumps // 100**bumps + bumps
        max_fee = max(tip, leg.max_fee * _BUMP_PCT**bumps // 100**bumps + bumps, at_least)
        transaction = self._transaction(account.signer_address, "0x", leg.nonce, (max_fee, tip))
        raw = _sign(transaction | {"gas": gas}, key)
        return Leg(kind=Kind.BURN, raw=raw, nonce=leg.nonce, max_fee=max_fee, tip=tip)

    def _entry(
        self, entry: OrderSpec, protection: Sequence[OrderSpec], account: VenueAccount
    ) -> _Draft:
        data, stake = entry_call(entry, protection, account.address)
        details = {
            "pair": entry.market_index,
            "take_profit": stake.take_profit,
            "stop_loss": stake.stop_loss,
        }
        return self._draft(Kind.OPEN, data, account, details)

    def _exit(self, spec: OrderSpec, account: VenueAccount) -> _Draft:
        trade = self._trade_of(spec, account)
        share = rules.closing_share(spec.size, trade.size)
        price = rules.whole(spec.limit_price)
        data = contracts.encode("closeTradeMarket", trade.pair, trade.index, share, price, 0)
        details = _place(trade) | {"size": rules.part_of(trade.size, share)}
        return self._draft(Kind.CLOSE, data, account, details)

    def _protection(self, spec: OrderSpec, account: VenueAccount, price: Decimal | None) -> _Draft:
        trade = self._trade_of(spec, account)
        kind, function = _PROTECTION[spec.purpose]
        wanted = 0 if price is None else rules.whole(price)
        data = contracts.encode(function, trade.pair, trade.index, wanted)
        field = "take_profit" if kind is Kind.TAKE_PROFIT else "stop_loss"
        return self._draft(kind, data, account, _place(trade) | {field: wanted})

    def _trade_of(self, spec: OrderSpec, account: VenueAccount) -> OpenTrade:
        """Return the one trade that a closing order is about; indexes are used again, ids are not."""
        wants_buy = spec.side is OrderSide.SELL
        trades = self._reader.trades(account.address, spec.market_index)
        found = [trade for trade in trades if trade.is_buy == wants_buy]
        if len(found) == 1:
            return found[0]
        raise RefusedError(
            SERVICE,
            f"{account.address} holds {len(found)} {'long' if wants_buy else 'short'} trades in "
            f"{spec.market_name}, one is needed to act on; nothing was sent. Compare its trades with ours, and "
            "close by hand what was opened outside",
        )

    def _draft(
        self, kind: Kind, data: str, account: VenueAccount, details: dict[str, Any] | None = None
    ) -> _Draft:
        """Return a call of the trading contract, by the trader or in the trader's name."""
        if _is_delegated(account):
            inner = bytes.fromhex(data.removeprefix("0x"))
            data = contracts.encode(
                "delegatedAction", contracts.checksummed(account.address), inner
            )
        return _Draft(kind, self._reader.addresses().trading, data, details or {})

    def _signed(
        self,
        drafts: Sequence[_Draft],
        account: VenueAccount,
        key: str,
        named: tuple[Named, ...] = (),
    ) -> Envelope:
        self._check_key(account, key)
        signer = account.signer_address
        nonce = self._node.nonce(signer)
        if self._node.nonce(signer, "pending") > nonce:
            raise RefusedError(
                SERVICE,
                f"a transaction of {signer} with nonce {nonce} still waits for a block; nothing was sent. "
                "The next tick goes on when it is settled",
            )
        prices = self._prices()
        legs = []
        for offset, draft in enumerate(drafts):
            transaction = self._transaction(draft.to, draft.data, nonce + offset, prices)
            transaction["gas"] = self._gas(signer, draft.to, draft.data)
            legs.append(
                Leg(
                    kind=draft.kind,
                    raw=_sign(transaction, key),
                    nonce=nonce + offset,
                    max_fee=prices[0],
                    tip=prices[1],
                    **draft.details,
                )
            )
        return self._envelope(account, legs, named)

    def _envelope(
        self, account: VenueAccount, legs: Sequence[Leg], named: tuple[Named, ...] = ()
    ) -> Envelope:
        return Envelope(
            chain_id=self._node.chain_id,
            signer=account.signer_address.lower(),
            trader=account.address.lower(),
            legs=tuple(legs),
            orders=named,
        )

    def _transaction(
        self, to: str, data: str, nonce: int, prices: tuple[int, int]
    ) -> dict[str, Any]:
        return {
            "type": 2,
            "chainId": self._node.chain_id,
            "nonce": nonce,
            "to": contracts.checksummed(to),
            "value": 0,
            "data": data,
            "maxFeePerGas": prices[0],
            "maxPriorityFeePerGas": prices[1],
        }

    def _prices(self) -> tuple[int, int]:
        """Return the most to pay per gas, and the tip: twice the base fee outlasts six full blocks."""
        tip = max(1, self._node.tip())
        return 2 * self._node.block().base_fee + tip, tip

    def _gas(self, sender: str, to: str, data: str) -> int:
        try:
            needed = self._node.gas(sender, to, data)
        except NodeRefusedError as error:
            name = contracts.revert_name(error.data)
            raise RefusedError(
                SERVICE,
                f"the contract would refuse: {name or error.said}; nothing was sent for {sender}",
            ) from error
        return needed * _GAS_MARGIN_PCT // 100

    def _check_key(self, account: VenueAccount, key: str) -> None:
        from eth_account import Account

        self._node.require_chain()
        address = str(Account.from_key(key).address)
        if address.lower() != account.signer_address.lower():
            raise ConfigurationError(
                f"the key {account.key_name} belongs to {address}, not to {account.signer_address}: "
                "store the right key under that name; nothing was signed"
            )


def entry_call(
    entry: OrderSpec, protection: Sequence[OrderSpec], trader: str
) -> tuple[str, rules.Stake]:
    """Return the call that opens a trade with its protection, and what it puts in.

    Raises
    ------
    InvariantError
        If ``protection`` holds anything but one take profit and one stop loss.
    """
    prices: dict[OrderPurpose, Decimal | None] = {}
    for spec in protection:
        if spec.purpose not in _PROTECTION or spec.purpose in prices:
            raise InvariantError(
                f"an entry at Ostium carries one take profit and one stop loss, not a {spec.purpose}"
            )
        prices[spec.purpose] = spec.trigger_price
    stake = rules.stake(
        entry, prices.get(OrderPurpose.TAKE_PROFIT), prices.get(OrderPurpose.STOP_LOSS)
    )
    trade = (
        stake.collateral,
        stake.price,
        stake.take_profit,
        stake.stop_loss,
        contracts.checksummed(trader),
        stake.leverage,
        entry.market_index,
        0,
        entry.side is OrderSide.BUY,
        False,
    )
    # The wanted price is the worst one, so no slippage is granted beyond it.
    return contracts.encode("openTrade", trade, (NOBODY, 0), _MARKET, 0), stake


def _sign(transaction: dict[str, Any], key: str) -> str:
    from eth_account import Account

    return str(Account.sign_transaction(transaction, key).raw_transaction.to_0x_hex())


def _names(spec: OrderSpec) -> dict[str, Any]:
    return {"client_id": spec.client_id, "purpose": spec.purpose, "size": spec.size}


def _place(trade: OpenTrade) -> dict[str, Any]:
    return {"pair": trade.pair, "index": trade.index, "trade_id": trade.trade_id}


def _is_delegated(account: VenueAccount) -> bool:
    return account.signer_address.lower() != account.address.lower()
