"""Ostium as the flow sees it: `venues.protocol.MarketData`, and `Execution` where a chain is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from agentwhere_core.domain.enums import OrderSide, OrderState, Venue
from agentwhere_core.domain.errors import (
    ConfigurationError,
    InvariantError,
    RefusedError,
    RemoteError,
    TimedOutError,
)
from agentwhere_core.domain.market import Book, Candle, Market, Quote
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import (
    AccountState,
    CashFlow,
    Fill,
    OrderReport,
    OrderSpec,
    RestingOrder,
    VenueAccount,
)
from agentwhere_core.http import HttpClient
from agentwhere_core.venues.ostium import rules
from agentwhere_core.venues.ostium.accounts import Accounts
from agentwhere_core.venues.ostium.envelopes import Envelope, Kind, Leg, read_envelope
from agentwhere_core.venues.ostium.markets import Markets
from agentwhere_core.venues.ostium.node import (
    SERVICE,
    Node,
    NodeRefusedError,
    OstiumChain,
    Receipt,
)
from agentwhere_core.venues.ostium.outcomes import Absence, Outcomes
from agentwhere_core.venues.ostium.reader import Reader
from agentwhere_core.venues.ostium.signing import Signer
from agentwhere_core.venues.ostium.subgraph import Subgraph

# A node says these of bytes that it has, or whose nonce is used: the receipt tells which.
_HAS_ARRIVED: Final = ("already known", "already imported", "known transaction", "nonce too low")


class _Desk:
    """Everything that trading needs, on one chain."""

    def __init__(self, http: HttpClient, chain: OstiumChain, markets: Markets) -> None:
        self.node = Node(http, chain.rpc_url, chain.chain_id)
        self.reader = Reader(self.node, chain.trading)
        self.signer = Signer(self.node, self.reader)
        self.outcomes = Outcomes(self.node, self.reader)
        subgraph = Subgraph(http, chain.subgraph_url)
        self.accounts = Accounts(subgraph, markets, self.node, self.reader)


class Ostium:
    """Pairs, prices and, given a chain, trades of Ostium.

    Parameters
    ----------
    http
        Connections, with the hosts that may be reached.
    data_url, subgraph_url
        Base URL of prices and hours, and address of the subgraph.
    chain
        Where to trade; without it the adapter only reads (``can_execute`` is False).
    default_oracle_fee_usd
        Fee per trade to assume where the subgraph does not state it.
    receipt_wait_s, settle_wait_s
        How long `send` waits for a block, and then for the keeper. What takes longer is looked up later.
    pause
        How to wait between two looks.
    """

    venue: Venue = Venue.OSTIUM

    def __init__(
        self,
        http: HttpClient,
        *,
        data_url: str,
        subgraph_url: str,
        chain: OstiumChain | None = None,
        default_oracle_fee_usd: Decimal = Decimal("0.10"),
        receipt_wait_s: float = 8.0,
        settle_wait_s: float = 6.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._markets = Markets(
            http,
            data_url=data_url,
            subgraph=Subgraph(http, subgraph_url),
            default_oracle_fee_usd=default_oracle_fee_usd,
        )
        self._trading = None if chain is None else _Desk(http, chain, self._markets)
        self._receipt_wait_s = receipt_wait_s
        self._settle_wait_s = settle_wait_s
        self._pause = pause
        self.can_execute: bool = chain is not None

    def list_markets(self, now: datetime) -> list[Market]:
        """Return every pair with its price, and for closed ones when they open.

        Raises
        ------
        RefusedError
            If the subgraph answers with an error.
        """
        return self._markets.list_markets(now, self._gas_price())

    def _gas_price(self) -> int:
        """Return what the chain asks for gas, in wei; 0 where nobody trades or the node does not answer.

        The list of markets must not fail for it: what gas costs only ranks venues.
        """
        if self._trading is None:
            return 0
        try:
            return self._trading.node.block().base_fee + self._trading.node.tip()
        except RemoteError:
            return 0

    def quotes(self, markets: Sequence[Market], now: datetime) -> dict[str, Quote]:  # noqa: ARG002
        """Return the oracle's bid and ask by token: one request. Quotes carry the oracle's own time."""
        return self._markets.quotes(markets)

    def book(self, market: Market, now: datetime) -> Book | None:  # noqa: ARG002
        """Return None: an oracle makes the price, and there is no book."""
        return None

    def candles(
        self,
        market: Market,  # noqa: ARG002
        interval: str,  # noqa: ARG002
        start: datetime,  # noqa: ARG002
        end: datetime,  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> list[Candle]:
        """Return nothing: the venue publishes no history."""
        return []

    def entry(
        self,
        market: Market,
        side: OrderSide,
        notional_usd: Decimal,
        quote: Quote,
        max_slippage_bps: Decimal,
    ) -> tuple[Decimal, Decimal]:
        """Return (size, limit price) of an entry worth at most ``notional_usd``; size 0 if below the pair's minimum."""
        price = quote.ask if side is OrderSide.BUY else quote.bid
        limit = rules.limit_price(side, price, max_slippage_bps)
        return rules.entry_size(notional_usd, price, limit, market.min_notional_usd), limit

    def round_price(self, market: Market, price: Decimal) -> Decimal:  # noqa: ARG002
        """Return ``price`` with a finite number of figures; the venue has no tick."""
        return rules.round_price(price)

    def limit_price(
        self,
        market: Market,  # noqa: ARG002
        side: OrderSide,
        reference: Decimal,
        max_slippage_bps: Decimal,
    ) -> Decimal:
        """Return the worst price within the bound; protection at Ostium has no limit and ignores it."""
        return rules.limit_price(side, reference, max_slippage_bps)

    def sign_orders(
        self,
        specs: Sequence[OrderSpec],
        account: VenueAccount,
        key: str,
        nonce: int,  # noqa: ARG002 - the chain counts for itself
        deadline: datetime,  # noqa: ARG002 - a transaction has none
    ) -> bytes:
        """Return the signed transactions that place ``specs``, with their client ids; see `signing.Signer.orders`."""
        return self._desk.signer.orders(specs, account, key).to_bytes()

    def sign_cancel(
        self,
        specs: Sequence[OrderSpec],
        account: VenueAccount,
        key: str,
        nonce: int,  # noqa: ARG002
        deadline: datetime,  # noqa: ARG002
    ) -> bytes:
        """Return the signed transactions that take protection off its trade; market orders cannot be cancelled."""
        return self._desk.signer.cancel(specs, account, key).to_bytes()

    def sign_leverage(  # noqa: PLR0917 - the same tail of arguments as its siblings
        self,
        market: Market,  # noqa: ARG002
        leverage: int,  # noqa: ARG002 - it travels with the order
        account: VenueAccount,
        key: str,
        nonce: int,  # noqa: ARG002
        deadline: datetime,  # noqa: ARG002
    ) -> bytes | None:
        """Return the approval of the account's USDC that an entry needs, or None if it stands."""
        envelope = self._desk.signer.approval(account, key)
        return None if envelope is None else envelope.to_bytes()

    def next_nonce(self, account: VenueAccount) -> int | None:  # noqa: ARG002
        """Return None: the chain's own nonce is read at signing and kept in the payload."""
        return None

    def deadline(self, now: datetime, usual: timedelta) -> datetime:
        """Return ``now`` plus ``usual``: a transaction has no deadline, so ours says when it is given up."""
        return now + usual

    def is_void(self, account: VenueAccount, payload: bytes) -> bool:  # noqa: ARG002
        """Return whether none of the stored transactions can ever act: others used up their nonces."""
        envelope = read_envelope(payload)
        fates = [self._desk.outcomes.fate(envelope, leg) for leg in envelope.legs]
        return all(fate is Absence.NEVER for fate in fates)

    def sign_abort(self, account: VenueAccount, key: str, payload: bytes) -> bytes | None:
        """Return what ends a submission that hangs, or None if there is nothing to end (yet).

        Nonces of transactions that may still arrive are used up, so that they never do. Market orders that the keeper
        left alone until their timeout are reclaimed. Ask for it only when the submission's time is over.
        """
        desk, envelope = self._desk, read_envelope(payload)
        may_arrive = [
            leg for leg in envelope.legs if desk.outcomes.fate(envelope, leg) is Absence.MAY_ARRIVE
        ]
        if may_arrive:
            return desk.signer.burn(may_arrive, account, key).to_bytes()
        for leg in envelope.legs:
            fate = desk.outcomes.fate(envelope, leg)
            if leg.kind not in {Kind.OPEN, Kind.CLOSE} or not isinstance(fate, Receipt):
                continue
            if not fate.succeeded:
                continue
            filed = desk.outcomes.filed(leg, fate)
            if desk.outcomes.settlement(leg, filed) is None and desk.outcomes.is_timed_out(filed):
                return desk.signer.reclaim(leg, filed.order_id, account, key).to_bytes()
        return None

    def send(self, payload: bytes, client_ids: Sequence[str], now: datetime) -> list[OrderReport]:  # noqa: ARG002
        """Broadcast stored transactions, wait a little, and say what became of them.

        See `venues.protocol.Execution.send`. An order that is filed and not settled yet is ACKED.

        Raises
        ------
        TimedOutError
            If a transaction got into no block in time, or its nonce was used: whether it acts is looked up.
        """
        desk, envelope = self._desk, read_envelope(payload)
        for position, leg in enumerate(envelope.legs):
            try:
                desk.node.broadcast(leg.raw)
            except NodeRefusedError as error:
                if any(words in error.said.lower() for words in _HAS_ARRIVED):
                    continue
                if not client_ids:
                    raise
                if position > 0:
                    raise TimedOutError(SERVICE, f"only a part was taken in: {error}") from error
                return [_refused(client_id, error) for client_id in client_ids]
        receipts = [self._await_receipt(envelope, leg) for leg in envelope.legs]
        if not client_ids:
            _require_success(envelope, receipts)
            return []
        return self._await_settlement(envelope, client_ids)

    def look_up(self, account: VenueAccount, client_id: str, payload: bytes) -> OrderReport | None:
        """Return what became of an order, by the hash of its stored transaction.

        None while the transaction is in no block: it may still arrive, until `is_void` says otherwise.
        """
        envelope = read_envelope(payload)
        if envelope.trader != account.address.lower():
            raise InvariantError(f"order {client_id} was signed for {envelope.trader}")
        return self._desk.outcomes.report(envelope, client_id)

    def account_state(self, account: VenueAccount, now: datetime) -> AccountState:
        """Return balances and positions; see `accounts.Accounts.state`."""
        return self._desk.accounts.state(account, now)

    def resting_orders(self, account: VenueAccount) -> list[RestingOrder]:
        """Return the protective prices of open trades; limit orders are not placed here and not read."""
        return self._desk.accounts.resting(account)

    def fills(self, account: VenueAccount, since: datetime) -> list[Fill]:
        """Return what executed orders came to since ``since``, oldest first."""
        return self._desk.accounts.fills(account, since)

    def cash_flows(self, account: VenueAccount, since: datetime) -> list[CashFlow]:
        """Return cost of holding, deposits and withdrawals since ``since``, oldest first."""
        return self._desk.accounts.cash_flows(account, since)

    @property
    def _desk(self) -> _Desk:
        if self._trading is None:
            raise ConfigurationError(
                "this profile only reads Ostium: give it a chain to trade on, and on mainnet switch it on"
            )
        return self._trading

    def _await_receipt(self, envelope: Envelope, leg: Leg) -> Receipt:
        for wait_s in _waits(self._receipt_wait_s):
            fate = self._desk.outcomes.fate(envelope, leg)
            if isinstance(fate, Receipt):
                return fate
            if fate is Absence.NEVER:
                raise TimedOutError(
                    SERVICE,
                    f"nonce {leg.nonce} of {envelope.signer} was used by another transaction than {leg.tx_hash}; "
                    "the next lookup settles it",
                )
            self._pause(wait_s)
        raise TimedOutError(
            SERVICE,
            f"transaction {leg.tx_hash} got into no block within {self._receipt_wait_s} s: whether it will is "
            "unknown until its nonce is used",
        )

    def _await_settlement(self, envelope: Envelope, client_ids: Sequence[str]) -> list[OrderReport]:
        """Ask until the market order is settled, or patience ends; protection follows its entry."""
        first, *rest = client_ids
        report = self._report(envelope, first)
        named, leg = envelope.order(first)
        if leg.kind in {Kind.OPEN, Kind.CLOSE}:
            for wait_s in _waits(self._settle_wait_s):
                if report.state is not OrderState.ACKED:
                    break
                self._pause(wait_s)
                report = self._report(envelope, named.client_id)
        return [report, *(self._report(envelope, client_id) for client_id in rest)]

    def _report(self, envelope: Envelope, client_id: str) -> OrderReport:
        report = self._desk.outcomes.report(envelope, client_id)
        if report is None:
            raise TimedOutError(SERVICE, f"the receipt of order {client_id} disappeared")
        return report


def _waits(total_s: float) -> list[float]:
    """Return pauses that grow from a tenth of a second and add up to ``total_s``."""
    waits: list[float] = []
    step = 0.1
    while sum(waits) < total_s:
        waits.append(min(step, total_s - sum(waits)))
        step = min(1.0, step * 1.5)
    return waits


def _require_success(envelope: Envelope, receipts: Sequence[Receipt]) -> None:
    for leg, receipt in zip(envelope.legs, receipts, strict=True):
        if not receipt.succeeded:
            raise RefusedError(
                SERVICE,
                f"transaction {leg.tx_hash} ({leg.kind}) was reverted in block {receipt.block}",
            )


def _refused(client_id: str, error: RefusedError) -> OrderReport:
    return OrderReport(
        client_id=client_id,
        state=OrderState.REJECTED,
        reason=Reason.VENUE_REJECTED,
        venue_order_id=None,
        filled_size=Decimal(0),
        average_price=None,
        detail=str(error),
        raw={},
    )
