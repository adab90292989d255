"""What operators look at: alerts, the history of health, and who wrote what through the API."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_flow.views.marketplace import Page
from agentwhere_store import pages

if TYPE_CHECKING:
    from agentwhere_flow.system import System


def list_alerts(system: System, *, is_open: bool | None, before: UUID | None, limit: int) -> Page:
    """Return alerts, newest first: open ones, ended ones, or all."""
    with system.engine.connect() as conn:
        rows = pages.alert_page(conn, is_open=is_open, before=before, limit=limit + 1)
    return Page(rows[:limit], str(rows[limit - 1]["id"]) if len(rows) > limit else None)


def health_history(system: System, before: UUID | None, limit: int) -> Page:
    """Return the health reports that were kept, newest first."""
    with system.engine.connect() as conn:
        rows = pages.health_page(conn, before, limit + 1)
    for row in rows:
        row["venues"] = {venue: told["status"] for venue, told in row["venues"].items()}
    return Page(rows[:limit], str(rows[limit - 1]["id"]) if len(rows) > limit else None)
