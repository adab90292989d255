"""Monitoring: health, analytics and the dashboard's figures, with the names that their first users know."""
# ruff: noqa: N815 - names on the wire

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from agentwhere_app.api.models.base import Told
from agentwhere_app.api.models.routing import Decision
from agentwhere_core.domain.enums import HealthStatus


class Finding(Told):
    """One thing that is not as it should be, and what to do."""

    status: HealthStatus
    text: str
    remedy: str


class Verdict(Told):
    """What every component says of itself."""

    status: HealthStatus
    findings: list[Finding]


class VenueHealth(Verdict):
    """One venue."""

    availableMarkets: int
    isReachable: bool
    lastSynced: datetime | None
    ageSeconds: int | None
    lastError: str | None


class DatabaseHealth(Verdict):
    """The database."""

    isReachable: bool
    responseMs: float | None


class RoutingHealth(Verdict):
    """Routing."""

    decisions: int
    successRate: float | None
    avgRoutingTimeMs: float | None
    p95RoutingTimeMs: float | None


class ExecutionHealth(Verdict):
    """Execution."""

    intents: int
    filled: int
    executionRate: float | None
    inDoubt: int
    killSwitches: int


class Health(Told):
    """The health report."""

    success: bool
    status: HealthStatus
    timestamp: datetime
    venues: dict[str, VenueHealth]
    database: DatabaseHealth
    routing: RoutingHealth
    positionMonitor: dict[str, Any]
    execution: ExecutionHealth
    posts: dict[str, Any]
    errors: dict[str, Any]
    recommendations: list[str]


class VenueShare(Told):
    """One venue's share of the decisions, in percent."""

    venue: str
    count: int
    percentage: float


class TokenShare(Told):
    """One token's decisions."""

    count: int
    byVenue: dict[str, int]


class Analytics(Told):
    """How decisions are spread."""

    success: bool
    timeWindow: str
    totalRoutings: int
    skipped: int
    avgRoutingTimeMs: float | None
    venueDistribution: list[VenueShare]
    tokenDistribution: dict[str, TokenShare]
    recentRouting: list[Decision]


class AgentCounts(Told):
    """How many agents there are."""

    total: int
    multiVenue: int
    active: int
    arena: int = Field(description="Models of the arena, which are not counted above.")


class PositionCounts(Told):
    """How many positions are open."""

    total: int
    byVenue: dict[str, int]


class SignalFigures(Told):
    """Signals of the window, and the percentage of entries that were filled."""

    total: int
    executionRate: float | None


class RecordedError(Told):
    """An error on record."""

    id: UUID
    at: datetime
    step: str
    kind: str
    message: str


class ErrorFigures(Told):
    """Errors of the window."""

    count: int
    recent: list[RecordedError]


class Dashboard(Told):
    """Everything at a glance."""

    success: bool
    timestamp: datetime
    health: Health
    analytics: Analytics
    agents: AgentCounts
    positions: PositionCounts
    signals: SignalFigures
    errors: ErrorFigures
