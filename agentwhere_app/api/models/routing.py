"""Routing: configuration, statistics and decisions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from agentwhere_app.api.models.base import Asked, Told
from agentwhere_core.domain.enums import RoutingStrategy, Venue

Priority = Annotated[
    list[Venue], Field(min_length=1, max_length=6, description="Venues, first choice first.")
]


ByToken = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=40)],
        Annotated[list[Venue], Field(max_length=6)],
    ],
    Field(max_length=1000),
]


class Config(Told):
    """A routing configuration in force."""

    venue_priority: list[Venue]
    routing_strategy: RoutingStrategy
    failover_enabled: bool
    token_overrides: dict[str, list[Venue]]
    token_exclusions: dict[str, list[Venue]]
    is_own: bool = Field(description="Whether it is the agent's own, not the global one.")
    version: int = Field(description="Goes up by one with each write; decisions keep it.")


class ConfigAnswer(Told):
    """A routing configuration."""

    success: bool
    config: Config


class ConfigWrite(Asked):
    """A routing configuration to be set; what is left out stays as it is."""

    agent_id: UUID | None = Field(default=None, alias="agentId")
    venue_priority: Priority | None = Field(default=None, alias="venuePriority")
    routing_strategy: RoutingStrategy | None = Field(default=None, alias="routingStrategy")
    failover_enabled: bool | None = Field(default=None, alias="failoverEnabled")
    token_overrides: ByToken | None = Field(
        default=None,
        alias="tokenOverrides",
        description="A token's own venues, first choice first; an empty list takes them away.",
    )
    token_exclusions: ByToken | None = Field(
        default=None,
        alias="tokenExclusions",
        description="Venues never used for a token; an empty list allows all again.",
    )


class Decision(Told):
    """A routing decision as statistics show it."""

    id: UUID
    signal_id: UUID
    token_symbol: str
    requested_venue: Venue
    selected_venue: Venue | None
    routing_reason: str
    checked_venues: list[str]
    venue_availability: list[dict[str, Any]]
    routing_duration_ms: float
    created_at: datetime


class Counts(Told):
    """How many decisions chose which venue."""

    total: int
    byVenue: dict[str, int]  # noqa: N815 - the name on the wire
    skipped: int
    avgRoutingTimeMs: float | None  # noqa: N815


class Stats(Told):
    """Routing statistics of a window."""

    success: bool
    timeWindow: str  # noqa: N815
    tokenSymbol: str | None  # noqa: N815
    stats: Counts
    recentRouting: list[Decision]  # noqa: N815
