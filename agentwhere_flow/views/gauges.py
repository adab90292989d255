"""The state of the business in figures, for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from agentwhere_flow.health import judge
from agentwhere_store import overview as store

if TYPE_CHECKING:
    from agentwhere_flow.system import System

Gauge = tuple[str, tuple[str, ...], Mapping[tuple[str, ...], float]]
"""Help text, names of labels, and values by labels."""


def gauges(system: System, now: datetime) -> dict[str, Gauge]:
    """Return each figure by its name, without a prefix."""
    report = judge(system, now)
    with system.engine.connect() as conn:
        positions = store.open_positions_by_venue(conn)
        orders = store.unsettled_orders(conn)
        alerts = store.open_alerts_by_severity(conn)
        agents = store.count_agents(conn)
        last_steps = store.last_steps(conn)
    return {
        "health_status": (
            "Health of a component: 0 healthy, 1 degraded, 2 critical.",
            ("component",),
            {
                ("system",): float(report.status.rank),
                **{(item.name,): float(item.status.rank) for item in report.components},
            },
        ),
        "agents": (
            "Agents that exist; models of the arena are counted as such only.",
            ("kind",),
            {
                ("all",): float(agents.total),
                ("active",): float(agents.active),
                ("arena",): float(agents.arena),
            },
        ),
        "open_positions": ("Open positions.", ("venue",), _labelled(positions)),
        "unsettled_orders": ("Orders that have not ended.", ("state",), _labelled(orders)),
        "open_alerts": ("Open alerts.", ("severity",), _labelled(alerts)),
        "step_last_run_timestamp_seconds": (
            "When a step last ended.",
            ("step",),
            {(step,): at.timestamp() for step, at in last_steps.items()},
        ),
    }


def _labelled(counts: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    return {(name,): float(count) for name, count in counts.items()}
