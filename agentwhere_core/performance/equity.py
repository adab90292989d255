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

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby

from agentwhere_core.domain.enums import Venue

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class CapitalFlow:
    """Money put in (positive) or taken out (negative) on a UTC day."""

    day: date
    amount_usd: Decimal


@dataclass(frozen=True, slots=True)
class DailyPnl:
    """Net PnL at one venue since inception, as it stood at the end of a UTC day.

    ``net_pnl_usd`` is realized and unrealized PnL less fees, plus funding received. Days may be missing: the last known
    value holds until the next.
    """

    day: date
    venue: Venue
    net_pnl_usd: Decimal


@dataclass(frozen=True, slots=True)
class PnlChange:
    """One amount that was earned or lost at a venue on a UTC day: a realized PnL, a fee, a funding payment."""

    day: date
    venue: Venue
    amount_usd: Decimal


@dataclass(frozen=True, slots=True)
class Book:
    """All that is known of one deployment's money."""

    flows: tuple[CapitalFlow, ...]
    pnl: tuple[DailyPnl, ...]


@dataclass(frozen=True, slots=True)
class EquityDay:
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


def accumulate(changes: Iterable[PnlChange]) -> tuple[DailyPnl, ...]:
    """Return the running net PnL by venue and day that single amounts add up to.

    Only sums per day count: in how many pieces an amount arrives makes no difference (M4).
    """
    by_day: dict[tuple[str, date], Decimal] = defaultdict(lambda: _ZERO)
    for change in changes:
        by_day[change.venue, change.day] += change.amount_usd
    rows = []
    for venue, keys in groupby(sorted(by_day), key=lambda key: key[0]):
        total = _ZERO
        for key in keys:
            total += by_day[key]
            rows.append(DailyPnl(day=key[1], venue=Venue(venue), net_pnl_usd=total))
    return tuple(rows)


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
    earned: dict[date, Decimal] = defaultdict(lambda: _ZERO)
    for book in books:
        flows.extend(flow for flow in book.flows if flow.day <= through)
        _add_daily_changes(earned, book.pnl, venue, through)
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
    eventful = earned.keys() | deposits.keys() | withdrawals.keys()
    equity = _ZERO
    for number in range((through - first).days + 1):
        day = first + timedelta(days=number)
        if day not in eventful:
            days.append(EquityDay(day, equity, _ZERO, _ZERO, equity, 0.0))
            continue
        base = equity + deposits.get(day, _ZERO)
        pnl = earned.get(day, _ZERO)
        withdrawn = withdrawals.get(day, _ZERO)
        is_ruin = pnl < 0 and base + pnl <= 0
        equity = base + pnl - withdrawn
        days.append(EquityDay(day, base, pnl, withdrawn, equity, _rate(pnl, base, ruin=is_ruin)))
        if is_ruin:
            return EquitySeries(tuple(days), ruined_on=day)
    return EquitySeries(tuple(days))


def _rate(pnl: Decimal, base: Decimal, *, ruin: bool) -> float:
    if ruin:
        return -1.0
    return float(pnl / base) if pnl and base > 0 else 0.0


def _add_daily_changes(
    earned: dict[date, Decimal], pnl: Iterable[DailyPnl], venue: Venue, through: date
) -> None:
    """Add the differences between successive running totals, venue by venue, to ``earned``."""
    last: dict[Venue, Decimal] = {}
    for row in sorted(pnl, key=lambda row: row.day):
        if row.day > through or (venue is not Venue.MULTI and row.venue is not venue):
            continue
        earned[row.day] += row.net_pnl_usd - last.get(row.venue, _ZERO)
        last[row.venue] = row.net_pnl_usd


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
