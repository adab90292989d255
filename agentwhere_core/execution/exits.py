"""Exits: why an open position is closed now, and at which prices it is protected.

One function looks at one position, one price and one time. When several rules apply at once, the first of this order
gives the reason, because it is the one that would have closed the position in any case:

1. KILL_SWITCH: an operator wants everything closed.
2. LIQUIDATION_DISTANCE: the venue is about to close it at a worse price.
3. STOP_LOSS: the loss that the signal allows.
4. TAKE_PROFIT: the gain that the signal aims for.
5. TRAILING_STOP: a gain that was reached is being given back.
6. MAX_HOLDING_TIME: the idea is older than its author meant.
7. UNPROTECTED: its stop loss did not rest at the venue by its deadline (`execution.protection`).

Losses come before gains, so that contradictory levels are reported as the loss. All percentages are of price, not of
margin: leverage does not enter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

from agentwhere_core.domain.enums import ExitReason, Side, Venue
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.exposure import Exposed
from agentwhere_core.execution.protection import is_overdue

_HUNDRED = Decimal(100)
_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class ExitRules:
    """Limits that hold for every position, beside its own.

    Parameters
    ----------
    min_liquidation_distance_pct
        Close when the price is within this many percent of the liquidation price; None leaves it to the venue.
    min_liquidation_way_pct
        At high leverage liquidation lies that near from the start. So the limit is never more than this share, in
        percent, of the way from the entry price to the liquidation price.
    """

    min_liquidation_distance_pct: Decimal | None = Decimal(2)
    min_liquidation_way_pct: Decimal = Decimal(20)


@dataclass(frozen=True, slots=True)
class ExitDecision:
    """That a position must be closed in full, why, and what showed it.

    ``price`` is the price looked at. ``level`` is the price that was reached, or None where no price was decisive.
    """

    position_id: UUID
    token: str
    side: Side
    reason: ExitReason
    price: Decimal
    level: Decimal | None
    at: datetime

    @property
    def story(self) -> str:
        """The decision in one sentence."""
        what = _STORIES[self.reason]
        level = "" if self.level is None else f" {self.level.normalize():f}"
        return f"{self.side} {self.token} at {self.price.normalize():f}: {what}{level}"


_STORIES = {
    ExitReason.MANUAL: "closing was asked for",
    ExitReason.KILL_SWITCH: "a kill switch closes all positions",
    ExitReason.LIQUIDATION_DISTANCE: "too close to the liquidation price",
    ExitReason.STOP_LOSS: "reached the stop loss",
    ExitReason.TAKE_PROFIT: "reached the take profit",
    ExitReason.TRAILING_STOP: "fell back to the trailing stop",
    ExitReason.MAX_HOLDING_TIME: "held for the longest time allowed",
    ExitReason.UNPROTECTED: "its stop loss does not rest at the venue, and the deadline for it has passed",
}


def decide_exit(
    position: Exposed,
    price: Decimal,
    now: datetime,
    rules: ExitRules | None = None,
    *,
    kill_switch: bool = False,
) -> ExitDecision | None:
    """Return why ``position`` must be closed at ``price``, or None if it stays open.

    Parameters
    ----------
    price
        The venue's mark or mid price, in the position's market units.
    kill_switch
        Whether an engaged kill switch demands that this position be closed.
    """
    found = _first_reason(position, price, now, rules or _DEFAULT_RULES, kill_switch=kill_switch)
    if found is None:
        return None
    reason, level = found
    return ExitDecision(
        position_id=position.id,
        token=position.token,
        side=position.side,
        reason=reason,
        price=price,
        level=level,
        at=now,
    )


def decide_exits(
    positions: Iterable[Exposed],
    prices: Mapping[tuple[Venue, str], Decimal],
    now: datetime,
    rules: ExitRules | None = None,
    *,
    to_kill: Collection[UUID] = frozenset(),
) -> list[ExitDecision]:
    """Return the exits among many positions; those without a price are left alone.

    Parameters
    ----------
    prices
        Current price by venue and token.
    to_kill
        Ids of positions that a kill switch demands to be closed.
    """
    decisions = []
    for position in positions:
        price = prices.get((position.venue, position.token))
        if price is None:
            continue
        decision = decide_exit(position, price, now, rules, kill_switch=position.id in to_kill)
        if decision is not None:
            decisions.append(decision)
    return decisions


def advance_best_price(position: Exposed, price: Decimal) -> Decimal:
    """Return the best price that the position has seen, its entry price and ``price`` included."""
    best = position.entry_price if position.best_price is None else position.best_price
    if position.side is Side.LONG:
        return max(best, price)
    return min(best, price)


def trailing_stop_level(position: Exposed, price: Decimal) -> Decimal | None:
    """Return the price at which the trailing stop closes the position, or None while it is not active.

    It becomes active once the best price lies ``trailing_activation_pct`` percent beyond the entry price, and then
    follows the best price at ``trailing_distance_pct`` percent.
    """
    activation, distance = position.trailing_activation_pct, position.trailing_distance_pct
    if activation is None or distance is None:
        return None
    best = advance_best_price(position, price)
    sign = position.side.sign
    if (best - position.entry_price) * sign * _HUNDRED < position.entry_price * activation:
        return None
    return best * (_HUNDRED - sign * distance) / _HUNDRED


def protective_prices(
    side: Side,
    entry_price: Decimal,
    stop_loss_pct: Decimal | None,
    take_profit_pct: Decimal | None,
) -> tuple[Decimal | None, Decimal | None]:
    """Return (take profit price, stop loss price), unrounded; None where there is none.

    Percentages are distances from the entry price. A target that no price can reach (a short that should gain 100 % or
    more of the price) is None.

    Raises
    ------
    InvariantError
        If a percentage or the entry price is not positive, or a long's stop loss lies at or below zero: such a signal
        must not be traded, because it would be unprotected.
    """
    if entry_price <= 0:
        raise InvariantError(f"an entry price must be positive, not {entry_price}")
    take_profit = _offset(entry_price, take_profit_pct, side.sign, "take profit")
    stop_loss = _offset(entry_price, stop_loss_pct, -side.sign, "stop loss")
    if stop_loss is not None and stop_loss <= 0:
        raise InvariantError(
            f"a stop loss of {stop_loss_pct} % protects nothing on a LONG: choose one below 100 %"
        )
    return (take_profit if take_profit is None or take_profit > 0 else None), stop_loss


_DEFAULT_RULES = ExitRules()


def _first_reason(
    position: Exposed, price: Decimal, now: datetime, rules: ExitRules, *, kill_switch: bool
) -> tuple[ExitReason, Decimal | None] | None:
    """Return the first reason of the precedence above with its price level."""
    if kill_switch:
        return ExitReason.KILL_SWITCH, None
    liquidation = position.liquidation_price
    if liquidation is not None and _is_near_liquidation(position, price, liquidation, rules):
        return ExitReason.LIQUIDATION_DISTANCE, liquidation
    is_long = position.side is Side.LONG
    stop_loss = position.stop_loss_price
    if stop_loss is not None and (price <= stop_loss if is_long else price >= stop_loss):
        return ExitReason.STOP_LOSS, stop_loss
    take_profit = position.take_profit_price
    if take_profit is not None and (price >= take_profit if is_long else price <= take_profit):
        return ExitReason.TAKE_PROFIT, take_profit
    trailing = trailing_stop_level(position, price)
    if trailing is not None and (price <= trailing if is_long else price >= trailing):
        return ExitReason.TRAILING_STOP, trailing
    if _is_held_too_long(position, now):
        return ExitReason.MAX_HOLDING_TIME, None
    if is_overdue(position, now):
        return ExitReason.UNPROTECTED, None
    return None


def _is_near_liquidation(
    position: Exposed, price: Decimal, liquidation: Decimal, rules: ExitRules
) -> bool:
    """Tell whether the price is within the allowed distance of liquidation, or beyond it."""
    # Venues say zero, or less, for a position that cannot be liquidated.
    if rules.min_liquidation_distance_pct is None or liquidation <= 0:
        return False
    sign = position.side.sign
    distance = (price - liquidation) * sign * _HUNDRED
    if distance > price * rules.min_liquidation_distance_pct:
        return False
    # With cross margin, losses elsewhere can move liquidation past the entry price: then there is no way to share.
    way = (position.entry_price - liquidation) * sign
    return way <= 0 or distance <= way * rules.min_liquidation_way_pct


def _is_held_too_long(position: Exposed, now: datetime) -> bool:
    hours = position.max_holding_h
    if hours is None:
        return False
    return now - position.opened_at >= _duration(hours)


@lru_cache
def _duration(hours: Decimal) -> timedelta:
    return timedelta(seconds=int(hours * _SECONDS_PER_HOUR))


def _offset(price: Decimal, pct: Decimal | None, sign: int, what: str) -> Decimal | None:
    """Return ``price`` moved by ``pct`` percent in the direction of ``sign``."""
    if pct is None:
        return None
    if pct <= 0:
        raise InvariantError(f"a {what} must be a positive percentage, not {pct}")
    return price * (_HUNDRED + sign * pct) / _HUNDRED
