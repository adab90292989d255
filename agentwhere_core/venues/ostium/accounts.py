"""What an account holds and what happened to it: trades and orders from the subgraph, money from the chain.

A subgraph lags behind its chain, and one that stands still looks like an account at rest. So every list is asked for
together with the block that it was made at, and is refused when that block is old.

Positions are known by their trades, fills by the orders that were executed. What a close paid out beside the price is
told apart: rollover and funding are cash flows, the rest is the fee. Collateral + profit - rollover - funding - fee is
what reached the account.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from pydantic import Field, TypeAdapter

from agentwhere_core.domain.enums import CashFlowKind, OrderPurpose, OrderSide, Side, Venue
from agentwhere_core.domain.errors import ServerFaultError
from agentwhere_core.domain.trade import (
    AccountState,
    CashFlow,
    Fill,
    RestingOrder,
    VenueAccount,
    VenuePosition,
)
from agentwhere_core.venues.checked import KeptWire, Wire
from agentwhere_core.venues.ostium import contracts, rules
from agentwhere_core.venues.ostium.markets import Markets, Price
from agentwhere_core.venues.ostium.node import SERVICE, Node
from agentwhere_core.venues.ostium.reader import OpenTrade, Reader
from agentwhere_core.venues.ostium.subgraph import Subgraph
from agentwhere_core.venues.symbols import canonical

_ZERO = Decimal(0)
_TRIGGERS: Final[Mapping[str, OrderPurpose]] = {
    "TakeProfit": OrderPurpose.TAKE_PROFIT,
    "StopLoss": OrderPurpose.STOP_LOSS,
}
_ID_DIGITS: Final = 12
# One minute of Arbitrum's blocks.
_OLDEST_BLOCKS: Final = 240
_TRADE_FIELDS = (
    "tradeID index collateral leverage openPrice isBuy tradeNotional "
    "pair { id from to maxLeverage group { maxLeverage } }"
)
_ORDER_FIELDS = (
    "id tradeID orderType orderAction isBuy price collateral tradeNotional executedAt executedTx devFee vaultFee "
    "oracleFee fundingFee rolloverFee profitPercent amountSentToTrader pair { id from to }"
)


class _Pair(Wire):
    base: str = Field(alias="from")
    quote: str = Field(alias="to")

    @property
    def name(self) -> str:
        """Base and quote, e.g. ``XAU/USD``."""
        return f"{self.base}/{self.quote}"


class _Group(Wire):
    max_leverage: Decimal


class _LeveragedPair(_Pair):
    id: int
    max_leverage: Decimal
    group: _Group


class _Trade(Wire):
    trade_id: int = Field(alias="tradeID")
    index: int
    collateral: Decimal
    leverage: Decimal
    open_price: Decimal
    is_buy: bool
    trade_notional: Decimal
    pair: _LeveragedPair

    @property
    def size(self) -> Decimal:
        """Size in units of the base."""
        return self.trade_notional / rules.ONE

    def profit_usd(self, price: Decimal) -> Decimal:
        """Return the profit at a price, before fees."""
        sign = 1 if self.is_buy else -1
        return self.size * (price - self.open_price / rules.ONE) * sign


class _Order(KeptWire):
    id: str
    order_type: str
    order_action: str
    is_buy: bool
    price: Decimal
    collateral: Decimal
    trade_notional: Decimal
    executed_at: int
    dev_fee: Decimal
    vault_fee: Decimal
    oracle_fee: Decimal
    funding_fee: Decimal
    rollover_fee: Decimal
    profit_percent: Decimal
    amount_sent_to_trader: Decimal
    pair: _Pair

    @property
    def opens(self) -> bool:
        """Whether it opened a trade; otherwise it closed one, or a part."""
        return self.order_action == "Open"

    @property
    def holding_cost_usd(self) -> Decimal:
        """Rollover and funding that were paid at a close."""
        return (self.rollover_fee + self.funding_fee) / rules.USDC

    @property
    def profit_usd(self) -> Decimal:
        """Profit of a close by price alone."""
        return self.collateral * self.profit_percent / rules.HUNDRED / rules.USDC / rules.USDC

    @property
    def fee_usd(self) -> Decimal:
        """What the venue kept beside the price and the cost of holding."""
        if self.opens:
            return (self.dev_fee + self.vault_fee + self.oracle_fee) / rules.USDC
        worth = self.collateral / rules.USDC + self.profit_usd - self.holding_cost_usd
        kept = worth - self.amount_sent_to_trader / rules.USDC
        return max(_ZERO, kept.quantize(1 / rules.USDC))


class _Made(Wire):
    number: int


class _Meta(Wire):
    block: _Made
    has_indexing_errors: bool = False


class _MetaData(Wire):
    liq_margin_threshold_p: Decimal = Field(alias="liqMarginThresholdP")


_TRADES = TypeAdapter(dict[str, list[_Trade]])
_ORDERS = TypeAdapter(dict[str, list[_Order]])
_META = TypeAdapter(dict[str, _Meta])
_THRESHOLD = TypeAdapter(dict[str, list[_MetaData]])


class Accounts:
    """Read accounts of one chain."""

    def __init__(self, subgraph: Subgraph, markets: Markets, node: Node, reader: Reader) -> None:
        self._subgraph = subgraph
        self._markets = markets
        self._node = node
        self._reader = reader

    def state(self, account: VenueAccount, now: datetime) -> AccountState:
        """Return balances and positions, marked at the oracle's mid.

        Raises
        ------
        ServerFaultError
            If the subgraph is behind: what it does not list may exist.
        """
        self._require_fresh()
        trades = self._trades(account.address)
        prices = self._markets.prices() if trades else {}
        threshold = self._liquidation_threshold() if trades else _ZERO
        free = Decimal(self._reader.balance(account.address)) / rules.USDC
        waiting = Decimal(self._reader.waiting_collateral(account.address)) / rules.USDC
        staked = sum(
            (
                trade.collateral / rules.USDC + trade.profit_usd(_mark(trade, prices))
                for trade in trades
            ),
            _ZERO,
        )
        return AccountState(
            address=account.address,
            equity_usd=free + waiting + staked,
            free_margin_usd=free,
            positions=_positions(trades, prices, threshold),
            at=now,
        )

    def resting(self, account: VenueAccount) -> list[RestingOrder]:
        """Return what the account's trades carry, as the contracts hold it; ServerFaultError like `state`."""
        self._require_fresh()
        found: list[RestingOrder] = []
        for trade in self._trades(account.address):
            held = self._reader.trade(account.address, trade.pair.id, trade.index)
            if held is not None and held.trade_id == trade.trade_id:
                found += _resting(trade, held)
        return found

    def fills(self, account: VenueAccount, since: datetime) -> list[Fill]:
        """Return what every executed order of the account came to since ``since``, oldest first.

        Raises
        ------
        ServerFaultError
            If the subgraph is behind.
        """
        self._require_fresh()
        return [_fill(order, account) for order in self._orders(account.address, since)]

    def cash_flows(self, account: VenueAccount, since: datetime) -> list[CashFlow]:
        """Return rollover and funding paid at closes, and USDC that came or went otherwise, oldest first."""
        flows = [
            CashFlow(
                venue=Venue.OSTIUM,
                account_id=account.id,
                reference=f"holding:{order.id}",
                kind=CashFlowKind.FUNDING,
                token=canonical(Venue.OSTIUM, order.pair.name).token,
                amount_usd=-order.holding_cost_usd,
                at=datetime.fromtimestamp(order.executed_at, UTC),
            )
            for order in self._orders(account.address, since)
            if order.holding_cost_usd
        ]
        return sorted(flows + self._transfers(account, since), key=lambda flow: flow.at)

    def _trades(self, trader: str) -> list[_Trade]:
        where = f'where: {{isOpen: true, trader: "{trader.lower()}"}}, orderBy: id'
        return self._subgraph.list("trades", _TRADE_FIELDS, _TRADES, where)

    def _orders(self, trader: str, since: datetime) -> list[_Order]:
        conditions = (
            f'trader: "{trader.lower()}", isPending: false, isCancelled: false, '
            f"executedAt_gte: {int(since.timestamp())}"
        )
        where = f"where: {{{conditions}}}, orderBy: executedAt, orderDirection: asc"
        return self._subgraph.list("orders", _ORDER_FIELDS, _ORDERS, where)

    def _require_fresh(self) -> None:
        query = "query { _meta { block { number } hasIndexingErrors } }"
        newest, meta = self._node.block().number, self._subgraph.read("_meta", query, _META)
        behind = newest - meta.block.number
        if behind > _OLDEST_BLOCKS or meta.has_indexing_errors:
            raise ServerFaultError(
                SERVICE,
                f"the subgraph is {behind} blocks behind its chain"
                f"{' and reports errors' if meta.has_indexing_errors else ''}; "
                "nothing of it is believed until it has caught up",
            )

    def _liquidation_threshold(self) -> Decimal:
        found = self._subgraph.read(
            "metaDatas", "query { metaDatas { liqMarginThresholdP } }", _THRESHOLD
        )
        return found[0].liq_margin_threshold_p if found else _ZERO

    def _transfers(self, account: VenueAccount, since: datetime) -> list[CashFlow]:
        """Return deposits and withdrawals: transfers of USDC that Ostium's contracts have no part in."""
        addresses = self._reader.addresses()
        own = contracts.address_topic(account.address)
        venue = {addresses.trading, addresses.storage, addresses.callbacks, addresses.vault}
        venue -= {contracts.NOBODY}
        first, last = self._first_block(since), self._node.block().number
        flows = []
        for kind, topics in (
            (CashFlowKind.DEPOSIT, [None, [own]]),
            (CashFlowKind.WITHDRAWAL, [[own]]),
        ):
            wanted = [[contracts.topic("Transfer")], *topics]
            for event in self._node.logs([addresses.usdc], wanted, first, last):
                told = contracts.read(event)
                is_deposit = kind is CashFlowKind.DEPOSIT
                other = str(told["from"] if is_deposit else told["to"]).lower()
                if other in venue or other == account.address.lower() or not told["value"]:
                    continue
                amount = Decimal(told["value"]) / rules.USDC
                made = self._node.block(event.block).timestamp_s
                flows.append(
                    CashFlow(
                        venue=Venue.OSTIUM,
                        account_id=account.id,
                        reference=f"transfer:{event.transactionHash}:{event.logIndex}",
                        kind=kind,
                        token=None,
                        amount_usd=amount if is_deposit else -amount,
                        at=datetime.fromtimestamp(made, UTC),
                    )
                )
        return flows

    def _first_block(self, since: datetime) -> int:
        """Return the first block that is not older than ``since``, by halving."""
        wanted = int(since.timestamp())
        last = self._node.block().number
        return bisect_left(
            range(last + 1),
            wanted,
            key=lambda number: self._node.block(number).timestamp_s,
        )


def _positions(
    trades: list[_Trade], prices: Mapping[str, Price], threshold: Decimal
) -> tuple[VenuePosition, ...]:
    """Return one position per token and side: the contracts keep each trade apart, we do not."""
    by_place: dict[tuple[str, bool], list[_Trade]] = {}
    for trade in trades:
        by_place.setdefault((trade.pair.name, trade.is_buy), []).append(trade)
    return tuple(_position(group, prices, threshold) for group in by_place.values())


def _position(
    group: list[_Trade], prices: Mapping[str, Price], threshold: Decimal
) -> VenuePosition:
    first = group[0]
    size = sum((trade.size for trade in group), _ZERO)
    cost = sum((trade.size * trade.open_price / rules.ONE for trade in group), _ZERO)
    collateral = sum((trade.collateral for trade in group), _ZERO) / rules.USDC
    side = Side.LONG if first.is_buy else Side.SHORT
    leverage = cost / collateral if len(group) > 1 else first.leverage / rules.HUNDRED
    highest = (first.pair.max_leverage or first.pair.group.max_leverage) / rules.HUNDRED
    return VenuePosition(
        token=canonical(Venue.OSTIUM, first.pair.name).token,
        market_name=first.pair.name,
        side=side,
        size=size,
        entry_price=cost / size,
        leverage=leverage,
        unrealized_pnl_usd=sum((t.profit_usd(_mark(t, prices)) for t in group), _ZERO),
        liquidation_price=rules.liquidation_price(side, cost / size, leverage, highest, threshold),
    )


def _mark(trade: _Trade, prices: Mapping[str, Price]) -> Decimal:
    price = prices.get(trade.pair.name)
    if price is None or price.mid <= 0:
        raise ServerFaultError(
            SERVICE, f"there is no price for {trade.pair.name}, in which a trade is open"
        )
    return price.mid


def _resting(trade: _Trade, held: OpenTrade) -> list[RestingOrder]:
    """Return the protective prices of a trade; they close all of it."""
    return [
        RestingOrder(
            venue_order_id=f"{held.trade_id}:{purpose}",
            client_id=None,
            token=canonical(Venue.OSTIUM, trade.pair.name).token,
            market_name=trade.pair.name,
            side=OrderSide.SELL if trade.is_buy else OrderSide.BUY,
            size=Decimal(held.size) / rules.ONE,
            purpose=purpose,
            trigger_price=Decimal(price) / rules.ONE,
            reduce_only=True,
            is_carried=True,
        )
        for purpose, price in (
            (OrderPurpose.TAKE_PROFIT, held.take_profit),
            (OrderPurpose.STOP_LOSS, held.stop_loss),
        )
        if price
    ]


def _fill(order: _Order, account: VenueAccount) -> Fill:
    buys = order.is_buy == order.opens
    return Fill(
        venue=Venue.OSTIUM,
        account_id=account.id,
        # Padded, so that fills of one second sort as they were made.
        fill_id=order.id.zfill(_ID_DIGITS),
        venue_order_id=order.id,
        client_id=None,
        token=canonical(Venue.OSTIUM, order.pair.name).token,
        market_name=order.pair.name,
        side=OrderSide.BUY if buys else OrderSide.SELL,
        size=order.trade_notional / rules.ONE,
        price=order.price / rules.ONE,
        fee_usd=order.fee_usd,
        closed_pnl_usd=_ZERO if order.opens else order.profit_usd,
        at=datetime.fromtimestamp(order.executed_at, UTC),
        is_liquidation=order.order_type == "Liquidation",
        raw=order.raw(),
        trigger=_TRIGGERS.get(order.order_type),
    )
