"""What perpetuals have in common at every simulated venue: positions that move, triggers, walking a book, passing time.

Pure functions of numbers; each venue keeps its own orders, its own words and its own rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HOUR_MS = 3_600_000
_FINEST_STEP_MS = 5_000
_MOST_SAMPLES = 500
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Moved:
    """A position after an execution (``held`` is negative for a short), and the profit that it realised."""

    held: Decimal
    entry_px: Decimal
    pnl: Decimal


def move(held: Decimal, entry_px: Decimal, change: Decimal, price: Decimal) -> Moved:
    """Give the position that follows when ``change`` (signed) is executed at ``price``."""
    after = held + change
    if held == 0 or (held > 0) == (change > 0):
        cost = abs(held) * entry_px + abs(change) * price
        return Moved(after, cost / abs(after), _ZERO)
    closed = min(abs(change), abs(held))
    pnl = closed * (price - entry_px) * (1 if held > 0 else -1)
    if after == 0:
        return Moved(_ZERO, _ZERO, pnl)
    return Moved(after, price if (after > 0) != (held > 0) else entry_px, pnl)


def fires(trigger: Decimal, mark: Decimal, *, is_buy: bool, is_stop: bool) -> bool:
    """Tell whether a mark price fires a trigger: take profits from the far side, stops from the near side."""
    return mark >= trigger if is_buy == is_stop else mark <= trigger


def walk(
    levels: Iterable[tuple[Decimal, Decimal]], size: Decimal, limit: Decimal, *, is_buy: bool
) -> list[tuple[Decimal, Decimal]]:
    """Take ``size`` from (price, size) levels, best first, up to a price limit; give what was executed."""
    executed = []
    for price, offered in levels:
        beyond = price > limit if is_buy else price < limit
        if beyond or size <= 0:
            break
        taken = min(offered, size)
        executed.append((price, taken))
        size -= taken
    return executed


def instants(last_ms: int, now_ms: int) -> list[int]:
    """Give the moments at which a stretch of time is looked at: evenly, at every full hour, and at its end."""
    if last_ms >= now_ms:
        return [now_ms]
    step = max(_FINEST_STEP_MS, (now_ms - last_ms) // _MOST_SAMPLES)
    samples = range(last_ms + step, now_ms, step)
    hours = range((last_ms // HOUR_MS + 1) * HOUR_MS, now_ms + 1, HOUR_MS)
    return sorted({*samples, *hours, now_ms})
