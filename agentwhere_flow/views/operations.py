"""What operators look at: alerts, the history of health, and who wrote what through the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from agentwhere_core.domain.errors import NoSuchThingError
from agentwhere_flow.views.marketplace import Page
from agentwhere_store import pages

if TYPE_CHECKING:
    from agentwhere_flow.system import System


def list_alerts(system: System, *, is_open: bool | None, before: UUID | None, limit: int) -> Page:
    """Return alerts, newest first: open ones, ended ones, or all."""
    with system.engine.connect() as conn:
        rows = pages.alert_page(conn, is_open=is_open, before=before, limit=limit + 1)
    return Page(rows[:limit], str(rows[limit - 1]["id"]) if len(rows) > limit else None)


def read_alert(system: System, alert_id: UUID) -> dict[str, Any]:
    """Return one alert, open or over.

    Raises
    ------
    NoSuchThingError
        If there is none of this id.
    """
    with system.engine.connect() as conn:
        found = pages.alert_row(conn, alert_id)
    if found is None:
        raise NoSuchThingError(f"there is no alert {alert_id}: see GET /api/alerts")
    return found


def health_history(system: System, before: UUID | None, limit: int) -> Page:
    """Return the health reports that were kept, newest first."""
    with system.engine.connect() as conn:
        rows = pages.health_page(conn, before, limit + 1)
    for row in rows:
        row["venues"] = {venue: told["status"] for venue, told in row["venues"].items()}
    return Page(rows[:limit], str(rows[limit - 1]["id"]) if len(rows) > limit else None)
