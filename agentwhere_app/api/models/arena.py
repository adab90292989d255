"""The arena: what models' portfolios were worth, and what they did."""
# ruff: noqa: N815 - names on the wire

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from agentwhere_app.api.models.base import Told


class ModelName(Told):
    """Which model."""

    name: str


class PortfolioPoint(Told):
    """What a model's portfolio was worth at a moment, in USD."""

    createdAt: datetime
    totalValue: float
    model: ModelName


class Performance(Told):
    """Portfolios over time."""

    data: list[PortfolioPoint]
    lastUpdated: datetime
    stale: bool


class ToolCall(Told):
    """What a model asked for; ``metadata`` is JSON as text."""

    toolCallType: str
    metadata: str
    createdAt: datetime


class Invocation(Told):
    """One invocation of a model."""

    id: UUID
    modelId: UUID
    response: str
    model: ModelName
    toolCalls: list[ToolCall]
    createdAt: datetime


class Invocations(Told):
    """Recent invocations, newest first."""

    data: list[Invocation]
    lastUpdated: datetime
    stale: bool
