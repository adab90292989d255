"""How the system feels, as the API tells it: the health report of now, and the dashboard's figures."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from agentwhere_core.health.report import to_json
from agentwhere_flow.health import judge
from agentwhere_flow.views.routing import TimeWindow, routing_analytics
from agentwhere_store import overview as store
from agentwhere_store.rows import json_safe

if TYPE_CHECKING:
    from agentwhere_flow.system import System

RECENT_ERRORS = 10


def monitoring_dashboard(system: System, now: datetime, window: TimeWindow) -> dict[str, Any]:
    """Return health, routing analytics, and counts of agents, positions, signals and errors."""
    report = judge(system, now)
    health = to_json(report)
    with system.engine.connect() as conn:
        agents = store.count_agents(conn)
        by_venue = store.open_positions_by_venue(conn)
        signals = store.count_signals(conn, now - window.span)
        errors = store.count_errors(conn, now - window.span)
        recent = store.recent_errors(conn, now - window.span, RECENT_ERRORS)
    return {
        "success": True,
        "timestamp": now.isoformat(),
        "health": health,
        "analytics": routing_analytics(system, now, window),
        "agents": {
            "total": agents.total,
            "multiVenue": agents.multi_venue,
            "active": agents.active,
            "arena": agents.arena,
        },
        "positions": {"total": sum(by_venue.values()), "byVenue": by_venue},
        "signals": {"total": signals, "executionRate": health["execution"]["executionRate"]},
        "errors": {"count": errors, "recent": [json_safe(row) for row in recent]},
    }
