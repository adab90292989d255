"""What the system says of itself is kept, exactly and once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Connection, select

from agentwhere_core.domain.enums import HealthStatus, Severity, Venue
from agentwhere_store import operations
from agentwhere_store.engine import make_engine
from agentwhere_store.tables.operations import alerts, errors, step_runs

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    engine = make_engine(database_url)
    with engine.begin() as conn:
        yield conn
    engine.dispose()


def say(conn: Connection, status: HealthStatus, at: datetime) -> None:
    report = {"venues": {"ostium": {"status": status.value}}}
    operations.save_health_report(conn, status=status, report=report, at=at)


def test_a_step_keeps_its_decimals_as_text(conn: Connection) -> None:
    operations.record_step(
        conn,
        step="orders",
        run_id=None,
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=2),
        ok=True,
        rows_in=3,
        rows_out=1,
        refusals={"UNFUNDED": 2},
        details={"fee": Decimal("0.10")},
        error=None,
    )
    row = conn.execute(select(step_runs)).one()
    assert (row.seconds, row.refusals, row.details) == (2, {"UNFUNDED": 2}, {"fee": "0.10"})


def test_an_error_keeps_its_context(conn: Connection) -> None:
    operations.record_error(
        conn, step="orders", kind="RefusedError", message="no", at=NOW, context={"order": 1}
    )
    row = conn.execute(select(errors)).one()
    assert (row.kind, row.context, row.at) == ("RefusedError", {"order": 1}, NOW)


def test_the_newest_health_report_speaks_for_the_venues(conn: Connection) -> None:
    say(conn, HealthStatus.CRITICAL, NOW)
    say(conn, HealthStatus.HEALTHY, NOW - timedelta(minutes=10))
    found = operations.venue_health(conn, NOW + timedelta(minutes=1))
    assert found == {Venue.OSTIUM: HealthStatus.CRITICAL}


def test_an_old_health_report_says_nothing(conn: Connection) -> None:
    say(conn, HealthStatus.CRITICAL, NOW)
    assert operations.venue_health(conn, NOW + timedelta(minutes=61)) == {}


def test_an_alert_that_was_seen_late_does_not_turn_time_back(conn: Connection) -> None:
    for at in (NOW, NOW - timedelta(minutes=5)):
        operations.open_alert(
            conn, incident="a", severity=Severity.WARNING, title="t", detail="d", now=at
        )
    (alert,) = operations.open_alerts(conn)
    assert (alert.last_seen, alert.times_seen) == (NOW, 2)


def test_a_closed_alert_stays_in_the_records(conn: Connection) -> None:
    operations.open_alert(
        conn, incident="a", severity=Severity.WARNING, title="t", detail="d", now=NOW
    )
    assert operations.close_alert(conn, "a", NOW + timedelta(minutes=1))
    assert conn.execute(select(alerts.c.closed_at)).scalar_one() == NOW + timedelta(minutes=1)
