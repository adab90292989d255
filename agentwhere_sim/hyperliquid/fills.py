"""What an execution does to a position, and what a changed position does to the orders that protect it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_sim import perps
from agentwhere_sim.hyperliquid import rules
from agentwhere_sim.hyperliquid.ledger import OPEN, Fill

if TYPE_CHECKING:
    from agentwhere_sim.hyperliquid.ledger import Ledger, Order, Position

_ZERO = Decimal(0)


def execute(
    ledger: Ledger,
    order: Order,
    price: Decimal,
    size: Decimal,
    at_ms: int,
    *,
    crossed: bool,
    liquidation_mark: Decimal | None = None,
) -> Fill:
    """Fill ``size`` of an order at ``price``: move the position, book result and fee, write the fill."""
    position = ledger.position(order.address, order.asset)
    start = position.szi
    change = size if order.is_buy else -size
    closed_pnl = _move(position, change, price)
    fee = rules.usd(price * size * (rules.TAKER_FEE if crossed else rules.MAKER_FEE))
    fill = Fill(
        tid=ledger.next_tid(),
        address=order.address,
        oid=order.oid,
        asset=order.asset,
        is_buy=order.is_buy,
        px=price,
        sz=size,
        time_ms=at_ms,
        start_position=start,
        dir=_direction(start, start + change),
        closed_pnl=closed_pnl,
        fee=fee,
        crossed=crossed,
        cloid=order.cloid,
        liquidation_mark_px=liquidation_mark,
    )
    ledger.save_position(position)
    ledger.credit(order.address, closed_pnl - fee)
    ledger.add_fill(fill)
    order.sz = max(order.sz - size, _ZERO)
    return fill


def settle_protection(ledger: Ledger, filled: Order, at_ms: int) -> None:
    """Cancel the siblings of a filled child, and what has lost its position to reduce.

    Children of a ``normalTpsl`` and position TP/SL go with the position, and so do resting reduce-only orders; a
    stand-alone trigger stays and may hit a later position, as at the venue.
    """
    if filled.parent_oid is not None:
        for sibling in ledger.children(filled.parent_oid):
            if sibling.oid != filled.oid:
                ledger.set_status(sibling, "siblingFilledCanceled", at_ms)
    held = ledger.position(filled.address, filled.asset).szi
    for order in ledger.live_orders(filled.address):
        if order.asset != filled.asset or order.oid == filled.oid or order.status != OPEN:
            continue
        stays = order.is_trigger and order.grouping == "na"
        reduces = held != 0 and (held > 0) != order.is_buy
        if order.reduce_only and not stays and not reduces:
            ledger.set_status(order, "reduceOnlyCanceled", at_ms)


def reducible(ledger: Ledger, order: Order) -> Decimal:
    """Give how much of an order may execute: all of it, or what its reduce-only flag leaves of the position."""
    if not order.reduce_only:
        return order.sz
    held = ledger.position(order.address, order.asset).szi
    if held == 0 or (held > 0) == order.is_buy:
        return _ZERO
    return abs(held) if order.is_position_tpsl and order.orig_sz == 0 else min(order.sz, abs(held))


def _move(position: Position, change: Decimal, price: Decimal) -> Decimal:
    before = position.szi
    moved = perps.move(before, position.entry_px, change, price)
    position.szi, position.entry_px = moved.held, moved.entry_px
    if before == 0 or moved.held == 0 or (moved.held > 0) != (before > 0):
        position.funding_open = _ZERO
    position.funding_change = _ZERO
    return rules.usd(moved.pnl) if moved.pnl else _ZERO


def _direction(before: Decimal, after: Decimal) -> str:
    if before > 0 > after:
        return "Long > Short"
    if before < 0 < after:
        return "Short > Long"
    side = "Long" if (before or after) > 0 else "Short"
    return f"Open {side}" if abs(after) > abs(before) else f"Close {side}"
