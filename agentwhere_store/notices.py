"""Notices of alerts: what each target was told, what still waits, and what failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from agentwhere_core.alerts.notices import Incident, Notice, NoticeKind, NoticeState, Target
from agentwhere_core.domain.enums import Severity
from agentwhere_core.domain.ids import new_id
from agentwhere_store.operations import Alert, alert_of
from agentwhere_store.tables.operations import alert_notices, alerts

ENDED_WITHIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Told:
    """An incident, and the notices of it that each target has, by the target's name."""

    incident: Incident
    notices: Mapping[str, Sequence[Notice]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notice that must be sent, with the alert that it tells of."""

    id: UUID
    target: str
    notice: Notice
    attempts: int
    created_at: datetime
    alert: Alert

    @property
    def incident(self) -> Incident:
        """The alert as deciding sees it."""
        return incident_of(self.alert)


def told(conn: Connection, now: datetime) -> list[Told]:
    """Return the incidents that are open, or ended within `ENDED_WITHIN`, with their notices; oldest first."""
    matters = or_(alerts.c.closed_at.is_(None), alerts.c.closed_at > now - ENDED_WITHIN)
    kept: dict[UUID, dict[str, list[Notice]]] = defaultdict(lambda: defaultdict(list))
    for row in conn.execute(
        select(alert_notices).join(alerts).where(matters).order_by(alert_notices.c.created_at)
    ):
        kept[row.alert_id][row.target].append(_notice(row))
    rows = conn.execute(select(alerts).where(matters).order_by(alerts.c.opened_at, alerts.c.id))
    return [Told(incident_of(alert_of(row)), kept.get(row.id, {})) for row in rows]


def add(conn: Connection, alert_id: UUID, target: Target, notice: Notice, now: datetime) -> None:
    """Plan a notice, unless it is planned already."""
    conn.execute(
        insert(alert_notices)
        .values(
            id=new_id(),
            alert_id=alert_id,
            target=target.name,
            kind=notice.kind.value,
            number=notice.number,
            severity=notice.severity.value,
            created_at=now,
            next_attempt_at=now,
        )
        .on_conflict_do_nothing()
    )


def waiting(conn: Connection, now: datetime) -> list[Waiting]:
    """Return the notices to send now, oldest first: those whose time has come, and those found half sent."""
    columns = alert_notices.c
    rows = conn.execute(
        select(
            columns.id.label("notice_id"),
            columns.target,
            columns.kind,
            columns.number,
            columns.severity.label("notice_severity"),
            columns.state,
            columns.told_at,
            columns.attempts,
            columns.created_at,
            alerts,
        )
        .join(alerts)
        .where(
            or_(
                columns.state == NoticeState.SENDING.value,
                and_(
                    columns.state == NoticeState.PENDING.value,
                    columns.next_attempt_at <= now,
                ),
            )
        )
        .order_by(columns.created_at, columns.id)
    )
    return [
        Waiting(
            id=row.notice_id,
            target=row.target,
            notice=Notice(
                kind=NoticeKind(row.kind),
                number=row.number,
                severity=Severity(row.notice_severity),
                state=NoticeState(row.state),
                told_at=row.told_at,
            ),
            attempts=row.attempts,
            created_at=row.created_at,
            alert=alert_of(row),
        )
        for row in rows
    ]


def begin(conn: Connection, notice_id: UUID, now: datetime) -> None:
    """Note that a notice is about to be sent: from here on it may have arrived."""
    conn.execute(
        update(alert_notices)
        .where(alert_notices.c.id == notice_id)
        .values(state=NoticeState.SENDING.value, attempts=alert_notices.c.attempts + 1, told_at=now)
    )


def finish(
    conn: Connection,
    notice_id: UUID,
    state: NoticeState,
    *,
    error: str | None = None,
    next_attempt_at: datetime | None = None,
) -> None:
    """Note how sending a notice ended; ``next_attempt_at`` where it is to be tried again."""
    values: dict[str, Any] = {"state": state.value, "error": error}
    if next_attempt_at is not None:
        values["next_attempt_at"] = next_attempt_at
    conn.execute(update(alert_notices).where(alert_notices.c.id == notice_id).values(**values))


def recent(conn: Connection, limit: int) -> list[dict[str, Any]]:
    """Return the newest notices with the incident that they tell of, newest first."""
    rows = conn.execute(
        select(
            alert_notices.c.created_at,
            alert_notices.c.target,
            alert_notices.c.kind,
            alert_notices.c.state,
            alert_notices.c.attempts,
            alert_notices.c.told_at,
            alert_notices.c.error,
            alerts.c.incident,
            alerts.c.title,
        )
        .join(alerts)
        .order_by(alert_notices.c.created_at.desc(), alert_notices.c.id.desc())
        .limit(limit)
    )
    return [dict(row._mapping) for row in rows]


def incident_of(alert: Alert) -> Incident:
    """Return an alert as deciding sees it."""
    return Incident(
        id=alert.id,
        severity=alert.severity,
        opened_at=alert.opened_at,
        closed_at=alert.closed_at,
        acknowledged_at=alert.acknowledged_at,
    )


def _notice(row: Any) -> Notice:
    return Notice(
        kind=NoticeKind(row.kind),
        number=row.number,
        severity=Severity(row.severity),
        state=NoticeState(row.state),
        told_at=row.told_at,
    )
