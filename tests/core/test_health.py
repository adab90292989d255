"""Health: each component's verdict, the overall one, and advice that names the command."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.domain.enums import HealthStatus, Venue
from agentwhere_core.health.facts import (
    DatabaseFacts,
    ExecutionFacts,
    HealthInputs,
    HealthThresholds,
    MonitorFacts,
    PostsFacts,
    RoutingFacts,
    VenueFacts,
)
from agentwhere_core.health.report import to_json
from agentwhere_core.health.rules import ALL_WELL, assess

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HEALTHY, DEGRADED, CRITICAL = HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.CRITICAL

FRESH = VenueFacts(NOW - HOUR, 220)
DOWN = VenueFacts(NOW - HOUR, 8, is_reachable=False, last_error="connection refused")
WELL = HealthInputs(
    venues={Venue.HYPERLIQUID: FRESH, Venue.OSTIUM: replace(FRESH, active_markets=8)},
    database=DatabaseFacts(is_reachable=True, response_ms=12.5),
    routing=RoutingFacts(decisions=156, success_rate=0.985, avg_ms=42, p95_ms=71),
    monitor=MonitorFacts(NOW - timedelta(minutes=3), latency_s=4.2, open_positions=12),
    execution=ExecutionFacts(intents=100, filled=97),
    posts=PostsFacts(pending=2, oldest_pending_age=HOUR),
)
NOTHING_RAN = HealthInputs(
    venues={Venue.HYPERLIQUID: VenueFacts(None, 0), Venue.OSTIUM: VenueFacts(None, 0)},
    database=DatabaseFacts(is_reachable=True, response_ms=2),
)


def status_of(component: str, inputs: HealthInputs) -> HealthStatus:
    return assess(inputs, NOW).component(component).status


def test_when_all_is_well_it_says_so() -> None:
    report = assess(WELL, NOW)
    assert report.status is HEALTHY
    assert report.recommendations == (ALL_WELL,)
    assert {item.status for item in report.components} == {HEALTHY}


def test_one_venue_of_several_that_is_down_degrades_the_system() -> None:
    report = assess(replace(WELL, venues=dict(WELL.venues) | {Venue.OSTIUM: DOWN}), NOW)
    assert report.component("venue:OSTIUM").status is CRITICAL
    assert report.component("venue:HYPERLIQUID").status is HEALTHY
    assert report.status is DEGRADED
    assert report.recommendations == (
        (
            "OSTIUM cannot be reached (connection refused): check its address and your network, "
            "then run `agentwhere sync-markets OSTIUM`"
        ),
    )


def test_all_venues_down_is_critical() -> None:
    assert assess(replace(WELL, venues=dict.fromkeys(WELL.venues, DOWN)), NOW).status is CRITICAL
    assert assess(replace(WELL, venues={Venue.OSTIUM: DOWN}), NOW).status is CRITICAL


def test_what_never_ran_is_degraded_with_advice_and_not_critical() -> None:
    report = assess(NOTHING_RAN, NOW)
    assert report.status is DEGRADED
    assert "OSTIUM was never synced: run `agentwhere sync-markets OSTIUM`" in report.recommendations
    assert any("never ran" in text for text in report.recommendations)
    no_venue = assess(replace(WELL, venues={}), NOW)
    assert no_venue.status is DEGRADED
    assert no_venue.recommendations == ("no venue is set up: set AGENTWHERE_VENUES",)


@pytest.mark.parametrize(
    ("age", "expected"),
    [(26 * HOUR, HEALTHY), (27 * HOUR, DEGRADED), (50 * HOUR, DEGRADED), (51 * HOUR, CRITICAL)],
)
def test_market_data_grows_old(age: timedelta, expected: HealthStatus) -> None:
    old = replace(WELL, venues={Venue.LIGHTER: VenueFacts(NOW - age, 40)})
    assert status_of("venue:LIGHTER", old) is expected


def test_a_venue_that_lists_nothing_is_critical() -> None:
    empty = replace(WELL, venues={Venue.LIGHTER: VenueFacts(NOW, 0)})
    assert status_of("venue:LIGHTER", empty) is CRITICAL


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (DatabaseFacts(is_reachable=True, response_ms=49.9), HEALTHY),
        (DatabaseFacts(is_reachable=True, response_ms=50), DEGRADED),
        (DatabaseFacts(is_reachable=True, response_ms=1000), CRITICAL),
        (DatabaseFacts(is_reachable=False), CRITICAL),
    ],
)
def test_the_database_must_answer_quickly(facts: DatabaseFacts, expected: HealthStatus) -> None:
    assert status_of("database", replace(WELL, database=facts)) is expected
    assert assess(replace(WELL, database=facts), NOW).status is expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (RoutingFacts(), HEALTHY),
        (RoutingFacts(10, 1.0, 99.9, 150), HEALTHY),
        (RoutingFacts(10, 1.0, 100, 150), DEGRADED),
        (RoutingFacts(10, 0.8, 5, 9), HEALTHY),
        (RoutingFacts(10, 0.7, 5, 9), DEGRADED),
    ],
)
def test_routing_must_be_quick_and_find_venues(facts: RoutingFacts, expected: HealthStatus) -> None:
    assert status_of("routing", replace(WELL, routing=facts)) is expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (MonitorFacts(NOW - timedelta(minutes=12), 29.9, 5), HEALTHY),
        (MonitorFacts(NOW - timedelta(minutes=13), 5, 5), DEGRADED),
        (MonitorFacts(NOW - timedelta(minutes=31), 5, 5), CRITICAL),
        (MonitorFacts(NOW - timedelta(minutes=31), 5, 0), DEGRADED),
        (MonitorFacts(NOW, 30, 5), DEGRADED),
        (MonitorFacts(NOW, 5, 5, stale_marks=1), DEGRADED),
        (MonitorFacts(None), DEGRADED),
    ],
)
def test_open_positions_must_be_watched(facts: MonitorFacts, expected: HealthStatus) -> None:
    assert status_of("position_monitor", replace(WELL, monitor=facts)) is expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (ExecutionFacts(), HEALTHY),
        (ExecutionFacts(100, 96), HEALTHY),
        (ExecutionFacts(100, 95), DEGRADED),
        (ExecutionFacts(100, 49), CRITICAL),
        (ExecutionFacts(9, 0), DEGRADED),
        (ExecutionFacts(100, 100, in_doubt=1), DEGRADED),
        (ExecutionFacts(100, 100, kill_switches=1), DEGRADED),
    ],
)
def test_intents_must_fill(facts: ExecutionFacts, expected: HealthStatus) -> None:
    assert status_of("execution", replace(WELL, execution=facts)) is expected


def test_posts_must_not_wait_for_long() -> None:
    old = PostsFacts(pending=7, oldest_pending_age=13 * HOUR)
    assert status_of("posts", replace(WELL, posts=old)) is DEGRADED


@pytest.mark.parametrize(("count", "expected"), [(5, HEALTHY), (6, DEGRADED), (51, CRITICAL)])
def test_errors_add_up(count: int, expected: HealthStatus) -> None:
    assert status_of("errors", replace(WELL, recent_errors=count)) is expected


def test_the_worst_finding_is_recommended_first_and_each_only_once() -> None:
    troubled = replace(
        WELL, routing=RoutingFacts(10, 0.1, 500, 900), database=DatabaseFacts(is_reachable=False)
    )
    said = assess(troubled, NOW).recommendations
    assert said[0].startswith("the database cannot be reached: start it with `agentwhere up`")
    assert len(said) == len(set(said)) == 3


def test_thresholds_can_be_set() -> None:
    strict = HealthThresholds(database_ms=10)
    assert assess(WELL, NOW, strict).component("database").status is DEGRADED


def test_an_unknown_component_is_an_error() -> None:
    with pytest.raises(KeyError):
        assess(WELL, NOW).component("weather")


def test_the_report_keeps_the_names_and_units_of_its_first_users() -> None:
    said = json.loads(json.dumps(to_json(assess(WELL, NOW))))
    assert said["success"] is True
    assert said["status"] == "healthy"
    assert said["venues"]["hyperliquid"]["status"] == "healthy"
    assert said["venues"]["hyperliquid"]["availableMarkets"] == 220
    assert said["venues"]["ostium"]["availableMarkets"] == 8
    assert said["routing"]["avgRoutingTimeMs"] == 42
    assert said["routing"]["successRate"] == 98.5
    assert said["recommendations"] == [ALL_WELL]
    assert said["database"]["responseMs"] == 12.5
    assert said["execution"]["executionRate"] == 97.0
    assert said["positionMonitor"]["openPositions"] == 12
    assert said["timestamp"] == NOW.isoformat()


def test_an_empty_report_is_json_too() -> None:
    said = json.loads(json.dumps(to_json(assess(NOTHING_RAN, NOW))))
    assert said["routing"]["successRate"] is None
    assert said["venues"]["ostium"]["lastSynced"] is None
    assert said["venues"]["ostium"]["findings"][0]["remedy"] == (
        "run `agentwhere sync-markets OSTIUM`"
    )


venue_facts = st.builds(
    VenueFacts,
    st.one_of(st.none(), st.integers(0, 100).map(lambda h: NOW - h * HOUR)),
    st.integers(0, 300),
    st.booleans(),
    st.one_of(st.none(), st.just("503")),
)


@given(
    st.dictionaries(st.sampled_from([Venue.HYPERLIQUID, Venue.OSTIUM, Venue.LIGHTER]), venue_facts),
    st.builds(DatabaseFacts, st.booleans(), st.one_of(st.none(), st.floats(0, 5000))),
    st.builds(ExecutionFacts, st.integers(0, 50), st.integers(0, 50), st.integers(0, 3)),
    st.integers(0, 100),
)
def test_a_report_is_never_better_than_its_parts_except_for_single_venues(
    venues: dict[Venue, VenueFacts],
    database: DatabaseFacts,
    execution: ExecutionFacts,
    errors: int,
) -> None:
    inputs = replace(
        WELL, venues=venues, database=database, execution=execution, recent_errors=errors
    )
    report = assess(inputs, NOW)
    json.dumps(to_json(report))
    others = [item for item in report.components if not item.name.startswith("venue:")]
    assert report.status.rank >= max(item.status.rank for item in others)
    ranks = [item.status.rank for item in report.components if item.name.startswith("venue:")]
    assert report.status.rank >= min(ranks, default=0)
    assert (report.status is HEALTHY) == (report.recommendations == (ALL_WELL,))
