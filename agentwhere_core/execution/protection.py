"""Protection: what a position owes to have resting at its venue, and how far it has (X3).

::

    PENDING ──→ PROTECTED ←──→ MISSING ──→ CLOSING
      opened,     the venue      the venue     its deadline passed, or another
      not seen    shows its      does not      exit was decided
      yet         stop loss      show it

    WAIVED      the signal has no stop loss, and the policy allows that
    OUTSIDE     opened by somebody else: its owner protects it

The stop loss is what counts: it decides between PROTECTED and MISSING. A take profit that is gone is placed again all
the same. Prices never move; sizes follow the position. A position in PENDING or MISSING has a deadline, after which it
is closed, reduce-only, with the reason UNPROTECTED.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal

from agentwhere_core.domain.enums import OrderPurpose, ProtectionState
from agentwhere_core.domain.exposure import Exposed
from agentwhere_core.domain.trade import Position, RestingOrder

_ZERO = Decimal(0)
_CENT = Decimal("0.01")
_MOST_OF_MARGIN_PCT = Decimal(80)

IN_DEBT = frozenset({ProtectionState.PENDING, ProtectionState.MISSING})
"""States in which a stop loss is owed, by a deadline."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the venue says of one position's protection.

    Parameters
    ----------
    missing
        Purposes of which nothing rests, or nothing that fits size and price.
    superfluous
        Orders of this position that must go: they do not fit, or stand there twice.
    stop_price, target_price
        Triggers of what rests of the position's own, whether it fits or not.
    is_protected
        Whether a stop loss rests that closes all of it; a smaller one protects a part.
    """

    missing: tuple[OrderPurpose, ...]
    superfluous: tuple[RestingOrder, ...]
    stop_price: Decimal | None
    target_price: Decimal | None
    is_protected: bool


def levels(position: Position) -> dict[OrderPurpose, Decimal]:
    """Return the trigger prices that a position owes, by purpose."""
    owed = {
        OrderPurpose.TAKE_PROFIT: position.take_profit_price,
        OrderPurpose.STOP_LOSS: position.stop_loss_price,
    }
    return {purpose: price for purpose, price in owed.items() if price is not None}


def initial_state(position: Position) -> ProtectionState:
    """Return the state in which a position begins."""
    if position.signal_id is None:
        return ProtectionState.OUTSIDE
    return ProtectionState.PENDING if position.stop_loss_price else ProtectionState.WAIVED


def look_at(position: Position, resting: Iterable[RestingOrder], own: Collection[str]) -> Look:
    """Compare what rests at the venue with what a position owes.

    Parameters
    ----------
    resting
        Everything that rests in the position's market.
    own
        Client ids of the protective orders that were ever placed for the position. A price that the position itself
        carries needs no client id.
    """
    closing = [order for order in resting if order.side is position.side.closing]
    mine = [order for order in closing if order.is_carried or (order.client_id or "") in own]
    missing: list[OrderPurpose] = []
    superfluous: list[RestingOrder] = []
    covered: set[OrderPurpose] = set()
    for purpose, price in levels(position).items():
        priced = [o for o in mine if o.purpose is purpose and o.trigger_price == price]
        orders = [order for order in priced if not order.is_carried]
        fitting = [order for order in orders if order.size in {None, position.size}]
        carried = sum((o.size or _ZERO for o in priced if o.is_carried), _ZERO)
        if fitting or carried == position.size:
            covered.add(purpose)
        else:
            missing.append(purpose)
            # It reduces only: one that is too large closes no more than there is.
            covered |= {purpose for order in orders if (order.size or _ZERO) > position.size}
        superfluous += [
            order
            for order in mine
            if order.purpose is purpose and not order.is_carried and order not in fitting[:1]
        ]
    return Look(
        missing=tuple(missing),
        superfluous=tuple(superfluous),
        stop_price=_trigger(mine, OrderPurpose.STOP_LOSS),
        target_price=_trigger(mine, OrderPurpose.TAKE_PROFIT),
        is_protected=OrderPurpose.STOP_LOSS in covered,
    )


def is_overdue(position: Exposed, now: datetime) -> bool:
    """Tell whether a position's protection is owed since before ``now``: it must be closed."""
    deadline = position.protect_by
    return deadline is not None and deadline <= now and position.protection in IN_DEBT


def default_stop_pct(usual_pct: Decimal, leverage: Decimal) -> Decimal:
    """Return the stop loss, in percent of the price, for a signal that has none.

    It is ``usual_pct``, or nearer where the leverage asks for it: at 80 % of the margin, before liquidation.
    """
    nearest = (_MOST_OF_MARGIN_PCT / leverage).quantize(_CENT, ROUND_DOWN)
    return min(usual_pct, nearest)


def strangers(
    resting: Sequence[RestingOrder], ours: Mapping[str, object] | Collection[str]
) -> list[RestingOrder]:
    """Return the orders that rest without being ours; what a position carries belongs to it."""
    return [
        order for order in resting if not order.is_carried and (order.client_id or "") not in ours
    ]


def _trigger(orders: Iterable[RestingOrder], purpose: OrderPurpose) -> Decimal | None:
    return next((order.trigger_price for order in orders if order.purpose is purpose), None)
