"""Accept, match and cancel orders.

Every order that can be read at all gets an id and is remembered with its outcome, refused ones too (the venue reports
them as ``tickRejected``, ``iocCancelRejected`` and so on). A refusal changes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agentwhere_sim import perps
from agentwhere_sim.hyperliquid import fills, rules
from agentwhere_sim.hyperliquid.ledger import OPEN, WAITING, Order
from agentwhere_sim.universe import hyperliquid_markets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentwhere_sim.hyperliquid.book import Quotes
    from agentwhere_sim.hyperliquid.ledger import Ledger
    from agentwhere_sim.hyperliquid.margin import Margins
    from agentwhere_sim.universe import HyperliquidMarket

_FARTHEST_SHARE = Decimal("0.95")
_TRIGGER_SLIPPAGE = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Wish:
    """One order as a client asked for it."""

    asset: int
    is_buy: bool
    price: Decimal
    size: Decimal
    reduce_only: bool
    tif: str
    trigger_px: Decimal | None
    is_market: bool
    tpsl: str | None
    cloid: str | None


class RefusalError(Exception):
    """The venue refuses one order: ``text`` for the client, ``status`` for its record (``None``: no record)."""

    def __init__(self, text: str, status: str | None) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


class Engine:
    """Match orders against the book of the instant."""

    def __init__(self, ledger: Ledger, quotes: Quotes, margins: Margins) -> None:
        self._ledger = ledger
        self._quotes = quotes
        self._margins = margins

    def place(
        self, address: str, signer: str, wishes: Sequence[Wish], grouping: str, at_ms: int
    ) -> list[Any]:
        """Place the orders of one request and give the status that the venue answers for each."""
        if grouping != "normalTpsl":
            return [self._place_one(address, signer, wish, grouping, at_ms)[1] for wish in wishes]
        parent, parent_status = self._place_one(address, signer, wishes[0], grouping, at_ms)
        statuses = [parent_status]
        for wish in wishes[1:]:
            if parent is None:
                statuses.append(parent_status)
            else:
                statuses.append(self._place_child(parent, signer, wish, at_ms))
        return statuses

    def cancel(self, order: Order, status: str, at_ms: int) -> None:
        """Cancel a live order and the children that wait for it."""
        self._ledger.set_status(order, status, at_ms)
        for child in self._ledger.children(order.oid):
            if child.status == WAITING:
                self._ledger.set_status(child, status, at_ms)

    def take(self, order: Order, at_ms: int, *, limit: Decimal) -> list[tuple[Decimal, Decimal]]:
        """Walk the book with an order up to a price limit; give (price, size) of each execution."""
        market = hyperliquid_markets()[order.asset]
        offered = self._quotes.book(market, at_ms).opposite(is_buy=order.is_buy)
        levels = ((level.price, level.size) for level in offered)
        wanted = fills.reducible(self._ledger, order)
        return perps.walk(levels, wanted, limit, is_buy=order.is_buy)

    def fill(
        self,
        order: Order,
        executed: Sequence[tuple[Decimal, Decimal]],
        at_ms: int,
        *,
        crossed: bool,
    ) -> None:
        """Book executions of an order and what follows for the orders round its position."""
        for price, size in executed:
            fills.execute(self._ledger, order, price, size, at_ms, crossed=crossed)
        self._ledger.set_status(order, order.status if order.sz else "filled", at_ms)
        self.activate_children(order, at_ms)
        fills.settle_protection(self._ledger, order, at_ms)

    def fire(self, order: Order, at_ms: int) -> None:
        """Execute a trigger whose price was reached: at market with 10 % slippage, or as a limit order."""
        market = hyperliquid_markets()[order.asset]
        order.sz = fills.reducible(self._ledger, order)
        if order.sz == 0:
            self.cancel(order, "reduceOnlyCanceled", at_ms)
            return
        mark = self._quotes.mid(market, at_ms)
        slack = mark * _TRIGGER_SLIPPAGE * (1 if order.is_buy else -1)
        executed = self.take(
            order, at_ms, limit=mark + slack if order.is_market else order.limit_px
        )
        if executed:
            self.fill(order, executed, at_ms, crossed=True)
        if order.status == OPEN and order.is_market:
            self.cancel(
                order, "marketOrderNoLiquidityRejected" if not executed else "canceled", at_ms
            )
        elif order.status == OPEN:
            order.trigger_px = None
            self._ledger.set_status(order, OPEN, at_ms)

    def activate_children(self, parent: Order, at_ms: int) -> None:
        """Wake the children of a filled order."""
        if parent.status == "filled":
            for child in self._ledger.children(parent.oid):
                if child.status == WAITING:
                    self._ledger.set_status(child, OPEN, at_ms)

    def _place_one(
        self, address: str, signer: str, wish: Wish, grouping: str, at_ms: int
    ) -> tuple[Order | None, Any]:
        order = self._record(address, signer, wish, grouping, at_ms)
        try:
            self._check(order, wish, at_ms)
            status = self._rest(order) if order.is_trigger else self._match(order, at_ms)
        except RefusalError as refusal:
            if refusal.status is not None:
                self._ledger.set_status(order, refusal.status, at_ms)
            return None, {"error": f"{refusal.text} asset={wish.asset}"}
        return order, status

    def _place_child(self, parent: Order, signer: str, wish: Wish, at_ms: int) -> Any:
        child = self._record(parent.address, signer, wish, "normalTpsl", at_ms)
        child.parent_oid = parent.oid
        try:
            self._check(child, wish, at_ms, is_child=True)
        except RefusalError as refusal:
            if refusal.status is not None:
                self._ledger.set_status(child, refusal.status, at_ms)
            return {"error": f"{refusal.text} asset={wish.asset}"}
        waits = parent.status == OPEN
        self._ledger.set_status(child, WAITING if waits else OPEN, at_ms)
        return "waitingForFill" if waits else "waitingForTrigger"

    def _record(self, address: str, signer: str, wish: Wish, grouping: str, at_ms: int) -> Order:
        return Order(
            oid=self._ledger.next_oid(),
            address=address,
            asset=wish.asset,
            is_buy=wish.is_buy,
            limit_px=wish.price,
            orig_sz=wish.size,
            sz=wish.size,
            reduce_only=wish.reduce_only,
            tif=wish.tif,
            trigger_px=wish.trigger_px,
            tpsl=wish.tpsl,
            is_market=wish.is_market,
            grouping=grouping,
            parent_oid=None,
            cloid=wish.cloid,
            status=OPEN,
            status_ms=at_ms,
            created_ms=at_ms,
            signer=signer,
        )

    def _check(self, order: Order, wish: Wish, at_ms: int, *, is_child: bool = False) -> None:
        market = hyperliquid_markets()[order.asset]
        if wish.cloid is not None and self._cloid_is_used(order):
            raise RefusalError("Order with this cloid was already placed.", None)
        if market.delisted:
            raise RefusalError("Trading is halted.", "rejected")
        self._check_form(order, market)
        mark = self._quotes.mid(market, at_ms)
        if abs(order.limit_px - mark) > mark * _FARTHEST_SHARE and not order.is_trigger:
            raise RefusalError(
                "Order price cannot be more than 95% away from the reference price",
                "oracleRejected",
            )
        if order.trigger_px is not None:
            if crossed(order, mark):
                raise RefusalError("Invalid TP/SL price.", "badTriggerPxRejected")
            return
        if order.reduce_only and not is_child and fills.reducible(self._ledger, order) == 0:
            raise RefusalError("Reduce only order would increase position.", "reduceOnlyRejected")
        closes_all = order.reduce_only and order.sz >= fills.reducible(self._ledger, order)
        if order.sz * order.limit_px < rules.MIN_NOTIONAL_USD and not closes_all:
            raise RefusalError("Order must have minimum value of $10.", "minTradeNtlRejected")

    def _check_form(self, order: Order, market: HyperliquidMarket) -> None:
        if order.sz == 0 and not order.is_position_tpsl:
            raise RefusalError("Order has zero size.", "rejected")
        if not rules.on_lot(order.sz, market.sz_decimals):
            raise RefusalError("Order has invalid size.", "rejected")
        for price in (order.limit_px, order.trigger_px):
            if price is not None and (price <= 0 or not rules.on_tick(price, market.sz_decimals)):
                raise RefusalError("Price must be divisible by tick size.", "tickRejected")

    def _cloid_is_used(self, order: Order) -> bool:
        earlier = self._ledger.order_of(order.address, order.cloid or "")
        return earlier is not None and not earlier.status.endswith(("Rejected", "rejected"))

    def _rest(self, order: Order) -> Any:
        self._ledger.save_order(order)
        return {"resting": _reference(order)}

    def _match(self, order: Order, at_ms: int) -> Any:
        market = hyperliquid_markets()[order.asset]
        bid, ask = self._quotes.top(market, at_ms)
        marketable = order.limit_px >= ask if order.is_buy else order.limit_px <= bid
        if order.tif == "Alo" and marketable:
            text = f"Post only order would have immediately matched, bbo was {_plain(bid)}@{_plain(ask)}."
            raise RefusalError(text, "badAloPxRejected")
        executed = self.take(order, at_ms, limit=order.limit_px) if marketable else []
        if order.tif == "Ioc" and not executed:
            raise RefusalError(
                "Order could not immediately match against any resting orders.", "iocCancelRejected"
            )
        price = executed[-1][0] if executed else order.limit_px
        if not order.reduce_only and not self._margins.affords(order, price, at_ms):
            raise RefusalError("Insufficient margin to place order.", "perpMarginRejected")
        if not executed:
            return self._rest(order)
        self.fill(order, executed, at_ms, crossed=True)
        if order.status == OPEN and order.tif == "Ioc":
            self._ledger.set_status(order, "canceled", at_ms)
        return _filled(order, executed)


def crossed(order: Order, mark: Decimal) -> bool:
    """Tell whether a mark price fires a trigger: take profits from the far side, stops from the near side."""
    return order.trigger_px is not None and perps.fires(
        order.trigger_px, mark, is_buy=order.is_buy, is_stop=order.tpsl == "sl"
    )


def _filled(order: Order, executed: Sequence[tuple[Decimal, Decimal]]) -> dict[str, Any]:
    total = sum((size for _, size in executed), Decimal(0))
    cost = sum((price * size for price, size in executed), Decimal(0))
    average = (cost / total).quantize(Decimal("0.00000001")).normalize()
    return {
        "filled": {"totalSz": rules.text(total), "avgPx": rules.text(average), **_reference(order)}
    }


def _reference(order: Order) -> dict[str, Any]:
    return {"oid": order.oid} if order.cloid is None else {"oid": order.oid, "cloid": order.cloid}


def _plain(price: Decimal) -> str:
    return f"{price.normalize():f}"
