"""The arena as its page shows it: portfolios over time, and recent invocations with their tool calls."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentwhere_store.arena import invocations as invocation_store
from agentwhere_store.arena import portfolio as portfolio_store
from agentwhere_store.arena.portfolio import Point
from agentwhere_store.rows import json_safe

if TYPE_CHECKING:
    from agentwhere_flow.system import System

MOST_POINTS = 5000
"""Points of the chart; beyond, neighbours of one model are left out evenly, never its first or last."""

HISTORY = timedelta(days=90)


def performance(system: System, now: datetime) -> dict[str, Any]:
    """Return what each model's portfolio was worth, in USD, over the last 90 days."""
    with system.engine.connect() as conn:
        points = portfolio_store.points(conn, since=now - HISTORY)
    return {
        "data": [
            {
                "createdAt": point.at.isoformat(),
                "totalValue": float(point.total_value),
                "model": {"name": point.model_name},
            }
            for point in _thinned(points, MOST_POINTS)
        ],
        "lastUpdated": now.isoformat(),
    }


def invocations(system: System, now: datetime, limit: int) -> dict[str, Any]:
    """Return the newest invocations with their tool calls."""
    with system.engine.connect() as conn:
        found = invocation_store.recent_invocations(conn, limit)
        calls = invocation_store.calls_of(conn, [item.id for item in found])
    return {
        "data": [
            {
                "id": str(item.id),
                "modelId": str(item.model_id),
                "response": item.response,
                "model": {"name": item.model_name},
                "toolCalls": [
                    {
                        "toolCallType": call.kind.value,
                        "metadata": json.dumps(json_safe(call.metadata)),
                        "createdAt": call.created_at.isoformat(),
                    }
                    for call in calls.get(item.id, ())
                ],
                "createdAt": item.created_at.isoformat(),
            }
            for item in found
        ],
        "lastUpdated": now.isoformat(),
    }


def _thinned(points: list[Point], most: int) -> Iterable[Point]:
    """Return at most about ``most`` points, in order, leaving each model's first and last."""
    if len(points) <= most:
        return points
    step = -(-len(points) // most)
    by_model: dict[str, list[int]] = defaultdict(list)
    for place, point in enumerate(points):
        by_model[point.model_name].append(place)
    kept = {place for places in by_model.values() for place in (*places[::step], places[-1])}
    return [points[place] for place in sorted(kept)]
