"""Routing as the API tells it: configuration, and how decisions are spread; names and units as its first users know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.routing import RoutingConfig
from agentwhere_flow.registry import agent_name
from agentwhere_flow.routing_config import ConfigChange, change_config, config_in_force
from agentwhere_store import routing_history as history
from agentwhere_store.routing_history import HistoryFilter, RoutingCount
from agentwhere_store.rows import json_safe

if TYPE_CHECKING:
    from agentwhere_flow.system import System

RECENT = 20
"""Decisions that statistics show one by one."""

_TOLD = (
    "id",
    "signal_id",
    "token_symbol",
    "requested_venue",
    "selected_venue",
    "routing_reason",
    "checked_venues",
    "venue_availability",
    "routing_duration_ms",
    "created_at",
)


class TimeWindow(StrEnum):
    """How far back statistics look."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"

    @property
    def span(self) -> timedelta:
        """The window's length."""
        return {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}[
            self.value
        ]


def routing_config(system: System, agent_id: UUID | None) -> dict[str, Any]:
    """Return the configuration that an agent's signals are routed by: its own, or the global one.

    Raises
    ------
    NoSuchThingError
        If there is no such agent.
    ConfigurationError
        If the system was not set up.
    """
    config, is_own = config_in_force(system, _name(system, agent_id))
    return _config(config, is_own=is_own and agent_id is not None)


def set_routing_config(
    system: System, now: datetime, agent_id: UUID | None, change: ConfigChange, *, author: str
) -> dict[str, Any]:
    """Write the next version of the global configuration (None) or of an agent's own, and return it.

    Raises
    ------
    NoSuchThingError
        If there is no such agent.
    ConfigurationError
        If the configuration cannot work; nothing is written then.
    """
    name = _name(system, agent_id)
    config = change_config(system, now, change, agent=name, author=author)
    return _config(config, is_own=agent_id is not None)


def routing_stats(
    system: System, now: datetime, window: TimeWindow, token: str | None = None
) -> dict[str, Any]:
    """Return how many decisions chose which venue, and the newest of them."""
    since, token = now - window.span, token and token.upper()
    with system.engine.connect() as conn:
        counts = history.count_decisions(conn, since, token)
        recent = history.decisions(conn, HistoryFilter(since=since, token=token), RECENT)
    by_venue = _by_venue(counts)
    return {
        "success": True,
        "timeWindow": window.value,
        "tokenSymbol": token,
        "stats": {
            "total": sum(count.decisions for count in counts),
            "byVenue": by_venue,
            "skipped": sum(count.decisions for count in counts if count.venue is None),
            "avgRoutingTimeMs": _average_ms(counts),
        },
        "recentRouting": _told(recent),
    }


def routing_analytics(system: System, now: datetime, window: TimeWindow) -> dict[str, Any]:
    """Return how decisions are spread over venues and tokens, and the newest of them."""
    since = now - window.span
    with system.engine.connect() as conn:
        counts = history.count_decisions(conn, since)
        recent = history.decisions(conn, HistoryFilter(since=since), RECENT)
    total, by_venue = sum(count.decisions for count in counts), _by_venue(counts)
    tokens: dict[str, dict[str, int]] = {}
    for count in counts:
        venues = tokens.setdefault(count.token, {})
        venues[count.venue.value if count.venue else "NONE"] = count.decisions
    return {
        "success": True,
        "timeWindow": window.value,
        "totalRoutings": total,
        "skipped": total - sum(by_venue.values()),
        "avgRoutingTimeMs": _average_ms(counts),
        "venueDistribution": [
            {"venue": venue, "count": count, "percentage": round(100 * count / total, 2)}
            for venue, count in sorted(by_venue.items(), key=lambda item: -item[1])
        ],
        "tokenDistribution": {
            token: {"count": sum(venues.values()), "byVenue": venues}
            for token, venues in sorted(tokens.items(), key=lambda item: -sum(item[1].values()))
        },
        "recentRouting": _told(recent),
    }


def _name(system: System, agent_id: UUID | None) -> str | None:
    return None if agent_id is None else agent_name(system, agent_id)


def _config(config: RoutingConfig, *, is_own: bool) -> dict[str, Any]:
    return {
        "venue_priority": [venue.value for venue in config.venue_priority],
        "routing_strategy": config.routing_strategy.value,
        "failover_enabled": config.failover_enabled,
        "token_overrides": _by_token(config.token_overrides),
        "token_exclusions": _by_token(config.token_exclusions),
        "version": config.version,
        "is_own": is_own,
    }


def _by_token(lists: Mapping[str, Iterable[Venue]]) -> dict[str, list[str]]:
    return {token: [venue.value for venue in venues] for token, venues in lists.items()}


def _by_venue(counts: Sequence[RoutingCount]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for count in counts:
        if count.venue is not None:
            found[count.venue.value] += count.decisions
    return dict(found)


def _average_ms(counts: Sequence[RoutingCount]) -> float | None:
    decisions = sum(count.decisions for count in counts)
    if not decisions:
        return None
    return round(float(sum(count.duration_ms for count in counts)) / decisions, 3)


def _told(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            **{name: json_safe(row[name]) for name in _TOLD},
            "routing_duration_ms": float(row["routing_duration_ms"]),
        }
        for row in rows
    ]
