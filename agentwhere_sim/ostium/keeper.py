"""The keeper: settles market orders a moment after they were filed, and fires take profits, stops and liquidations.

It works when someone looks and once a second. The fault ``keeper_dead`` makes it pass over orders for good: only their
traders can end those, by the timeout functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from agentwhere_sim.ostium import abi
from agentwhere_sim.ostium.book import CANCELLED, EXECUTED, PENDING, Order, Trade
from agentwhere_sim.ostium.chain import BLOCK_MS
from agentwhere_sim.ostium.contracts import MAX_GAIN_PCT, MAX_LOSS_PCT, WHOLE, trade_tuple
from agentwhere_sim.ostium.market_info import LIQUIDATION_MARGIN_PCT, ORACLE_FEE_USD, rollover_rate
from agentwhere_sim.universe import ostium_pairs

if TYPE_CHECKING:
    from agentwhere_sim.ostium.abi import Log
    from agentwhere_sim.ostium.book import Book
    from agentwhere_sim.ostium.chain import Chain
    from agentwhere_sim.ostium.contracts import Contracts
    from agentwhere_sim.ostium.market_info import Quotes
    from agentwhere_sim.universe import OstiumPair
    from agentwhere_sim.world import World

MARKET_CLOSED, SLIPPAGE, TP_REACHED, SL_REACHED, EXPOSURE_LIMITS, NO_TRADE = 2, 3, 4, 5, 6, 9
TAKE_PROFIT, STOP_LOSS, LIQUIDATION = 0, 1, 2

_KINDS = {TAKE_PROFIT: "TakeProfit", STOP_LOSS: "StopLoss", LIQUIDATION: "Liquidation"}
_USDC = 10**6
_ONE = 10**18
_PERCENT = 10**6
_ORACLE_FEE = int(ORACLE_FEE_USD * _USDC)
_FINEST_STEP_MS = 5_000
_MOST_SAMPLES = 500
_LAST_LOOK = "os_last_look_ms"


@dataclass(frozen=True, slots=True)
class _Value:
    """What a part of a trade comes to at a price."""

    profit_pct: int
    rollover: int
    paid: int
    liquidation_fee: int


class Keeper:
    """Settle orders and watch trades."""

    def __init__(
        self, world: World, chain: Chain, book: Book, contracts: Contracts, quotes: Quotes
    ) -> None:
        self._world = world
        self._chain = chain
        self._book = book
        self._contracts = contracts
        self._quotes = quotes

    def catch_up(self) -> None:
        """Do what is due by now."""
        with self._chain.db.transaction():
            for order in self._book.orders(state=PENDING):
                if not order.is_orphan and order.due_wall_ms <= self._world.wall_ms():
                    self._attend(order)
            now_ms = self._world.now_ms()
            if self._book.trades():
                for instant in self._instants(now_ms):
                    for trade in self._book.trades():
                        if trade.opened_ms <= instant:
                            self._watch(trade, instant)
            self._chain.db.put(_LAST_LOOK, str(now_ms))

    def _attend(self, order: Order) -> None:
        if self._world.faults.take("ostium", ("keeper_dead",)):
            self._book.save_order(replace(order, is_orphan=True))
        elif order.action == "Open":
            self._open(order)
        else:
            self._close(order)

    def _open(self, order: Order) -> None:
        pair = pair_of(order.pair)
        bid, _, ask = self._quotes.quote(pair)
        price = _whole(ask if order.buy else bid)
        reason = self._refusal(order, pair, price)
        if reason:
            logs = [
                self._contracts.pay(order.trader, max(0, order.collateral - _ORACLE_FEE)),
                abi.log(
                    abi.CALLBACKS, "MarketOpenCanceled", order.id, order.trader, order.pair, reason
                ),
            ]
            ended = replace(order, state=CANCELLED, reason=reason, oracle_fee=_ORACLE_FEE)
            self._finish(ended, logs)
            return
        notional = order.collateral * order.leverage // 100
        fee = int(notional * pair.taker_fee_bps / WHOLE)
        collateral = order.collateral - fee - _ORACLE_FEE
        trade = self._registered(order, collateral, price)
        self._book.save_trade(trade)
        executed = abi.log(
            abi.CALLBACKS, "MarketOpenExecuted", order.id, trade_tuple(trade), 0, trade.size
        )
        ended = replace(
            order,
            state=EXECUTED,
            price=price,
            size=trade.size,
            index=trade.index,
            collateral=collateral,
            dev_fee=fee,
            oracle_fee=_ORACLE_FEE,
        )
        self._finish(ended, [executed])

    def _registered(self, order: Order, collateral: int, price: int) -> Trade:
        """Give the trade that an order opens; its stops are brought within the bounds."""
        gain = price * MAX_GAIN_PCT // order.leverage
        loss = price * MAX_LOSS_PCT // order.leverage
        highest_tp, lowest_tp = price + gain, max(0, price - gain)
        tp = min(order.tp, highest_tp) if order.buy else max(order.tp, lowest_tp)
        sl = order.sl
        if sl:
            sl = max(sl, price - loss) if order.buy else min(sl, price + loss)
        now_ms = self._world.now_ms()
        return Trade(
            trade_id=order.id,
            trader=order.trader,
            pair=order.pair,
            index=self._book.free_index(order.trader, order.pair),
            buy=order.buy,
            collateral=collateral,
            leverage=order.leverage,
            open_price=price,
            tp=tp if order.tp else (highest_tp if order.buy else lowest_tp),
            sl=sl,
            size=collateral * order.leverage // 100 * 10**12 * _ONE // price,
            opened_ms=now_ms,
            opened_block=self._chain.block(),
            charged_ms=now_ms,
        )

    def _refusal(self, order: Order, pair: OstiumPair, price: int) -> int:
        """Give the reason not to open a trade, 0 if there is none."""
        if not self._quotes.is_open(pair):
            return MARKET_CLOSED
        if _beyond(order.wanted_price, order.slippage, price, buys=order.buy):
            return SLIPPAGE
        if order.tp and (price >= order.tp if order.buy else price <= order.tp):
            return TP_REACHED
        if order.sl and (price <= order.sl if order.buy else price >= order.sl):
            return SL_REACHED
        notional = order.collateral * order.leverage // 100
        ours = sum(t.notional for t in self._book.trades() if t.pair == order.pair)
        if notional + ours > pair.max_open_interest_usd * _USDC / 2:
            return EXPOSURE_LIMITS
        return 0

    def _close(self, order: Order) -> None:
        pair = pair_of(order.pair)
        trade = self._book.trade(order.trader, order.pair, order.index)
        bid, _, ask = self._quotes.quote(pair)
        reason = 0
        price = 0
        if trade is None or trade.trade_id != order.trade_id:
            reason = NO_TRADE
        elif not self._quotes.is_open(pair):
            reason = MARKET_CLOSED
        else:
            price = _whole(bid if trade.buy else ask)
            if _beyond(order.wanted_price, order.slippage, price, buys=not trade.buy):
                reason = SLIPPAGE
        if trade is None or reason:
            places = (order.pair, order.index)
            told = abi.log(
                abi.CALLBACKS,
                "MarketCloseCanceled",
                order.id,
                order.trade_id,
                order.trader,
                *places,
                reason,
            )
            self._finish(replace(order, state=CANCELLED, reason=reason), [told])
            return
        value = self._value(trade, price, order.share, self._world.now_ms())
        executed = abi.log(
            abi.CALLBACKS,
            "MarketCloseExecutedV2",
            order.id,
            trade.trade_id,
            price,
            0,
            value.profit_pct,
            value.paid,
            order.share,
        )
        self._settle(order, trade, price, value, executed)

    def _watch(self, trade: Trade, at_ms: int) -> None:
        """Fire what a price reaches: the liquidation first, as the worst must not hide behind a stop."""
        pair = pair_of(trade.pair)
        if not self._quotes.is_open(pair, at_ms):
            return
        bid, _, ask = self._quotes.quote(pair, at_ms)
        price = _whole(bid if trade.buy else ask)
        value = self._value(trade, price, WHOLE, at_ms)
        kind = None
        if value.liquidation_fee:
            kind = LIQUIDATION
        elif trade.sl and (price <= trade.sl if trade.buy else price >= trade.sl):
            kind = STOP_LOSS
        elif trade.tp and (price >= trade.tp if trade.buy else price <= trade.tp):
            kind = TAKE_PROFIT
        if kind is not None:
            self._fire(trade, kind, price, value)

    def _fire(self, trade: Trade, kind: int, price: int, value: _Value) -> None:
        order = Order(
            id=self._book.next_id(),
            trader=trade.trader,
            action="Close",
            kind=_KINDS[kind],
            pair=trade.pair,
            index=trade.index,
            trade_id=trade.trade_id,
            buy=trade.buy,
            collateral=trade.collateral,
            leverage=trade.leverage,
            wanted_price=price,
            slippage=0,
            tp=0,
            sl=0,
            share=WHOLE,
            block=self._chain.block(),
            initiated_ms=self._world.now_ms(),
            due_wall_ms=self._world.wall_ms(),
            tx_hash=_seal("trigger", trade.trade_id),
        )
        executed = abi.log(
            abi.CALLBACKS,
            "LimitCloseExecuted",
            order.id,
            trade.trade_id,
            kind,
            price,
            0,
            value.profit_pct,
            value.paid,
        )
        self._settle(order, trade, price, value, executed)

    def _settle(self, order: Order, trade: Trade, price: int, value: _Value, executed: Log) -> None:
        """Close a share of a trade, pay its trader and remember how it went."""
        collateral = trade.collateral * order.share // WHOLE
        is_whole = order.share == WHOLE
        size = trade.size if is_whole else trade.size * order.share // WHOLE
        left = replace(
            trade,
            collateral=trade.collateral - collateral,
            size=trade.size - size,
            is_open=not is_whole,
            close_price=price,
        )
        self._book.save_trade(left)
        logs = [self._contracts.pay(trade.trader, value.paid)] if value.paid else []
        ended = replace(
            order,
            state=EXECUTED,
            price=price,
            size=size,
            collateral=collateral,
            rollover_fee=value.rollover,
            liquidation_fee=value.liquidation_fee,
            profit_pct=value.profit_pct,
            sent=value.paid,
        )
        self._finish(ended, [*logs, executed])

    def _value(self, trade: Trade, price: int, share: int, at_ms: int) -> _Value:
        """Value a share of a trade: below its maintenance margin nothing is left of it."""
        pair = pair_of(trade.pair)
        collateral = trade.collateral * share // WHOLE
        move = price - trade.open_price if trade.buy else trade.open_price - price
        profit_pct = move * trade.leverage * _PERCENT // trade.open_price
        profit_pct = min(profit_pct, MAX_GAIN_PCT * _PERCENT)
        blocks = max(0, at_ms - trade.charged_ms) // BLOCK_MS
        notional = collateral * trade.leverage // 100
        rollover = int(notional * blocks * rollover_rate(pair) / _ONE)
        worth = collateral + collateral * profit_pct // (100 * _PERCENT) - rollover
        margin = (
            collateral * LIQUIDATION_MARGIN_PCT * trade.leverage // (100 * 100 * pair.max_leverage)
        )
        if worth < margin:
            return _Value(profit_pct, rollover, 0, margin)
        return _Value(profit_pct, rollover, worth, 0)

    def _finish(self, order: Order, logs: list[Log]) -> None:
        block = self._chain.open_block()
        tx_hash = _seal("keeper", order.id)
        self._chain.keep_logs(block, tx_hash, logs)
        self._book.save_order(
            replace(
                order,
                executed_ms=self._world.now_ms(),
                executed_block=block,
                executed_tx=tx_hash,
            )
        )

    def _instants(self, now_ms: int) -> list[int]:
        last_ms = int(self._chain.db.get(_LAST_LOOK) or now_ms)
        if last_ms >= now_ms:
            return [now_ms]
        step = max(_FINEST_STEP_MS, (now_ms - last_ms) // _MOST_SAMPLES)
        return [*range(last_ms + step, now_ms, step), now_ms]


def pair_of(pair_id: int) -> OstiumPair:
    """Give a pair by its id. Raises ``KeyError`` if there is none."""
    pairs: dict[int, Any] = {pair.pair_id: pair for pair in ostium_pairs()}
    found: OstiumPair = pairs[pair_id]
    return found


def _beyond(wanted: int, slippage: int, price: int, *, buys: bool) -> bool:
    room = wanted * slippage // WHOLE
    return price > wanted + room if buys else price < wanted - room


def _whole(price: Decimal) -> int:
    return int(price * _ONE)


def _seal(kind: str, number: int) -> str:
    return "0x" + sha256(f"{kind}:{number}".encode()).hexdigest()
