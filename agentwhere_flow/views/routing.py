"""Routing as the API tells it: configuration, and how decisions are spread; names and units as its first users know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from agentwhere_core.domain.enums import RoutingStrategy, Venue
from agentwhere_core.domain.errors import ConfigurationError, NoSuchThingError
from agentwhere_core.domain.trade import RoutingConfig
from agentwhere_store import agents as agent_store
from agentwhere_store import routing as store
from agentwhere_store import routing_history as history
from agentwhere_store.routing_history import HistoryFilter, RoutingCount
from agentwhere_store.rows import json_safe

if TYPE_CHECKING:
    from agentwhere_flow.system import System

RECENT = 20
"""Decisions that statistics show one by one."""

_ROUTABLE = (Venue.HYPERLIQUID, Venue.OSTIUM, Venue.LIGHTER)
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


@dataclass(frozen=True, slots=True)
class NewRoutingConfig:
    """What somebody wants of the routing configuration; None leaves a part as it is."""

    venue_priority: tuple[Venue, ...] | None = None
    routing_strategy: RoutingStrategy | None = None
    failover_enabled: bool | None = None
    token_overrides: Mapping[str, tuple[Venue, ...]] | None = None


def routing_config(system: System, agent_id: UUID | None) -> dict[str, Any]:
    """Return the configuration that an agent's signals are routed by: its own, or the global one.

    Raises
    ------
    NoSuchThingError
        If there is no such agent.
    """
    with system.engine.connect() as conn:
        configs = store.routing_configs(conn)
        _require_agent(conn, agent_id)
    return _config(configs.get(agent_id) or _global(configs))


def set_routing_config(
    system: System, now: datetime, agent_id: UUID | None, wanted: NewRoutingConfig
) -> dict[str, Any]:
    """Write the global configuration (None) or an agent's own, and return it.

    Parts that ``wanted`` leaves out stay as they are in force.

    Raises
    ------
    NoSuchThingError
        If there is no such agent.
    ConfigurationError
        If a venue is named twice, or one that nothing can be routed to.
    """
    for venues in (wanted.venue_priority, *(wanted.token_overrides or {}).values()):
        _check_priority(venues)
    with system.engine.begin() as conn:
        _require_agent(conn, agent_id)
        configs = store.routing_configs(conn)
        before = configs.get(agent_id) or _global(configs)
        config = replace(
            before,
            venue_priority=wanted.venue_priority or before.venue_priority,
            routing_strategy=wanted.routing_strategy or before.routing_strategy,
            failover_enabled=before.failover_enabled
            if wanted.failover_enabled is None
            else wanted.failover_enabled,
            token_overrides=before.token_overrides
            if wanted.token_overrides is None
            else {token.upper(): venues for token, venues in wanted.token_overrides.items()},
        )
        store.put_routing_config(conn, agent_id, config, now, author="API")
        return _config(store.routing_configs(conn)[agent_id])


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


def _check_priority(venues: Sequence[Venue] | None) -> None:
    if venues is None:
        return
    names = ", ".join(_ROUTABLE)
    if not venues:
        raise ConfigurationError(f"name at least one venue of {names}")
    if wrong := [venue for venue in venues if venue not in _ROUTABLE]:
        raise ConfigurationError(f"nothing can be routed to {wrong[0]}: choose among {names}")
    if len(set(venues)) < len(venues):
        raise ConfigurationError("a venue is named twice in one priority list")


def _require_agent(conn: Any, agent_id: UUID | None) -> None:
    if agent_id is not None and agent_store.agent_by_id(conn, agent_id) is None:
        raise NoSuchThingError(f"there is no agent {agent_id}: see GET /api/agents")


def _global(configs: Mapping[UUID | None, RoutingConfig]) -> RoutingConfig:
    if None not in configs:
        raise ConfigurationError("there is no routing configuration yet: run `agentwhere setup`")
    return configs[None]


def _config(config: RoutingConfig) -> dict[str, Any]:
    return {
        "venue_priority": [venue.value for venue in config.venue_priority],
        "routing_strategy": config.routing_strategy.value,
        "failover_enabled": config.failover_enabled,
        "token_overrides": {
            token: [venue.value for venue in venues]
            for token, venues in config.token_overrides.items()
        },
        "version": config.version,
    }


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
