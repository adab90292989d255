"""Carry out orders: match them against the book of the instant, arm what they trigger, cancel what has lost its sense.

Whatever the sequencer brings here becomes an order with a final word of its own: a market order that finds nothing
within its price ends ``canceled-too-much-slippage``, one that lacks margin ``canceled-margin-not-allowed``, and so on.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_sim import perps
from agentwhere_sim.lighter import transactions as tx
from agentwhere_sim.lighter.book import LEVELS
from agentwhere_sim.lighter.ledger import FILLED, OPEN, PENDING, Order, Trade
from agentwhere_sim.universe import lighter_by_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentwhere_sim.lighter.book import Quotes
    from agentwhere_sim.lighter.ledger import Ledger, Transaction
    from agentwhere_sim.lighter.margin import Margins
    from agentwhere_sim.lighter.transactions import OrderInfo, TxInfo

AFTER_PARENT, AT_MARK, NO_TRIGGER, READY = "parent-order", "mark-price", "na", "ready"
_PERCENT = Decimal(100)
_USDC = Decimal("0.000001")
_ZERO = Decimal(0)


class Engine:
    """Match orders against the book of the instant."""

    def __init__(self, ledger: Ledger, quotes: Quotes, margins: Margins) -> None:
        self._ledger = ledger
        self._quotes = quotes
        self._margins = margins

    def place(self, info: TxInfo, source: Transaction, lifetime_ms: int, at_ms: int) -> None:
        """Place the orders of a transaction: one, or a group.

        ``lifetime_ms`` is how much longer than the signer's clock the simulated clock counts.
        """
        placed: list[Order] = []
        for wish in info.orders:
            order = self._new(wish, source, lifetime_ms, at_ms)
            if info.grouping == tx.CANCELS_ONE and placed:
                order.parent_index = placed[0].order_index
                placed[0].parent_index = order.order_index
                self._ledger.save(placed[0])
            elif info.grouping and placed:
                order.parent_index = placed[0].order_index
                order.trigger_status = AFTER_PARENT
            self._ledger.save(order)
            placed.append(order)
        for order in placed:
            if order.trigger_status == NO_TRIGGER:
                self._match(order, at_ms)

    def cancel(self, order: Order, status: str, at_ms: int) -> None:
        """Cancel a live order, and the children that still wait for it."""
        self._end(order, status, at_ms)
        self._follow_parent(order, at_ms)

    def try_trigger(self, order: Order, at_ms: int) -> None:
        """Execute a trigger whose price was reached, within its own price bound."""
        market = lighter_by_id()[order.market_id]
        mark = self._quotes.mid(market, at_ms)
        is_stop = order.type in tx.STOPS
        if order.trigger_price is None or not perps.fires(
            order.trigger_price, mark, is_buy=not order.is_ask, is_stop=is_stop
        ):
            return
        order.trigger_status = READY
        order.status = OPEN
        order.remaining = self._reducible(order)
        self._match(order, at_ms)

    def try_resting(self, order: Order, at_ms: int) -> None:
        """Fill a resting order that the market has come to, at its own price."""
        bid, ask = self._quotes.top(lighter_by_id()[order.market_id], at_ms)
        if (bid < order.price) if order.is_ask else (ask > order.price):
            return
        size = self._reducible(order)
        if size == 0:
            self.cancel(order, "canceled-reduce-only", at_ms)
            return
        self._fill(order, [(order.price, size)], at_ms, is_maker=True)

    def close_by_force(self, account: int, market_id: int, price: Decimal, at_ms: int) -> None:
        """Liquidate a position at ``price``."""
        held = self._ledger.position(account, market_id).held
        order = Order(
            order_index=self._ledger.next_order_index(),
            account_index=account,
            market_id=market_id,
            client_index=0,
            is_ask=held > 0,
            type=8,
            tif=tx.IMMEDIATE,
            reduce_only=True,
            price=price,
            initial=abs(held),
            remaining=abs(held),
            filled_base=_ZERO,
            filled_quote=_ZERO,
            trigger_price=None,
            expires_ms=0,
            status=OPEN,
            trigger_status=NO_TRIGGER,
            parent_index=0,
            nonce=0,
            created_ms=at_ms,
            updated_ms=at_ms,
            tx_hash="",
        )
        self._fill(order, [(price, abs(held))], at_ms, kind="liquidation")

    def _new(self, wish: OrderInfo, source: Transaction, lifetime_ms: int, at_ms: int) -> Order:
        market = lighter_by_id()[wish.market_id]
        price = Decimal(wish.price).scaleb(-market.price_decimals)
        size = Decimal(wish.base_amount).scaleb(-market.size_decimals)
        trigger = Decimal(wish.trigger_price).scaleb(-market.price_decimals)
        return Order(
            order_index=self._ledger.next_order_index(),
            account_index=source.account_index,
            market_id=wish.market_id,
            client_index=wish.client_index,
            is_ask=wish.is_ask,
            type=wish.type,
            tif=wish.tif,
            reduce_only=wish.reduce_only,
            price=price,
            initial=size,
            remaining=size,
            filled_base=_ZERO,
            filled_quote=_ZERO,
            trigger_price=trigger if wish.trigger_price else None,
            expires_ms=wish.expires_ms + lifetime_ms if wish.expires_ms else 0,
            status=PENDING if wish.trigger_price else OPEN,
            trigger_status=AT_MARK if wish.trigger_price else NO_TRIGGER,
            parent_index=0,
            nonce=source.nonce,
            created_ms=at_ms,
            updated_ms=at_ms,
            tx_hash=source.hash,
        )

    def _match(self, order: Order, at_ms: int) -> None:
        """Take from the book what the order may, and decide what becomes of the rest."""
        market = lighter_by_id()[order.market_id]
        is_buy = not order.is_ask
        bid, ask = self._quotes.top(market, at_ms)
        crosses = order.price >= ask if is_buy else order.price <= bid
        wanted = self._reducible(order)
        if order.reduce_only and wanted == 0:
            self.cancel(order, "canceled-reduce-only", at_ms)
            return
        if order.tif == tx.POST_ONLY and crosses:
            self.cancel(order, "canceled-post-only", at_ms)
            return
        change = wanted if is_buy else -wanted
        # What the order itself reserves while it is open must not count against it.
        order.status = "in-progress"
        self._ledger.save(order)
        if not order.reduce_only and not self._margins.affords(
            order.account_index, market, change, ask if is_buy else bid, at_ms
        ):
            self.cancel(order, "canceled-margin-not-allowed", at_ms)
            return
        order.status = OPEN
        levels = self._quotes.side(market, at_ms, asks=is_buy, limit=LEVELS)
        executed = perps.walk(levels, wanted, order.price, is_buy=is_buy)
        self._fill(order, executed, at_ms)
        if order.status == OPEN and order.tif == tx.IMMEDIATE:
            ran_dry = len(executed) == len(levels)
            why = "canceled-not-enough-liquidity" if ran_dry else "canceled-too-much-slippage"
            self.cancel(order, why, at_ms)

    def _fill(
        self,
        order: Order,
        executed: Sequence[tuple[Decimal, Decimal]],
        at_ms: int,
        *,
        is_maker: bool = False,
        kind: str = "trade",
    ) -> None:
        """Book executions of an order, and what follows for the orders round it."""
        for price, size in executed:
            self._execute(order, price, size, at_ms, is_maker=is_maker, kind=kind)
        if executed and order.remaining == 0:
            order.status = FILLED
        order.updated_ms = at_ms
        self._ledger.save(order)
        if executed:
            self._follow_parent(order, at_ms)
            self._clear_up(order, at_ms)

    def _execute(
        self, order: Order, price: Decimal, size: Decimal, at_ms: int, *, is_maker: bool, kind: str
    ) -> None:
        market = lighter_by_id()[order.market_id]
        position = self._ledger.position(order.account_index, order.market_id)
        before = position.held
        moved = perps.move(before, position.entry_px, -size if order.is_ask else size, price)
        pnl = moved.pnl.quantize(_USDC)
        rate = Decimal(market.maker_fee if is_maker else market.taker_fee) / _PERCENT
        fee = (price * size * rate).quantize(_USDC)
        position.held, position.entry_px = moved.held, moved.entry_px
        position.realized += pnl
        self._ledger.save(position)
        self._ledger.credit(order.account_index, pnl - fee)
        order.remaining = max(order.remaining - size, _ZERO)
        order.filled_base += size
        order.filled_quote += price * size
        self._ledger.save(
            Trade(
                trade_id=self._ledger.next_trade_id(),
                account_index=order.account_index,
                order_index=order.order_index,
                client_index=order.client_index,
                market_id=order.market_id,
                is_ask=order.is_ask,
                is_maker=is_maker,
                price=price,
                size=size,
                fee=fee,
                pnl=pnl,
                held_before=before,
                type=kind,
                time_ms=at_ms,
                tx_hash=order.tx_hash,
            )
        )

    def _reducible(self, order: Order) -> Decimal:
        """Give how much of an order may execute: all of it, or what its reduce-only flag leaves of the position."""
        if not order.reduce_only:
            return order.remaining
        held = self._ledger.position(order.account_index, order.market_id).held
        if held == 0 or (held > 0) != order.is_ask:
            return _ZERO
        return abs(held) if order.is_tied else min(order.remaining, abs(held))

    def _follow_parent(self, parent: Order, at_ms: int) -> None:
        """Arm the children of an order that has filled, in whole or in part; end those of one that never will."""
        if parent.status == OPEN:
            return
        for child in self._ledger.live_orders(parent.account_index):
            if child.parent_index == parent.order_index and child.trigger_status == AFTER_PARENT:
                if parent.filled_base:
                    child.trigger_status = AT_MARK
                    child.updated_ms = at_ms
                    self._ledger.save(child)
                else:
                    self._end(child, "canceled-child", at_ms)

    def _clear_up(self, filled: Order, at_ms: int) -> None:
        """End the sibling of a trigger that executed, and what was tied to a position that is gone.

        A trigger with an amount of its own stays, and may hit a later position: whoever placed it must cancel it.
        """
        held = self._ledger.position(filled.account_index, filled.market_id).held
        for order in self._ledger.live_orders(filled.account_index):
            if order.market_id != filled.market_id or order.order_index == filled.order_index:
                continue
            if filled.type in tx.TRIGGERS and _are_siblings(filled, order):
                self._end(order, "canceled-oco", at_ms)
            elif order.reduce_only and order.trigger_status != AFTER_PARENT:
                opposes = held != 0 and (held > 0) == order.is_ask
                rests = order.type not in tx.TRIGGERS
                if not opposes and (order.is_tied or rests):
                    self._end(order, "canceled-reduce-only", at_ms)

    def _end(self, order: Order, status: str, at_ms: int) -> None:
        order.status, order.updated_ms = status, at_ms
        self._ledger.save(order)


def _are_siblings(one: Order, other: Order) -> bool:
    """Tell whether one of two triggers cancels the other: a pair, or two children of one order."""
    if not one.parent_index or not other.parent_index:
        return False
    return one.parent_index in (other.order_index, other.parent_index)
