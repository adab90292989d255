"""Figures: they agree with empyrical, do not depend on the number of trades, and never flatter."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

import empyrical
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentwhere_core.domain.enums import OrderSide, Venue
from agentwhere_core.domain.trade import Fill
from agentwhere_core.execution.positions import episodes
from agentwhere_core.performance.equity import (
    Book,
    CapitalFlow,
    PnlChange,
    daily_equity,
)
from agentwhere_core.performance.figures import (
    MIN_DAYS,
    Figures,
    Window,
    figures,
    figures_by_window,
)

YEAR = 365
START = date(2026, 1, 1)
D = Decimal


def generated(seed: int, days: int, *, drift: float = 0.001, idle: float = 0.2) -> list[float]:
    """Return daily returns with fat tails and idle days."""
    rng = Random(seed)
    return [
        0.0 if rng.random() < idle else max(-0.5, drift + 0.02 * rng.gauss(0, 1) ** 3 / 2)
        for _ in range(days)
    ]


SERIES = [
    generated(1, 7),
    generated(2, 30, idle=0),
    generated(3, 45),
    generated(4, 90, drift=-0.01),
    generated(5, 400),
    generated(6, 1500, drift=0.004),
    generated(7, 200, idle=0.95),
]


@pytest.mark.parametrize("returns", SERIES, ids=len)
def test_each_figure_agrees_with_empyrical(returns: list[float]) -> None:
    array = np.array(returns)
    ours = figures(returns)
    expected = {
        "total_return": empyrical.cum_returns_final(array),
        "apr": empyrical.cum_returns_final(array) * YEAR / len(returns),
        "cagr": empyrical.cagr(array, annualization=YEAR),
        "volatility": empyrical.annual_volatility(array, annualization=YEAR),
        "sharpe": empyrical.sharpe_ratio(array, annualization=YEAR),
        "sortino": empyrical.sortino_ratio(array, annualization=YEAR),
        "max_drawdown": empyrical.max_drawdown(array),
    }
    for name, value in expected.items():
        assert getattr(ours, name) == pytest.approx(float(value), rel=1e-9, abs=1e-9), name
    assert ours.cagr == pytest.approx(
        float(empyrical.annual_return(array, annualization=YEAR)), rel=1e-9
    )


@pytest.mark.parametrize("window", Window)
def test_a_window_holds_the_last_days_only(window: Window) -> None:
    returns = generated(8, 120)
    days = {Window.D30: 30, Window.D90: 90, Window.SI: 120}[window]
    ours = figures_by_window(returns)[window]
    assert ours == replace(figures(returns[-days:]), window=window)
    assert (ours.days, ours.window) == (days, window)


def trades_of_a_day(day: date, pnl: Decimal, trades: int) -> list[Fill]:
    """Return round trips on one day that earn ``pnl`` before fees of 0.32 in total."""
    fills = []
    for number in range(trades):
        opened = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=number)
        entry = Fill(
            venue=Venue.HYPERLIQUID,
            account_id=UUID(int=1),
            fill_id=f"{day}-{number:02d}-in",
            venue_order_id="1",
            client_id=None,
            token="BTC",
            market_name="BTC",
            side=OrderSide.BUY,
            size=D(1),
            price=D(100),
            fee_usd=D("0.16") / trades,
            closed_pnl_usd=D(0),
            at=opened,
            is_liquidation=False,
            raw={},
        )
        leave = replace(
            entry,
            fill_id=f"{day}-{number:02d}-out",
            side=OrderSide.SELL,
            price=D(100) + pnl / trades,
            at=opened + timedelta(minutes=30),
        )
        fills += [entry, leave]
    return fills


def figures_from_fills(daily: list[Decimal], trades: int) -> dict[Window, Figures]:
    """Go the whole way: fills, positions, amounts by day, equity, returns, figures."""
    fills = [
        fill
        for number, pnl in enumerate(daily)
        for fill in trades_of_a_day(START + timedelta(days=number), pnl, trades)
    ]
    positions = episodes(fills)
    assert len(positions) == trades * len(daily)
    changes = [
        PnlChange(
            item.fills[-1].at.date(),
            Venue.HYPERLIQUID,
            item.state.realized_pnl_usd - item.state.fees_usd,
        )
        for item in positions
    ]
    book = Book((CapitalFlow(START, D(1000)),), tuple(changes))
    through = START + timedelta(days=len(daily) - 1)
    return figures_by_window(daily_equity([book], through).returns)


def test_one_trade_a_day_and_sixteen_have_equal_figures() -> None:
    rng = Random(9)
    daily = [D(str(round(rng.gauss(-0.4, 12), 2))) for _ in range(100)]
    assert figures_from_fills(daily, 1) == figures_from_fills(daily, 16)


@given(st.lists(st.decimals("-9", "9", places=2), min_size=8, max_size=20))
def test_the_number_of_trades_never_matters(daily: list[Decimal]) -> None:
    assert figures_from_fills(daily, 1) == figures_from_fills(daily, 4)


def test_a_losing_agent_looks_as_bad_as_it_is() -> None:
    # Loses 4.69 % of its capital every ten days, by one trade a day.
    ours = figures([-0.00480] * 10)
    assert ours.total_return == pytest.approx(-0.04697, abs=1e-5)
    assert ours.apr == pytest.approx(-0.04697 * 36.5, abs=1e-3)


def test_nothing_is_annualized_below_a_week() -> None:
    young = figures([0.01, -0.01, 0.02, 0.01, 0.0, 0.03])
    assert young.days == MIN_DAYS - 1
    annual = (young.apr, young.sharpe, young.sharpe_low, young.sortino, young.cagr)
    assert annual == (None, None, None, None, None)
    assert young.volatility is None
    assert young.total_return == pytest.approx(1.01 * 0.99 * 1.02 * 1.01 * 1.03 - 1)
    assert young.max_drawdown == pytest.approx(-0.01)
    assert young.win_rate == pytest.approx(4 / 5)
    assert figures([0.01] * 6 + [0.02]).apr is not None


def test_no_history_gives_no_figure() -> None:
    empty = figures([])
    values = [getattr(empty, name) for name in Figures.__dataclass_fields__ if name != "window"]
    assert values == [0, 0, *[None] * 11]


def test_an_agent_that_never_trades_has_earned_nothing_and_has_no_ratio() -> None:
    idle = figures([0.0] * 40)
    assert (idle.total_return, idle.apr, idle.cagr, idle.max_drawdown) == (0, 0, 0, 0)
    assert idle.volatility == 0
    assert (idle.sharpe, idle.sortino, idle.profit_factor, idle.win_rate) == (None,) * 4
    assert (idle.days, idle.active_days) == (40, 0)


def test_an_agent_that_only_wins_has_no_ratio_to_its_losses() -> None:
    winner = figures([0.01, 0.02] * 10)
    assert (winner.win_rate, winner.max_drawdown) == (1, 0)
    assert (winner.sortino, winner.profit_factor) == (None, None)
    assert winner.sharpe is not None


def test_a_constant_gain_has_no_sharpe_instead_of_an_enormous_one() -> None:
    steady = figures([0.1] * 30)
    assert (steady.sharpe, steady.sharpe_low, steady.sharpe_high) == (None, None, None)
    assert steady.volatility == 0


def test_a_ruined_agent_keeps_its_loss_in_every_window() -> None:
    for ours in figures_by_window([0.01] * 200 + [-1.0]).values():
        assert (ours.total_return, ours.max_drawdown, ours.cagr) == (-1, -1, -1)
        assert ours.apr == pytest.approx(-365 / ours.days)


def test_figures_computed_by_hand() -> None:
    ours = figures([0.1, -0.1, 0.0, 0.05, 0.0, -0.02, 0.03, 0.0])
    growth = 1.1 * 0.9 * 1.05 * 0.98 * 1.03
    assert ours.total_return == pytest.approx(growth - 1)
    assert ours.apr == pytest.approx((growth - 1) * 365 / 8)
    assert ours.max_drawdown == pytest.approx(-0.1)
    assert ours.win_rate == pytest.approx(3 / 5)
    assert ours.profit_factor == pytest.approx(0.18 / 0.12)
    assert ours.sharpe == pytest.approx(math.sqrt(365) * 0.0075 / math.sqrt(0.02335 / 7))
    assert ours.sortino == pytest.approx(math.sqrt(365) * 0.0075 / math.sqrt(0.0104 / 8))


def test_a_wild_week_does_not_leave_the_range_of_numbers() -> None:
    assert figures([1e6] * 7).cagr is None


def test_the_interval_of_the_sharpe_ratio_covers_the_truth_as_often_as_it_says() -> None:
    rng = Random(10)
    truth = math.sqrt(365) * 0.1
    hits = 0
    for _ in range(400):
        ours = figures([rng.gauss(0.002, 0.02) for _ in range(120)])
        assert ours.sharpe_low is not None
        assert ours.sharpe_high is not None
        hits += ours.sharpe_low <= truth <= ours.sharpe_high
    assert 0.92 <= hits / 400 <= 0.98


def test_more_history_narrows_the_interval() -> None:
    long = generated(11, 1000, idle=0)
    widths = []
    for days in (50, 200, 1000):
        ours = figures(long[:days])
        assert ours.sharpe_low is not None
        assert ours.sharpe_high is not None
        widths.append(ours.sharpe_high - ours.sharpe_low)
    assert widths[0] > widths[1] > widths[2]


@given(st.lists(st.floats(-0.99, 2), min_size=1, max_size=60))
@example([1.0, -5e-324])
def test_figures_are_finite_and_in_range(returns: list[float]) -> None:
    ours = figures(returns)
    values = [getattr(ours, name) for name in Figures.__dataclass_fields__ if name != "window"]
    assert all(value is None or math.isfinite(value) for value in values)
    assert ours.max_drawdown is not None
    assert -1 <= ours.max_drawdown <= 0
    assert ours.win_rate is None or 0 <= ours.win_rate <= 1
    assert ours.profit_factor is None or ours.profit_factor >= 0
    if ours.sharpe is not None:
        assert ours.sharpe_low is not None
        assert ours.sharpe_high is not None
        assert ours.sharpe_low <= ours.sharpe <= ours.sharpe_high
