"""Alerts: one open row per incident, however often and from however many processes it is reported."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import Severity
from agentwhere_core.domain.errors import NoSuchThingError

if TYPE_CHECKING:
    from agentwhere_flow.system import System
    from agentwhere_store.operations import Alert


def raise_alert(  # noqa: PLR0917 - an alert is what it says, in the order in which one says it
    system: System,
    now: datetime,
    incident: str,
    severity: Severity,
    title: str,
    detail: str,
) -> None:
    """Open an alert, or mark the open one of the same incident as seen again.

    Parameters
    ----------
    incident
        What tells one incident from another, e.g. ``"check:positions:latency"``; while one is open, no second opens.
    detail
        What happened and what to do; the newest detail stands.
    """
    from agentwhere_store import operations

    with system.engine.begin() as conn:
        operations.open_alert(
            conn, incident=incident, severity=severity, title=title, detail=detail, now=now
        )


def close_alert(system: System, now: datetime, incident: str) -> bool:
    """Close the open alert of an incident; return whether there was one."""
    from agentwhere_store import operations

    with system.engine.begin() as conn:
        return operations.close_alert(conn, incident, now)


def open_alerts(system: System) -> list[Alert]:
    """Return all open alerts, the worst first, then the oldest."""
    from agentwhere_store import operations

    with system.engine.begin() as conn:
        return operations.open_alerts(conn)


def recent_alerts(system: System, limit: int) -> list[Alert]:
    """Return the newest alerts, open or closed, newest first."""
    from agentwhere_store import operations

    with system.engine.begin() as conn:
        return operations.recent_alerts(conn, limit)


def acknowledge_alert(system: System, now: datetime, alert: str | UUID, by: str) -> None:
    """Note that somebody has taken on an open alert, by its incident or id, so that it is not told again.

    The first who takes it on stays on record.

    Raises
    ------
    NoSuchThingError
        If none is open that is called so.
    """
    from agentwhere_store import operations

    with system.engine.begin() as conn:
        is_open = operations.acknowledge_alert(conn, alert, by, now)
    if not is_open:
        raise NoSuchThingError(f"no open alert is called {alert}: see `agentwhere alerts list`")
