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
from typing import NamedTuple, TypeAlias

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
    """All that is known of one deployment's money.

    ``pnl`` may hold plain tuples in place of `PnlChange`: of a million of them, most of the time went into their names.
    """

    flows: tuple[CapitalFlow, ...]
    pnl: tuple[tuple[date, Venue, Decimal], ...]


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


_Row: TypeAlias = tuple[Decimal, Decimal, Decimal, Decimal, float]
"""What an `EquityDay` says after its date, in that order."""


@dataclass(frozen=True, slots=True)
class EquitySeries:
    """Days in order, without gaps; empty when there was never any money.

    Figures want nothing but the returns, of ten thousand agents: a day is given its date when somebody asks for
    ``days``.
    """

    first: date
    rows: tuple[_Row, ...] = ()
    ruined_on: date | None = None

    @property
    def days(self) -> tuple[EquityDay, ...]:
        """The days with their dates."""
        numbered = enumerate(self.rows, self.first.toordinal())
        return tuple(EquityDay(date.fromordinal(number), *row) for number, row in numbered)

    @property
    def returns(self) -> list[float]:
        """Daily returns as fractions."""
        return [row[-1] for row in self.rows]

    @property
    def equity_usd(self) -> Decimal:
        """Equity at the end of the last day."""
        return self.rows[-1][3] if self.rows else _ZERO

    @property
    def net_pnl_usd(self) -> Decimal:
        """Sum of the days' PnL."""
        return sum((row[1] for row in self.rows), _ZERO)


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
    deposits: dict[int, Decimal] = {}
    withdrawals: dict[int, Decimal] = {}
    earned: dict[int, Decimal] = {}
    counts_all = venue is Venue.MULTI
    for book in books:
        for flow in book.flows:
            side = deposits if flow.amount_usd >= 0 else withdrawals
            _add(side, flow.day, abs(flow.amount_usd))
        for day, at, amount in book.pnl:
            if counts_all or at is venue:
                _add(earned, day, amount)
    known = [*deposits, *withdrawals, *earned]
    if not known:
        return EquitySeries(through)
    return _walk(min(known), through.toordinal(), deposits, withdrawals, earned)


def _add(amounts: dict[int, Decimal], day: date, amount: Decimal) -> None:
    number = day.toordinal()
    amounts[number] = amounts[number] + amount if number in amounts else amount


def _walk(
    first: int,
    last: int,
    deposits: Mapping[int, Decimal],
    withdrawals: Mapping[int, Decimal],
    earned: Mapping[int, Decimal],
) -> EquitySeries:
    """Go through the days, which are ordinals, and stop at ruin."""
    rows: list[_Row] = []
    ruined_on = None
    equity = _ZERO
    for number in range(first, last + 1):
        base = left = equity + deposits[number] if number in deposits else equity
        pnl, rate = _ZERO, 0.0
        if number in earned:
            pnl = earned[number]
            left = base + pnl
            if left <= _ZERO and pnl < _ZERO:
                ruined_on, rate = date.fromordinal(number), -1.0
            elif pnl and base > _ZERO:
                rate = float(pnl / base)
        equity, withdrawn = left, _ZERO
        if number in withdrawals:
            withdrawn = withdrawals[number]
            equity = left - withdrawn
        rows.append((base, pnl, withdrawn, equity, rate))
        if ruined_on is not None:
            break
    return EquitySeries(date.fromordinal(first), tuple(rows), ruined_on)
