"""What the arena's models achieved, and which differences between them mean something.

Returns are those of the account from one grid point to the next, and never annualized from less than a week. The
Sharpe ratio is per year of grid periods, with the interval of Mertens (2002), as in `performance.figures`.

Two models are compared by the mean of the differences of their returns over the same periods: markets that move both
cancel out. The difference is called significant where its 95 % interval, mean ± 1.96 standard errors, does not contain
zero. The standard error is that of Newey and West (1987) with a lag of ⌊4 (n/100)^(2/9)⌋, because neighbouring periods
hold the same positions. With fewer than 30 common periods nothing is called significant.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

LEAST_PERIODS = 30
_Z = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
_YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Ledgered:
    """What a model's books say of it in USD."""

    fees_usd: Decimal = Decimal(0)
    volume_usd: Decimal = Decimal(0)
    llm_cost_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Standing:
    """One model's place.

    Parameters
    ----------
    rank
        1 for the largest net return; models with the same return share it.
    total_return, net_return
        Fractions of the first value; the net one after what the language model cost.
    sharpe, sharpe_low, sharpe_high
        Per year with its 95 % interval; None without dispersion or with fewer than 30 periods.
    max_drawdown
        Zero or negative.
    turnover
        Traded volume over the first value.
    differs_from_leader
        Whether the difference to the first in rank is significant; None for the leader itself, or with too few periods.
    """

    name: str
    rank: int
    periods: int
    first_value_usd: Decimal
    last_value_usd: Decimal
    total_return: float
    net_return: float
    sharpe: float | None
    sharpe_low: float | None
    sharpe_high: float | None
    max_drawdown: float
    turnover: float
    fees_usd: Decimal
    llm_cost_usd: Decimal
    differs_from_leader: bool | None


def rank(
    values: Mapping[str, Sequence[tuple[datetime, Decimal]]],
    books: Mapping[str, Ledgered],
    *,
    period: timedelta,
) -> list[Standing]:
    """Return all models by net return, best first.

    Parameters
    ----------
    values
        Account values by model, each with its moment, oldest first.
    books
        Fees, volume and cost by model.
    period
        Length of the grid that returns are taken on.
    """
    known = {name: points for name, points in values.items() if points and points[0][1] > 0}
    returns = {name: _returns(points, period) for name, points in known.items()}
    net = {
        name: _net(points, books.get(name, Ledgered()).llm_cost_usd)
        for name, points in known.items()
    }
    ordered = sorted(known, key=lambda name: (-net[name], name))
    standings = []
    for name in ordered:
        points, sample = known[name], list(returns[name].values())
        sharpe, low, high = sharpe_with_interval(sample, period)
        book = books.get(name, Ledgered())
        first, last = points[0][1], points[-1][1]
        standings.append(
            Standing(
                name=name,
                rank=1 + sum(net[other] > net[name] for other in known),
                periods=len(sample),
                first_value_usd=first,
                last_value_usd=last,
                total_return=float(last / first - 1),
                net_return=net[name],
                sharpe=sharpe,
                sharpe_low=low,
                sharpe_high=high,
                max_drawdown=max_drawdown([value for _, value in points]),
                turnover=float(book.volume_usd / first),
                fees_usd=book.fees_usd,
                llm_cost_usd=book.llm_cost_usd,
                differs_from_leader=None
                if name == ordered[0]
                else is_significant(returns[ordered[0]], returns[name]),
            )
        )
    return standings


def sharpe_with_interval(
    sample: Sequence[float], period: timedelta
) -> tuple[float | None, float | None, float | None]:
    """Return the yearly Sharpe ratio of returns per period, and the bounds of its 95 % interval."""
    n = len(sample)
    if n < LEAST_PERIODS or max(sample) == min(sample):
        return None, None, None
    mean = math.fsum(sample) / n
    deviations = [r - mean for r in sample]
    variance = math.fsum(d * d for d in deviations) / n
    std = math.sqrt(variance * n / (n - 1))
    ratio = mean / std
    scale = math.sqrt(variance)
    skewness = math.fsum((d / scale) ** 3 for d in deviations) / n
    kurtosis = math.fsum((d / scale) ** 4 for d in deviations) / n
    spread = max(0.0, 1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2)
    margin = _Z * math.sqrt(spread / (n - 1))
    year = math.sqrt(_YEAR / period)
    return ratio * year, (ratio - margin) * year, (ratio + margin) * year


def is_significant(one: Mapping[int, float], other: Mapping[int, float]) -> bool | None:
    """Tell whether the mean difference of returns over common periods is not zero; None with fewer than 30 of them."""
    common = sorted(one.keys() & other.keys())
    if len(common) < LEAST_PERIODS:
        return None
    differences = [one[number] - other[number] for number in common]
    mean = math.fsum(differences) / len(differences)
    error = newey_west_error(differences)
    return mean != 0 if error == 0 else abs(mean) > _Z * error


def newey_west_error(sample: Sequence[float]) -> float:
    """Return the standard error of a mean whose terms may depend on their neighbours."""
    n = len(sample)
    mean = math.fsum(sample) / n
    deviations = [x - mean for x in sample]
    lag = int(4 * (n / 100) ** (2 / 9))
    total = math.fsum(d * d for d in deviations) / n
    for step in range(1, lag + 1):
        weight = 1 - step / (lag + 1)
        total += 2 * weight * math.fsum(a * b for a, b in zip(deviations, deviations[step:])) / n  # noqa: B905
    return math.sqrt(max(total, 0.0) / n)


def max_drawdown(values: Sequence[Decimal]) -> float:
    """Return the deepest fall from a peak as zero or a negative fraction."""
    peak, deepest = values[0], Decimal(0)
    for value in values:
        peak = max(peak, value)
        if peak > 0:
            deepest = min(deepest, value / peak - 1)
    return float(deepest)


def _returns(points: Sequence[tuple[datetime, Decimal]], period: timedelta) -> dict[int, float]:
    """Return returns by grid period; the last value known at a grid point counts there."""
    seconds = period.total_seconds()
    times = [at.timestamp() for at, _ in points]
    first, last = math.ceil(times[0] / seconds), math.floor(times[-1] / seconds)
    grid = {
        number: points[bisect_right(times, number * seconds) - 1][1]
        for number in range(first, last + 1)
    }
    return {
        number: float(grid[number] / grid[number - 1] - 1)
        for number in range(first + 1, last + 1)
        if grid[number - 1] > 0
    }


def _net(points: Sequence[tuple[datetime, Decimal]], cost_usd: Decimal) -> float:
    return float((points[-1][1] - cost_usd) / points[0][1] - 1)
