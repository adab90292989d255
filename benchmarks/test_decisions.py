"""One routing decision in memory, and the same decision recomputed from its row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from agentwhere_core.domain.enums import Venue
from agentwhere_core.where.availability import VenueView, check_availability
from agentwhere_core.where.router import replay, route
from benchmarks.scenes import CONFIG, HL, NOW, REQUEST, chosen_at_once, chosen_last
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
    ("title", "views", "last"),
    [
        ("a decision: the first venue takes it", chosen_at_once(), HL),
        ("a decision: two venues refuse, the third takes it", chosen_last(), Venue.LIGHTER),
    ],
    ids=["first venue", "third venue"],
)
def test_one_decision(
    benchmark: BenchmarkFixture,
    sheet: Sheet,
    title: str,
    views: Mapping[Venue, VenueView],
    last: Venue,
) -> None:
    decision = benchmark.pedantic(
        route, args=(REQUEST, CONFIG, views, NOW), rounds=ROUNDS, warmup_rounds=500
    )
    assert decision.selected_venue is last
    bare = fastest(lambda: check_availability(last, views[last], REQUEST, NOW))
    sheet.add(
        title,
        distribution(benchmark),
        beside=f"one venue checked and priced, nothing recorded: {micros(bare)}",
        target=TARGET,
    )


def test_one_replay(benchmark: BenchmarkFixture, sheet: Sheet) -> None:
    decision = route(REQUEST, CONFIG, chosen_at_once(), NOW)
    row = json.dumps(decision.inputs)
    inputs = json.loads(row)
    assert benchmark.pedantic(replay, args=(inputs,), rounds=ROUNDS, warmup_rounds=500) == decision
    parsing = fastest(lambda: json.loads(row))
    sheet.add(
        "a decision replayed from its row's inputs",
        distribution(benchmark),
        beside=f"json.loads of these inputs ({len(row):,} bytes): {micros(parsing)}",
    )
