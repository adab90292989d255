"""Results: what differs is called different, and chance is not."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agentwhere_core.arena.results import (
    Ledgered,
    is_significant,
    max_drawdown,
    newey_west_error,
    rank,
    sharpe_with_interval,
)
from agentwhere_core.performance.figures import figures

START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)


def walk(returns: list[float]) -> list[tuple[datetime, Decimal]]:
    """Return account values that begin with 10,000."""
    value, points = 10_000.0, [(START, Decimal(10_000))]
    for number, change in enumerate(returns, start=1):
        value *= 1 + change
        points.append((START + number * STEP, Decimal(repr(value))))
    return points


def test_the_sharpe_ratio_is_that_of_the_agents_figures() -> None:
    dice = random.Random(1)
    sample = [dice.gauss(0.001, 0.01) for _ in range(100)]
    daily = figures(sample)
    assert sharpe_with_interval(sample, timedelta(days=1)) == pytest.approx(
        (daily.sharpe, daily.sharpe_low, daily.sharpe_high)
    )


def test_chance_is_not_called_a_difference() -> None:
    """Of 200 pairs of equal traders about one in twenty may look different."""
    dice = random.Random(2)
    found = 0
    for _ in range(200):
        one = {n: dice.gauss(0, 0.01) for n in range(200)}
        other = {n: dice.gauss(0, 0.01) for n in range(200)}
        found += bool(is_significant(one, other))
    assert found <= 24


def test_a_steady_difference_is_found_under_a_market_that_moves_both() -> None:
    dice = random.Random(3)
    market = [dice.gauss(0, 0.02) for _ in range(200)]
    one = {n: m + 0.0005 + dice.gauss(0, 0.001) for n, m in enumerate(market)}
    other = dict(enumerate(market))
    assert is_significant(one, other) is True


def test_too_few_periods_prove_nothing() -> None:
    assert is_significant(dict.fromkeys(range(29), 1.0), dict.fromkeys(range(29), 0.0)) is None


def test_neighbours_that_move_together_widen_the_error() -> None:
    dice = random.Random(4)
    noise = [dice.gauss(0, 1) for _ in range(500)]
    smooth = [sum(noise[n : n + 5]) for n in range(495)]
    mean = sum(smooth) / len(smooth)
    plain = (sum((x - mean) ** 2 for x in smooth) / len(smooth) ** 2) ** 0.5
    assert newey_west_error(smooth) > 1.5 * plain


def test_the_ranking_is_net_of_what_a_model_costs() -> None:
    values = {"cheap": walk([0.001] * 40), "dear": walk([0.0011] * 40), "nothing": walk([0.0] * 40)}
    books = {"dear": Ledgered(llm_cost_usd=Decimal(1000))}
    found = rank(values, books, period=STEP)
    assert [(one.rank, one.name) for one in found] == [(1, "cheap"), (2, "nothing"), (3, "dear")]
    assert found[1].sharpe is None
    assert found[0].differs_from_leader is None
    assert found[1].differs_from_leader is True


def test_the_deepest_fall_is_from_a_peak() -> None:
    assert max_drawdown([Decimal(v) for v in (100, 120, 90, 130, 117)]) == pytest.approx(-0.25)
