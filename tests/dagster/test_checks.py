"""Every check can fail, passes when its fact is well, and never speaks about another's fact."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import text

from agentwhere_core.domain.enums import Venue
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
from agentwhere_core.health.rules import assess
from agentwhere_dagster.checks import CHECKS, Check, described, replays_equal
from agentwhere_dagster.resources import AgentWhere
from agentwhere_flow.system import System
from tests.flow.scenes import place_signal

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = HealthThresholds()
VENUES = (Venue.HYPERLIQUID, Venue.OSTIUM, Venue.LIGHTER)

WELL = HealthInputs(
    venues={venue: VenueFacts(NOW - timedelta(hours=1), 50) for venue in VENUES},
    database=DatabaseFacts(is_reachable=True, response_ms=2),
    routing=RoutingFacts(decisions=100, success_rate=0.99, avg_ms=3, p95_ms=9),
    monitor=MonitorFacts(NOW - timedelta(minutes=3), latency_s=2, open_positions=5),
    execution=ExecutionFacts(intents=100, filled=99),
    posts=PostsFacts(pending=3, oldest_pending_age=timedelta(minutes=5)),
)


QUIET = HealthInputs({}, DatabaseFacts(is_reachable=True), monitor=MonitorFacts(NOW))


def venues(facts: VenueFacts) -> HealthInputs:
    return replace(QUIET, venues=dict.fromkeys(VENUES, facts))


ILL = {
    "is_fresh": venues(VenueFacts(NOW - timedelta(hours=27), 50)),
    "lists_markets": venues(VenueFacts(NOW, 0)),
    "is_reachable": venues(VenueFacts(NOW, 50, is_reachable=False, last_error="refused")),
    "backlog_is_short": replace(QUIET, posts=PostsFacts(9, timedelta(hours=13))),
    "is_quick": replace(QUIET, routing=RoutingFacts(10, 1.0, avg_ms=100, p95_ms=300)),
    "finds_venues": replace(QUIET, routing=RoutingFacts(10, 0.5, avg_ms=1, p95_ms=1)),
    "execution_rate": replace(QUIET, execution=ExecutionFacts(intents=100, filled=95)),
    "nothing_in_doubt": replace(QUIET, execution=ExecutionFacts(in_doubt=1)),
    "monitor_runs": replace(QUIET, monitor=MonitorFacts(NOW - timedelta(minutes=13), latency_s=1)),
    "monitor_latency": replace(QUIET, monitor=MonitorFacts(NOW, latency_s=30)),
    "marks_are_fresh": replace(
        QUIET, monitor=MonitorFacts(NOW, latency_s=1, open_positions=3, stale_marks=1)
    ),
    "database_responds": replace(QUIET, database=DatabaseFacts(is_reachable=True, response_ms=50)),
}


def title(check: Check) -> str:
    return f"{check.asset}.{check.name}"


@pytest.mark.parametrize("check", CHECKS, ids=title)
def test_every_check_passes_in_a_system_that_is_well(check: Check) -> None:
    result = check.judge(WELL, NOW, LIMITS)
    assert result.passed
    assert (result.asset_key, result.check_name) == (dg.AssetKey(check.asset), check.name)


@pytest.mark.parametrize("check", CHECKS, ids=title)
def test_every_check_can_fail_and_says_what_to_do(check: Check) -> None:
    result = check.judge(ILL[check.name], NOW, LIMITS)
    assert not result.passed
    assert result.description
    assert ": " in result.description


@pytest.mark.parametrize("check", CHECKS, ids=title)
def test_a_check_fails_only_where_the_health_report_is_not_well_either(check: Check) -> None:
    report = assess(ILL[check.name], NOW).component(check.component)
    assert check.judge(ILL[check.name], NOW, LIMITS).description in {
        "; ".join(f"{found.text}: {found.remedy}" for found in [each]) for each in report.findings
    }


@pytest.mark.parametrize("check", CHECKS, ids=title)
def test_a_check_is_silent_about_the_facts_of_others(check: Check) -> None:
    others = [inputs for name, inputs in ILL.items() if name != check.name]
    for inputs in others:
        assert check.judge(inputs, NOW, LIMITS).passed, (check.name, inputs)


def test_a_venue_that_is_switched_off_fails_nothing() -> None:
    without = HealthInputs({}, DatabaseFacts(is_reachable=True))
    market_checks = [check for check in CHECKS if check.asset.endswith("_markets")]
    assert market_checks
    assert all(check.judge(without, NOW, LIMITS).passed for check in market_checks)


def test_a_critical_fact_is_an_error_and_a_lesser_one_a_warning() -> None:
    checks = {check.name: check for check in CHECKS if check.asset == "health_report"}
    down = replace(QUIET, database=DatabaseFacts(is_reachable=False))
    slow = ILL["database_responds"]
    judge = checks["database_responds"].judge
    assert judge(down, NOW, LIMITS).severity is dg.AssetCheckSeverity.ERROR
    assert judge(slow, NOW, LIMITS).severity is dg.AssetCheckSeverity.WARN


def test_checks_of_one_asset_stand_together() -> None:
    assets = [check.asset for check in CHECKS]
    assert [a for n, a in enumerate(assets) if n == 0 or assets[n - 1] != a] == list(
        dict.fromkeys(assets)
    )


def test_the_replay_check_stands_among_the_checks_of_routing() -> None:
    assert ("routing_decisions", "replays_equal") in {
        (asset, name) for asset, name, _ in described()
    }


def test_a_decision_that_was_changed_by_hand_fails_the_replay_check(system: System) -> None:
    place_signal(system, "BTC", deployment="bold")
    resource = AgentWhere()
    before = replays_equal(agent_where=resource)
    assert isinstance(before, dg.AssetCheckResult)
    assert before.passed
    with system.engine.begin() as conn:
        conn.execute(text("UPDATE agentwhere.venue_routing_history SET story = 'a lie'"))
    after = replays_equal(agent_where=resource)
    resource.system().close()
    assert isinstance(after, dg.AssetCheckResult)
    assert not after.passed
    assert "differs in story" in str(after.description)
    assert "agentwhere route --replay" in str(after.description)
