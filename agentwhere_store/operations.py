"""What the system says of itself: runs of steps, errors, health reports and alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from agentwhere_core.domain.enums import HealthStatus, Severity, Venue
from agentwhere_core.domain.ids import new_id
from agentwhere_store.rows import json_safe
from agentwhere_store.tables.operations import alerts, errors, health_reports, step_runs

HEALTH_IS_CURRENT_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Alert:
    """One incident that somebody should look at; open while ``closed_at`` is None."""

    id: UUID
    incident: str
    severity: Severity
    title: str
    detail: str
    opened_at: datetime
    last_seen: datetime
    times_seen: int
    closed_at: datetime | None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None


def record_step(
    conn: Connection,
    *,
    step: str,
    run_id: str | None,
    started_at: datetime,
    finished_at: datetime,
    ok: bool,
    rows_in: int,
    rows_out: int,
    refusals: Mapping[str, int],
    details: Mapping[str, Any],
    error: str | None,
) -> None:
    """Keep one run of a step; ``ok`` is False when anything of it failed, and ``error`` says what."""
    conn.execute(
        insert(step_runs).values(
            id=new_id(),
            step=step,
            run_id=run_id,
            started_at=started_at,
            finished_at=finished_at,
            seconds=Decimal(str(round((finished_at - started_at).total_seconds(), 6))),
            ok=ok,
            rows_in=rows_in,
            rows_out=rows_out,
            refusals=json_safe(refusals),
            details=json_safe(details),
            error=error,
        )
    )


def last_step(conn: Connection, *, apart_from: str = "alerts") -> datetime | None:
    """Return when a step last ended; None if none ever did.

    ``apart_from`` is the step that does not count: telling people is what other processes do as well.
    """
    ended = func.max(step_runs.c.finished_at)
    return conn.execute(select(ended).where(step_runs.c.step != apart_from)).scalar_one_or_none()


def record_error(
    conn: Connection,
    *,
    step: str,
    kind: str,
    message: str,
    at: datetime,
    context: Mapping[str, Any] | None = None,
) -> None:
    """Keep an error with its kind (the exception's name, or ``Problem`` for a partial failure)."""
    conn.execute(
        insert(errors).values(
            id=new_id(),
            step=step,
            kind=kind,
            message=message,
            context=json_safe(context or {}),
            at=at,
        )
    )


def open_alert(
    conn: Connection, *, incident: str, severity: Severity, title: str, detail: str, now: datetime
) -> None:
    """Open an alert, or count the open one of the same incident as seen again; safe against races."""
    statement = insert(alerts).values(
        id=new_id(),
        incident=incident,
        severity=severity.value,
        title=title,
        detail=detail,
        opened_at=now,
        last_seen=now,
    )
    newest = statement.excluded
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["incident"],
            index_where=alerts.c.closed_at.is_(None),
            set_={
                "severity": newest.severity,
                "title": newest.title,
                "detail": newest.detail,
                "last_seen": func.greatest(alerts.c.last_seen, newest.last_seen),
                "times_seen": alerts.c.times_seen + 1,
            },
        )
    )


def close_alert(conn: Connection, incident: str, now: datetime) -> bool:
    """Close the open alert of an incident; return whether there was one."""
    closed = conn.execute(
        update(alerts)
        .where(alerts.c.incident == incident, alerts.c.closed_at.is_(None))
        .values(closed_at=now)
    )
    return closed.rowcount > 0


def acknowledge_alert(conn: Connection, alert: str | UUID, by: str, now: datetime) -> bool:
    """Note that somebody has taken on an open alert, by its incident or id; return whether there was one.

    The first who takes it on stays on record.
    """
    named = alerts.c.id == alert if isinstance(alert, UUID) else alerts.c.incident == alert
    taken = conn.execute(
        update(alerts)
        .where(named, alerts.c.closed_at.is_(None))
        .values(
            acknowledged_at=func.coalesce(alerts.c.acknowledged_at, now),
            acknowledged_by=func.coalesce(alerts.c.acknowledged_by, by),
        )
    )
    return taken.rowcount > 0


def open_alerts(conn: Connection) -> list[Alert]:
    """Return all open alerts, the worst first, then the oldest."""
    rows = conn.execute(
        select(alerts)
        .where(alerts.c.closed_at.is_(None))
        .order_by(alerts.c.severity, alerts.c.opened_at, alerts.c.id)
    )
    return [alert_of(row) for row in rows]


def recent_alerts(conn: Connection, limit: int) -> list[Alert]:
    """Return the newest alerts, open or closed, newest first."""
    newest = select(alerts).order_by(alerts.c.opened_at.desc(), alerts.c.id.desc()).limit(limit)
    return [alert_of(row) for row in conn.execute(newest)]


def alert_of(row: Row[Any]) -> Alert:
    """Return the alert of a row of the table ``alerts``."""
    return Alert(
        id=row.id,
        incident=row.incident,
        severity=Severity(row.severity),
        title=row.title,
        detail=row.detail,
        opened_at=row.opened_at,
        last_seen=row.last_seen,
        times_seen=row.times_seen,
        closed_at=row.closed_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
    )


def save_health_report(
    conn: Connection, *, status: HealthStatus, report: Mapping[str, Any], at: datetime
) -> None:
    """Keep a health report; ``report["venues"]`` maps each venue, in lower case, to at least its ``status``."""
    conn.execute(
        insert(health_reports).values(
            id=new_id(), status=status.value, report=json_safe(report), at=at
        )
    )


def newest_health(conn: Connection) -> tuple[datetime, HealthStatus] | None:
    """Return when health was last judged, and how; None if never."""
    row = conn.execute(
        select(health_reports.c.at, health_reports.c.status)
        .order_by(health_reports.c.at.desc(), health_reports.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else (row.at, HealthStatus(row.status))


def venue_health(conn: Connection, now: datetime) -> dict[Venue, HealthStatus]:
    """Return what the newest health report says of each venue; empty if none is younger than an hour."""
    newest = conn.execute(
        select(health_reports.c.report)
        .where(health_reports.c.at > now - HEALTH_IS_CURRENT_FOR)
        .order_by(health_reports.c.at.desc(), health_reports.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    if newest is None:
        return {}
    return {
        Venue(venue.upper()): HealthStatus(verdict["status"])
        for venue, verdict in newest.get("venues", {}).items()
    }
