"""Alerts, health history and kill switches."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from agentwhere_app.api.models.base import Asked, Told
from agentwhere_core.domain.enums import HealthStatus, KillScope, Severity


class Alert(Told):
    """One incident; open while ``closed_at`` is null."""

    id: UUID
    incident: str
    severity: Severity
    title: str
    detail: str
    opened_at: datetime
    last_seen: datetime
    times_seen: int
    closed_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class PastHealth(Told):
    """A health report that was kept."""

    id: UUID
    at: datetime
    status: HealthStatus
    venues: dict[str, HealthStatus]
    recommendations: list[str]


class KillSwitch(Told):
    """A kill switch; engaged while ``released_at`` is null."""

    id: UUID
    scope: KillScope
    target: str
    reason: str
    author: str
    closes_all: bool
    engaged_at: datetime
    released_at: datetime | None
    released_by: str | None
    release_reason: str | None


class KillSwitches(Told):
    """Kill switches, newest first."""

    items: list[KillSwitch]


Reason = Annotated[str, Field(min_length=1, max_length=500)]
Target = Annotated[
    str, Field(max_length=200, description="Empty for GLOBAL; else an agent, deployment or venue.")
]


class KillWrite(Asked):
    """A kill switch to engage."""

    scope: KillScope
    target: Target = ""
    reason: Reason
    close_all: bool = Field(default=False, description="Also close every open position in reach.")


class KillRelease(Asked):
    """A kill switch to release."""

    scope: KillScope
    target: Target = ""
    reason: Reason


class KillOutcome(Told):
    """What came of it."""

    switches: list[KillSwitch] = Field(description="All switches that are engaged now.")
    changed: bool = Field(description="Whether this changed anything.")
    problems: list[str] = Field(description="What could not be done yet, and what happens next.")
