"""Performance figures of a series of daily returns: APR, Sharpe and the rest (M2, M4).

Every figure is made of daily returns of equity, none of trades: slicing the same PnL into more trades changes nothing.
The market is open on all days, so that a year has 365 of them.

==============  =====================================================================  ========================
figure          definition on daily returns r₁ … rₙ                                    empyrical, annualization=365
==============  =====================================================================  ========================
total_return    ∏(1 + r) − 1                                                           cum_returns_final
apr             total_return × 365 / n                                                 (simple, not compounded)
cagr            (1 + total_return)^(365/n) − 1                                         annual_return, cagr
volatility      √365 · std(r), ddof 1                                                  annual_volatility
sharpe          √365 · mean(r) / std(r), ddof 1, risk-free rate 0                      sharpe_ratio
sortino         √365 · mean(r) / √mean(min(r, 0)²)                                     sortino_ratio
max_drawdown    smallest equity / highest equity before it − 1, so zero or negative    max_drawdown
profit_factor   sum of winning days / sum of losing days                               none
win_rate        winning days / days that won or lost                                   none
==============  =====================================================================  ========================

The confidence interval of the Sharpe ratio is the asymptotic one of Mertens (2002), "Comments on variance of the IID
estimator in Lo (2002)", which allows for skewed and fat-tailed returns: with the daily ratio S, skewness γ₃, kurtosis
γ₄, the standard error is √((1 − γ₃·S + (γ₄ − 1)/4 · S²)/(n − 1)). It assumes days that are independent of each other:
positively correlated days would make the true interval wider.

A figure that would mean nothing is None: annualized ones with less than a week of history, ratios without any
dispersion (no trades), Sortino and profit factor without a losing day.

Returns and figures are dimensionless floats; fractions, not percent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import mul

DAYS_PER_YEAR = 365
MIN_DAYS = 7
"""History below which nothing is annualized."""

CONFIDENCE = 0.95
_Z = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
_LARGEST_LOG = math.log(1e300)


class Window(StrEnum):
    """How far back figures look: 30 days, 90 days, or since inception."""

    D30 = "30d"
    D90 = "90d"
    SI = "si"

    @property
    def length(self) -> int | None:
        """Days in the window, or None for all of them."""
        return _LENGTHS[self]


_LENGTHS = {Window.D30: 30, Window.D90: 90, Window.SI: None}


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one window; the module's table defines them.

    Parameters
    ----------
    window
        The window asked for.
    days
        Sample size: days of history inside the window, at most its length.
    active_days
        Days with a return other than zero, the sample size of ``win_rate`` and ``profit_factor``.
    sharpe_low, sharpe_high
        Bounds of the 95 % confidence interval of ``sharpe``.
    """

    window: Window
    days: int
    active_days: int
    total_return: float | None
    apr: float | None
    sharpe: float | None
    sharpe_low: float | None
    sharpe_high: float | None
    sortino: float | None
    max_drawdown: float | None
    cagr: float | None
    volatility: float | None
    profit_factor: float | None
    win_rate: float | None


def figures(returns: Sequence[float], window: Window = Window.SI) -> Figures:
    """Return the figures of the last days of a daily series.

    Parameters
    ----------
    returns
        Daily returns as fractions, oldest first, one for every calendar day since inception. A ruined series ends with
        −1; its windows end on that day.
    window
        How many of the last days to look at.
    """
    sample = returns if window.length is None else returns[-window.length :]
    n = len(sample)
    won = [r for r in sample if r > 0]
    lost = [r for r in sample if r < 0]
    active = len(won) + len(lost)
    growth, deepest = _path(sample)
    is_long_enough = n >= MIN_DAYS
    ratios = _ratios(sample, lost) if is_long_enough else _NO_RATIOS
    return Figures(
        window=window,
        days=n,
        active_days=active,
        total_return=growth - 1 if n else None,
        apr=(growth - 1) * DAYS_PER_YEAR / n if is_long_enough else None,
        sharpe=ratios.sharpe,
        sharpe_low=ratios.sharpe_low,
        sharpe_high=ratios.sharpe_high,
        sortino=ratios.sortino,
        max_drawdown=deepest - 1 if n else None,
        cagr=_cagr(growth, n) if is_long_enough else None,
        volatility=ratios.volatility,
        profit_factor=_profit_factor(won, lost),
        win_rate=len(won) / active if active else None,
    )


def figures_by_window(returns: Sequence[float]) -> dict[Window, Figures]:
    """Return the figures of every window of a daily series."""
    return {window: figures(returns, window) for window in Window}


@dataclass(frozen=True, slots=True)
class _Ratios:
    """Figures that compare gain with dispersion."""

    volatility: float | None = None
    sharpe: float | None = None
    sharpe_low: float | None = None
    sharpe_high: float | None = None
    sortino: float | None = None


_NO_RATIOS = _Ratios()


def _ratios(sample: Sequence[float], lost: Sequence[float]) -> _Ratios:
    """Return the figures of at least two returns, those below zero among them, that need mean and moments."""
    n = len(sample)
    year = math.sqrt(DAYS_PER_YEAR)
    mean = math.fsum(sample) / n
    downside = math.sqrt(math.fsum(map(mul, lost, lost)) / n)
    sortino = year * mean / downside if downside else None
    # Equal returns have no dispersion; rounding in the mean must not invent one.
    if all(r == sample[0] for r in sample):
        return _Ratios(volatility=0.0, sortino=sortino)
    deviations = [r - mean for r in sample]
    square = math.fsum(map(mul, deviations, deviations))
    std = math.sqrt(square / (n - 1))
    if std == 0:
        return _Ratios(volatility=0.0, sortino=sortino)
    daily = mean / std
    margin = _Z * year * _standard_error(daily, deviations, square / n)
    return _Ratios(
        volatility=year * std,
        sharpe=year * daily,
        sharpe_low=year * daily - margin,
        sharpe_high=year * daily + margin,
        sortino=sortino,
    )


def _standard_error(daily: float, deviations: Sequence[float], variance: float) -> float:
    """Return the standard error of a daily Sharpe ratio (Mertens 2002)."""
    n = len(deviations)
    scale = math.sqrt(variance)
    scaled = [d / scale for d in deviations]
    squares = list(map(mul, scaled, scaled))
    skewness = math.fsum(map(mul, squares, scaled)) / n
    kurtosis = math.fsum(map(mul, squares, squares)) / n
    # Never negative in exact arithmetic, because kurtosis is at least 1 + skewness².
    spread = max(0.0, 1 - skewness * daily + (kurtosis - 1) / 4 * daily**2)
    return math.sqrt(spread / (n - 1))


def _profit_factor(won: Sequence[float], lost: Sequence[float]) -> float | None:
    """Return gains over losses; None without a loss that can be divided by."""
    losses = -math.fsum(lost)
    factor = math.fsum(won) / losses if losses else math.inf
    return factor if math.isfinite(factor) else None


def _path(sample: Sequence[float]) -> tuple[float, float]:
    """Return what one dollar became, and its deepest fall as a fraction of the peak before, the start included."""
    level = top = deepest = 1.0
    for r in sample:
        level *= 1 + r
        if level >= top:
            top = level
        elif level / top < deepest:
            deepest = level / top
    return level, deepest


def _cagr(growth: float, days: int) -> float | None:
    """Return yearly compounded growth; None where a short, wild history leaves the range of numbers."""
    if growth <= 0:
        return -1.0
    exponent = math.log(growth) * DAYS_PER_YEAR / days
    return math.expm1(exponent) if exponent < _LARGEST_LOG else None
