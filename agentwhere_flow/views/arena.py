"""The arena as its page shows it: portfolios over time, and recent invocations with their tool calls.

Both have the shapes of the second seed, field for field.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentwhere_core.arena.values import BASELINE_PREFIX
from agentwhere_store.arena import invocations as store
from agentwhere_store.arena import portfolio as portfolio_store
from agentwhere_store.arena.invocations import Invocation, ToolCall

if TYPE_CHECKING:
    from agentwhere_flow.system import System

MOST_POINTS = 1000
"""Points of one model's line: more than a chart is wide says nothing more."""


def performance(system: System, now: datetime) -> dict[str, Any]:
    """Return what each model's account was worth over time; long histories are thinned out evenly."""
    with system.engine.connect() as conn:
        first = portfolio_store.first_at(conn)
        span = now - first if first is not None else timedelta(0)
        points = portfolio_store.points(conn, every=span / MOST_POINTS)
    return {
        "data": [
            {
                "createdAt": _moment(point.at),
                "totalValue": float(point.total_value),
                "model": {"name": point.model_name},
            }
            for point in points
        ],
        "lastUpdated": _moment(now),
    }


def invocations(system: System, now: datetime, limit: int) -> dict[str, Any]:
    """Return the newest invocations with their tool calls; ``metadata`` of a call is JSON as text."""
    with system.engine.connect() as conn:
        found = store.recent_invocations(conn, limit)
        calls = store.calls_of(conn, [item.id for item in found])
    return {
        "data": [
            {
                "id": str(item.id),
                "modelId": str(item.model_id),
                "response": _said(item),
                "model": {"name": item.model_name},
                "toolCalls": [_call(call) for call in calls.get(item.id, [])],
                "createdAt": _moment(item.created_at),
            }
            for item in found
        ],
        "lastUpdated": _moment(now),
    }


def _said(item: Invocation) -> str:
    """Return what a model said; for one that said nothing, why."""
    if item.response:
        return item.response
    if item.error:
        return f"{item.reason}: {item.error}"
    return "(decided by rule)" if item.openrouter_model.startswith(BASELINE_PREFIX) else ""


def _call(call: ToolCall) -> dict[str, Any]:
    told = {
        **_arguments(call),
        "status": call.status.value,
        "reason": call.reason,
        "detail": call.detail,
        "result": call.result,
    }
    return {
        "toolCallType": call.kind.value,
        "metadata": json.dumps({key: value for key, value in told.items() if value}),
        "createdAt": _moment(call.created_at),
    }


def _arguments(call: ToolCall) -> dict[str, Any]:
    """Return a call's arguments by name, or as the text that could not be read."""
    text = call.metadata.get("arguments", "")
    try:
        read = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {"arguments": text}
    return read if isinstance(read, dict) else {"arguments": text}


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
