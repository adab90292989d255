"""The answers that the API's first users know, as their documents show them, and what it means to have their shape."""

from __future__ import annotations

from typing import Any

ROUTING_CONFIG: dict[str, Any] = {
    "success": True,
    "config": {
        "venue_priority": ["HYPERLIQUID", "OSTIUM"],
        "routing_strategy": "FIRST_AVAILABLE",
        "failover_enabled": True,
    },
}
ROUTING_CONFIG_WRITE: dict[str, Any] = {
    "agentId": None,
    "venuePriority": ["HYPERLIQUID", "OSTIUM"],
    "routingStrategy": "FIRST_AVAILABLE",
    "failoverEnabled": True,
}
# The documents leave out what is in the lists: the columns of their history table.
RECENT_ROUTING: dict[str, Any] = {
    "id": "uuid",
    "signal_id": "uuid",
    "token_symbol": "BTC",
    "requested_venue": "MULTI",
    "selected_venue": "HYPERLIQUID",
    "routing_reason": "…",
    "checked_venues": ["HYPERLIQUID"],
    "routing_duration_ms": 42,
    "created_at": "2025-11-13T10:00:00Z",
}
ROUTING_STATS: dict[str, Any] = {
    "stats": {"total": 125, "byVenue": {"HYPERLIQUID": 98}, "avgRoutingTimeMs": 42},
    "recentRouting": [RECENT_ROUTING],
}
HEALTH: dict[str, Any] = {
    "success": True,
    "status": "healthy",
    "venues": {
        "hyperliquid": {"status": "healthy", "availableMarkets": 220},
        "ostium": {"status": "healthy", "availableMarkets": 8},
    },
    "routing": {"avgRoutingTimeMs": 42, "successRate": 98.5},
    "recommendations": ["All systems operational"],
}
ANALYTICS: dict[str, Any] = {
    "totalRoutings": 156,
    "venueDistribution": [{"venue": "HYPERLIQUID", "count": 128, "percentage": 82.05}],
    "tokenDistribution": {},
    "recentRouting": [RECENT_ROUTING],
}
DASHBOARD: dict[str, Any] = {
    "health": HEALTH,
    "analytics": ANALYTICS,
    "agents": {"total": 50, "multiVenue": 35},
    "positions": {"total": 12, "byVenue": {}},
    "signals": {"executionRate": 96.5},
    "errors": {"count": 2, "recent": []},
}
PERFORMANCE: dict[str, Any] = {
    "data": [
        {
            "createdAt": "2025-10-30T10:00:00Z",
            "totalValue": 10000,
            "model": {"name": "Model1"},
        }
    ],
    "lastUpdated": "2025-10-30T11:00:00Z",
}
INVOCATIONS: dict[str, Any] = {
    "data": [
        {
            "id": "uuid",
            "modelId": "uuid",
            "response": "AI response...",
            "model": {"name": "Model1"},
            "toolCalls": [
                {"toolCallType": "CREATE_POSITION", "metadata": "{...}", "createdAt": "..."}
            ],
            "createdAt": "2025-10-30T11:00:00Z",
        }
    ],
    "lastUpdated": "2025-10-30T11:00:00Z",
    "stale": False,
}


def differences(sample: Any, ours: Any, where: str = "$") -> list[str]:
    """Return where an answer lacks what the sample has, or has it in another type; more is no difference."""
    if _type(sample) != _type(ours):
        return [f"{where}: {_type(sample)} in the sample, {_type(ours)} here"]
    if isinstance(sample, dict):
        lacking = [f"{where}.{name}: is not here" for name in sample if name not in ours]
        return lacking + [
            difference
            for name in sample
            if name in ours
            for difference in differences(sample[name], ours[name], f"{where}.{name}")
        ]
    if isinstance(sample, list) and sample:
        if not ours:
            return [f"{where}: is empty here"]
        return [
            difference
            for place, item in enumerate(ours)
            for difference in differences(sample[0], item, f"{where}[{place}]")
        ]
    return []


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return {dict: "object", list: "array", str: "string"}.get(type(value), "null")
