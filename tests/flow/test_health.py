"""The health report: what is measured, what is said, and that a bad one is a result, not a failure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Connection, select

from agentwhere_core.domain.enums import HealthStatus, Venue
from agentwhere_core.domain.errors import ConfigurationError, UnreachableError
from agentwhere_core.health.facts import HealthThresholds
from agentwhere_flow.health import judge, measure, report_health
from agentwhere_flow.health_settings import HealthSettings
from agentwhere_flow.report import StepFailedError, Tally, step
from agentwhere_flow.settings import Settings
from agentwhere_flow.system import System
from agentwhere_store import markets as market_store
from agentwhere_store import operations
from agentwhere_store.tables.operations import health_reports
from tests.core.examples import market
from tests.flow.money import deploy, mark_at, open_agent, trade

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def system(database_url: str, tmp_path: Path) -> Iterator[System]:
    system = System(Settings(DATABASE_URL=database_url, home=tmp_path))
    yield system
    system.close()


@pytest.fixture
def conn(system: System) -> Iterator[Connection]:
    """A connection that commits every statement, so that steps see what a test wrote."""
    with system.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        yield conn


@step("market_lists")
def sync(system: System, now: datetime, *, venue: Venue) -> Tally:
    """Bring one market home, as the real step does."""
    with system.engine.begin() as conn:
        one = market(venue)
        market_store.replace_list(conn, venue, [_at(one, now)])
    return Tally(details={"venue": venue.value})


@step("market_lists")
def fail_to_sync(system: System, now: datetime, *, venue: Venue) -> Tally:
    """Fail as a venue does that cannot be reached."""
    raise UnreachableError(venue.lower(), "connection refused; is it running?")


@step("positions")
def watch(system: System, now: datetime) -> Tally:
    return Tally(details={"accounts": 1}, problems=["one account did not answer"])


@step("positions")
def break_off(system: System, now: datetime) -> Tally:
    raise ConfigurationError("a key is missing")


def _at(one: Any, now: datetime) -> Any:
    from dataclasses import replace

    return replace(one, last_synced=now)


def sync_all(system: System, now: datetime = NOW) -> None:
    for venue in system.settings.venues:
        sync(system, now, venue=venue)


def kept(conn: Connection) -> dict[str, Any]:
    newest = select(health_reports.c.report).order_by(health_reports.c.id.desc()).limit(1)
    found: dict[str, Any] = conn.execute(newest).scalar_one()
    return found


def test_an_empty_database_is_degraded_and_told_what_to_do(
    system: System, conn: Connection
) -> None:
    report = report_health(system, NOW)
    assert report.problems == ()
    assert report.details["status"] == "degraded"
    assert any("agentwhere sync-markets" in line for line in report.details["recommendations"])
    assert any("never ran" in line for line in report.details["recommendations"])
    assert {row["component"] for row in report.table} >= {"venue:OSTIUM", "database", "errors"}
    assert kept(conn)["status"] == "degraded"


def test_a_system_that_works_is_healthy(system: System, conn: Connection) -> None:
    sync_all(system)
    watch(system, NOW)
    report = report_health(system, NOW + MINUTE)
    assert report.details == {
        "status": "healthy",
        "recommendations": ["All systems operational"],
    }
    assert kept(conn)["venues"]["hyperliquid"]["availableMarkets"] == 1


def test_the_database_says_how_fast_it_is(system: System) -> None:
    facts = measure(system, NOW).database
    assert facts.is_reachable
    assert facts.response_ms is not None
    assert facts.response_ms > 0


def test_a_venue_is_unreachable_until_it_answers_again(system: System) -> None:
    sync_all(system, NOW - timedelta(hours=2))
    with pytest.raises(UnreachableError):
        fail_to_sync(system, NOW, venue=Venue.OSTIUM)
    facts = measure(system, NOW + MINUTE).venues
    assert not facts[Venue.OSTIUM].is_reachable
    assert "connection refused" in (facts[Venue.OSTIUM].last_error or "")
    assert facts[Venue.HYPERLIQUID].is_reachable
    sync(system, NOW + 2 * MINUTE, venue=Venue.OSTIUM)
    recovered = measure(system, NOW + 3 * MINUTE).venues[Venue.OSTIUM]
    assert recovered.is_reachable
    assert recovered.last_error is None


def test_routing_reads_the_newest_report_while_it_is_current(
    system: System, conn: Connection
) -> None:
    assert operations.venue_health(conn, NOW) == {}
    sync_all(system, NOW - timedelta(hours=2))
    with pytest.raises(UnreachableError):
        fail_to_sync(system, NOW, venue=Venue.OSTIUM)
    assert report_health(system, NOW).problems == ()
    health = operations.venue_health(conn, NOW + MINUTE)
    assert health[Venue.OSTIUM] is HealthStatus.CRITICAL
    assert health[Venue.HYPERLIQUID] is HealthStatus.HEALTHY
    assert operations.venue_health(conn, NOW + timedelta(hours=2)) == {}


def test_a_monitor_run_that_was_broken_off_does_not_count(system: System) -> None:
    watch(system, NOW)
    with pytest.raises(ConfigurationError):
        break_off(system, NOW + 5 * MINUTE)
    last = measure(system, NOW + 6 * MINUTE).monitor.last_run_at
    assert last is not None
    assert NOW <= last < NOW + MINUTE


def test_open_positions_with_old_prices_are_counted(system: System, conn: Connection) -> None:
    desk = deploy(conn, open_agent(conn, "a", NOW), 1_000, NOW)
    fresh = trade(conn, desk, (NOW - 60 * MINUTE, "10"))
    trade(conn, desk, (NOW - 60 * MINUTE, "10"))
    mark_at(conn, fresh, "11", NOW - MINUTE)
    facts = measure(system, NOW).monitor
    assert (facts.open_positions, facts.stale_marks) == (2, 1)


def test_errors_are_recent_for_an_hour(system: System, conn: Connection) -> None:
    for age in (5, 30, 90):
        operations.record_error(
            conn, step="posts", kind="Problem", message="no", at=NOW - age * MINUTE
        )
    assert measure(system, NOW).recent_errors == 2


def test_a_database_without_tables_is_told_to_be_set_up(system: System, conn: Connection) -> None:
    conn.exec_driver_sql("DROP SCHEMA agentwhere CASCADE")
    with pytest.raises(ConfigurationError, match="agentwhere setup"):
        report_health(system, NOW)


def test_a_database_that_does_not_answer_is_said_to_be_down(tmp_path: Path) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    system = System(Settings(DATABASE_URL=nowhere, home=tmp_path))
    assert not measure(system, NOW).database.is_reachable
    with pytest.raises(StepFailedError, match="cannot be reached"):
        report_health(system, NOW)


def test_decimals_do_not_reach_the_report(system: System, conn: Connection) -> None:
    watch(system, NOW)
    report_health(system, NOW)
    latency = kept(conn)["positionMonitor"]["latencySeconds"]
    assert isinstance(latency, int | float)
    assert not isinstance(latency, Decimal)


@pytest.mark.parametrize(("minutes", "findings"), [(2, 1), (4, 0)])
def test_each_limit_is_a_setting(
    database_url: str, tmp_path: Path, minutes: int, findings: int
) -> None:
    limits = {"health_monitor_silent_min": minutes}
    system = System(Settings(DATABASE_URL=database_url, home=tmp_path, **limits))
    watch(system, NOW - 3 * MINUTE)
    assert len(judge(system, NOW).component("position_monitor").findings) == findings
    system.close()


def test_settings_and_rules_have_the_same_defaults() -> None:
    assert Settings().health == HealthThresholds()


def test_limits_in_the_wrong_order_are_refused_by_name() -> None:
    with pytest.raises(ValidationError, match=r"AGENTWHERE_HEALTH_DATABASE_MS is 2000\.0"):
        Settings(health_database_ms=2000)


def test_every_limit_is_in_the_documents_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
    for name, field in HealthSettings.model_fields.items():
        short = name.upper().removeprefix("HEALTH_")
        [row] = [line for line in page.splitlines() if re.match(rf"\| `.*_{short}`", line)]
        assert f"{field.default:g}" in row.split("|")[2], name
