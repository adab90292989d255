"""Daily equity of a deployment or an agent, and the returns that follow from it (M1, M3).

Equity is capital plus everything earned: realized and unrealized PnL, fees and funding. It is taken at the end of each
UTC day, from the first day with capital or PnL. A day without trades has a return of zero.

**Deposits and withdrawals** are not performance. A deposit counts from the start of its day, a withdrawal at its end:

    base = equity of the day before + deposits
    return = PnL of the day / base
    equity = base + PnL of the day − withdrawals

Counting withdrawals at the end keeps the base positive when somebody takes out the very profit of the day, and a larger
base never flatters.

**Ruin**: when base + PnL is zero or less, the day's return is −100 % and the series ends. So it does when money is lost
that was never put in. A gain on no capital has no rate of return and counts as zero.

An agent's equity is the sum over its deployments; a new deployment is a deposit. The figures weigh deployments by their
money, as a reader of the marketplace would have earned with them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from agentwhere_core.domain.enums import Venue

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class CapitalFlow:
    """Money put in (positive) or taken out (negative) on a UTC day."""

    day: date
    amount_usd: Decimal


class PnlChange(NamedTuple):
    """One amount earned or lost at a venue on a UTC day: a realized PnL, a fee, a funding payment, or their sum.

    Only sums per day count: in how many pieces an amount arrives makes no difference (M4).
    """

    day: date
    venue: Venue
    amount_usd: Decimal


@dataclass(frozen=True, slots=True)
class Book:
    """All that is known of one deployment's money."""

    flows: tuple[CapitalFlow, ...]
    pnl: tuple[PnlChange, ...]


class EquityDay(NamedTuple):
    """One UTC day: what there was to work with, what was earned, what was left.

    ``daily_return`` is a fraction, −1 on the day of ruin.
    """

    day: date
    base_usd: Decimal
    pnl_usd: Decimal
    withdrawn_usd: Decimal
    equity_usd: Decimal
    daily_return: float


@dataclass(frozen=True, slots=True)
class EquitySeries:
    """Days in order, without gaps; empty when there was never any money."""

    days: tuple[EquityDay, ...]
    ruined_on: date | None = None

    @property
    def returns(self) -> list[float]:
        """Daily returns as fractions."""
        return [day.daily_return for day in self.days]

    @property
    def equity_usd(self) -> Decimal:
        """Equity at the end of the last day."""
        return self.days[-1].equity_usd if self.days else _ZERO

    @property
    def net_pnl_usd(self) -> Decimal:
        """Sum of the days' PnL."""
        return sum((day.pnl_usd for day in self.days), _ZERO)


def daily_equity(books: Iterable[Book], through: date, venue: Venue = Venue.MULTI) -> EquitySeries:
    """Return the daily equity of one deployment, or of all deployments of an agent together.

    Parameters
    ----------
    books
        One book per deployment. What lies after ``through`` is left out.
    through
        Last UTC day of the series.
    venue
        The agent's venue: MULTI counts PnL of all venues, any other only its own (M3). Capital counts in full.
    """
    flows: list[CapitalFlow] = []
    earned: dict[date, Decimal] = {}
    for book in books:
        flows.extend(flow for flow in book.flows if flow.day <= through)
        for day, at, amount in book.pnl:
            if day <= through and (venue is Venue.MULTI or at is venue):
                earned[day] = earned.get(day, _ZERO) + amount
    deposits, withdrawals = _split_flows(flows)
    known = [*deposits, *withdrawals, *earned]
    if not known:
        return EquitySeries(())
    return _walk(min(known), through, deposits, withdrawals, earned)


def _walk(
    first: date,
    through: date,
    deposits: Mapping[date, Decimal],
    withdrawals: Mapping[date, Decimal],
    earned: Mapping[date, Decimal],
) -> EquitySeries:
    """Go through the days, and stop at ruin."""
    days: list[EquityDay] = []
    equity = _ZERO
    for number in range(first.toordinal(), through.toordinal() + 1):
        day = date.fromordinal(number)
        base = equity + deposits[day] if day in deposits else equity
        pnl = earned.get(day, _ZERO)
        withdrawn = withdrawals.get(day, _ZERO)
        equity = base + pnl - withdrawn
        is_ruin = pnl < 0 and base + pnl <= 0
        days.append(EquityDay(day, base, pnl, withdrawn, equity, _rate(pnl, base, ruin=is_ruin)))
        if is_ruin:
            return EquitySeries(tuple(days), ruined_on=day)
    return EquitySeries(tuple(days))


def _rate(pnl: Decimal, base: Decimal, *, ruin: bool) -> float:
    if ruin:
        return -1.0
    return float(pnl / base) if pnl and base > 0 else 0.0


def _split_flows(
    flows: Iterable[CapitalFlow],
) -> tuple[dict[date, Decimal], dict[date, Decimal]]:
    """Return deposits and withdrawals by day, both as positive amounts."""
    deposits: dict[date, Decimal] = {}
    withdrawals: dict[date, Decimal] = {}
    for flow in flows:
        side = deposits if flow.amount_usd >= 0 else withdrawals
        side[flow.day] = side.get(flow.day, _ZERO) + abs(flow.amount_usd)
    return deposits, withdrawals
