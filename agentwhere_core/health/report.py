"""The health report as JSON: names and shape of ``GET /api/monitoring/health``.

``success``, ``status``, ``venues``, ``routing`` and ``recommendations`` keep the names and units that their first users
know (milliseconds, percent, venues in lower case); everything else is added beside them.
"""

from __future__ import annotations

from typing import Any

from agentwhere_core.health.rules import ComponentHealth, HealthReport

_VENUE = "venue:"
_PERCENT = 100


def to_json(report: HealthReport) -> dict[str, Any]:
    """Return ``report`` as values that `json.dumps` accepts.

    ``success`` says that the report could be made, not that all is well: that is ``status``.
    """
    venues = {
        item.name.removeprefix(_VENUE).lower(): _venue(item)
        for item in report.components
        if item.name.startswith(_VENUE)
    }
    return {
        "success": True,
        "status": report.status.value,
        "timestamp": report.at.isoformat(),
        "venues": venues,
        "database": _database(report.component("database")),
        "routing": _routing(report.component("routing")),
        "positionMonitor": _position_monitor(report.component("position_monitor")),
        "execution": _execution(report.component("execution")),
        "posts": _posts(report.component("posts")),
        "errors": _errors(report.component("errors")),
        "recommendations": list(report.recommendations),
    }


def _venue(item: ComponentHealth) -> dict[str, Any]:
    return _verdict(item) | {
        "availableMarkets": item.figures["active_markets"],
        "isReachable": item.figures["is_reachable"],
        "lastSynced": item.figures["last_synced"],
        "ageSeconds": item.figures["age_s"],
        "lastError": item.figures["last_error"],
    }


def _database(item: ComponentHealth) -> dict[str, Any]:
    return _verdict(item) | {
        "isReachable": item.figures["is_reachable"],
        "responseMs": _rounded(item.figures["response_ms"]),
    }


def _routing(item: ComponentHealth) -> dict[str, Any]:
    return _verdict(item) | {
        "decisions": item.figures["decisions"],
        "successRate": _percent(item.figures["success_rate"]),
        "avgRoutingTimeMs": _rounded(item.figures["avg_ms"]),
        "p95RoutingTimeMs": _rounded(item.figures["p95_ms"]),
    }


def _position_monitor(item: ComponentHealth) -> dict[str, Any]:
    return _verdict(item) | {
        "lastRunAt": item.figures["last_run_at"],
        "latencySeconds": _rounded(item.figures["latency_s"]),
        "openPositions": item.figures["open_positions"],
        "staleMarks": item.figures["stale_marks"],
    }


def _execution(item: ComponentHealth) -> dict[str, Any]:
    return _verdict(item) | {
        "intents": item.figures["intents"],
        "filled": item.figures["filled"],
        "executionRate": _percent(item.figures["rate"]),
        "inDoubt": item.figures["in_doubt"],
        "killSwitches": item.figures["kill_switches"],
    }


def _posts(item: ComponentHealth) -> dict[str, Any]:
    return _verdict(item) | {
        "pending": item.figures["pending"],
        "oldestPendingSeconds": item.figures["oldest_pending_age_s"],
    }


def _errors(item: ComponentHealth) -> dict[str, Any]:
    return _verdict(item) | {"count": item.figures["recent"]}


def _verdict(item: ComponentHealth) -> dict[str, Any]:
    """Return what every component says of itself."""
    return {
        "status": item.status.value,
        "findings": [
            {"status": finding.status.value, "text": finding.text, "remedy": finding.remedy}
            for finding in item.findings
        ],
    }


def _percent(fraction: object) -> float | None:
    return round(fraction * _PERCENT, 2) if isinstance(fraction, int | float) else None


def _rounded(value: object) -> float | None:
    return round(value, 3) if isinstance(value, int | float) else None
