"""The arena as its page shows it: portfolios over time, and recent invocations."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentwhere_flow.system import System


def performance(_system: System, now: datetime) -> dict[str, Any]:
    """Return what each model's portfolio was worth over time; no model trades yet."""
    return {"data": [], "lastUpdated": now.isoformat()}


def invocations(_system: System, now: datetime, _limit: int) -> dict[str, Any]:
    """Return the newest invocations with their tool calls; no model trades yet."""
    return {"data": [], "lastUpdated": now.isoformat()}
