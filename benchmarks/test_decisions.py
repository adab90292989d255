"""One routing decision in memory, and the same decision recomputed from its row."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from agentwhere_core.domain.enums import RoutingStrategy, Venue
from agentwhere_core.domain.routing import FundsAt
from agentwhere_core.where.availability import check_availability
from agentwhere_core.where.record import tell_scene
from agentwhere_core.where.router import replay, route
from agentwhere_core.where.scene import Scene, Site, Standing
from benchmarks.scenes import (
    CONFIG,
    EVERYWHERE,
    HL,
    LIGHTER,
    NOW,
    REQUEST,
    STANDINGS,
    book,
    chosen_at_once,
    chosen_last,
    market,
)
from benchmarks.sheet import Sheet, micros, percentile

ROUNDS = 20_000
TARGET = "< 50 µs"


def distribution(benchmark: BenchmarkFixture) -> str:
    """Return median and 99th percentile of what was timed call by call."""
    times = sorted(benchmark.stats.stats.data)
    return f"p50 {micros(percentile(times, 0.5))}, p99 {micros(percentile(times, 0.99))}"


def fastest(work: Any, *, rounds: int = 2000) -> float:
    """Return the median time of a call, for what stands beside."""
    from time import perf_counter

    times = []
    for _ in range(rounds):
        began = perf_counter()
        work()
        times.append(perf_counter() - began)
    return percentile(sorted(times), 0.5)


@pytest.mark.parametrize(
    ("title", "scene", "last"),
    [
        ("a decision: the first venue takes it", chosen_at_once(), HL),
        ("a decision: two venues refuse, the third takes it", chosen_last(), LIGHTER),
    ],
    ids=["first venue", "third venue"],
)
def test_one_decision(
    benchmark: BenchmarkFixture, sheet: Sheet, title: str, scene: Scene, last: Venue
) -> None:
    decision = benchmark.pedantic(
        route, args=(REQUEST, scene, STANDINGS), rounds=ROUNDS, warmup_rounds=500
    )
    assert decision.selected_venue is last
    bare = fastest(lambda: check_availability(last, scene, REQUEST, STANDINGS[last]))
    sheet.add(
        title,
        distribution(benchmark),
        beside=f"one venue checked and priced, nothing recorded: {micros(bare)}",
        target=TARGET,
    )


@pytest.mark.parametrize(
    ("strategy", "rounds"),
    [
        (RoutingStrategy.BEST_LIQUIDITY, ROUNDS),
        (RoutingStrategy.LOWEST_FEES, ROUNDS),
        (RoutingStrategy.SPLIT, 500),
    ],
)
def test_one_decision_over_three_books(
    benchmark: BenchmarkFixture, sheet: Sheet, strategy: RoutingStrategy, rounds: int
) -> None:
    sites = {venue: Site(market(venue), book(venue)) for venue in EVERYWHERE}
    scene = Scene("BTC", replace(CONFIG, routing_strategy=strategy), sites, NOW)
    large = replace(REQUEST, margin_usd=Decimal(1_000_000))
    rich = Standing(FundsAt(Decimal(10**9), Decimal(10**9)))
    standings = dict.fromkeys(EVERYWHERE, rich)
    decision = benchmark.pedantic(
        route, args=(large, scene, standings), rounds=rounds, warmup_rounds=20
    )
    assert decision.selected_venue is not None
    sheet.add(
        f"a decision by {strategy}, over three books",
        distribution(benchmark),
        target=TARGET if strategy is not RoutingStrategy.SPLIT else "",
    )


def test_one_replay(benchmark: BenchmarkFixture, sheet: Sheet) -> None:
    scene = chosen_at_once()
    decision = route(REQUEST, scene, STANDINGS)
    row, kept = json.dumps(decision.inputs), json.dumps(tell_scene(scene))
    inputs, told = json.loads(row), json.loads(kept)
    again = benchmark.pedantic(replay, args=(inputs, told), rounds=ROUNDS, warmup_rounds=500)
    assert again == decision
    parsing = fastest(lambda: (json.loads(row), json.loads(kept)))
    sheet.add(
        "a decision replayed from its row and its scene",
        distribution(benchmark),
        beside=f"json.loads of both ({len(row):,} and {len(kept):,} bytes): {micros(parsing)}",
    )
