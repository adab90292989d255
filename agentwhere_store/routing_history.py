"""The history of routing decisions, as people look at it: counted by venue and token, or one by one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Date, Numeric, cast, func, select

from agentwhere_core.domain.enums import Venue
from agentwhere_store.tables.ideas import agents, signals
from agentwhere_store.tables.routing import routing_legs, routing_scenes, venue_routing_history
from agentwhere_store.tables.trading import deployments


@dataclass(frozen=True, slots=True)
class RoutingCount:
    """How many decisions of a window chose ``venue`` (None: no venue) for ``token``, and how long they took in sum."""

    token: str
    venue: Venue | None
    decisions: int
    duration_ms: Decimal


@dataclass(frozen=True, slots=True)
class VenueDay:
    """What a day's decisions (UTC) sent to a venue; None: those that found no venue.

    A trade that is split counts at each venue with its leg's share.
    """

    day: date
    venue: Venue | None
    decisions: Decimal
    notional_usd: Decimal


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which decisions are wanted; None asks for all."""

    since: datetime | None = None
    token: str | None = None
    venue: Venue | None = None
    reason: str | None = None
    agent_id: UUID | None = None
    deployment_id: UUID | None = None
    signal_id: UUID | None = None
    skipped: bool | None = None
    before: UUID | None = None


def count_decisions(
    conn: Connection, since: datetime, token: str | None = None
) -> list[RoutingCount]:
    """Return how decisions since a time are spread over tokens and venues."""
    history = venue_routing_history
    query = (
        select(
            history.c.token_symbol,
            history.c.selected_venue,
            func.count().label("decisions"),
            func.sum(history.c.routing_duration_ms).label("duration_ms"),
        )
        .where(*_conditions(HistoryFilter(since=since, token=token)))
        .group_by(history.c.token_symbol, history.c.selected_venue)
        .order_by(history.c.token_symbol, history.c.selected_venue)
    )
    return [
        RoutingCount(
            token=row.token_symbol,
            venue=Venue(row.selected_venue) if row.selected_venue else None,
            decisions=row.decisions,
            duration_ms=row.duration_ms,
        )
        for row in conn.execute(query)
    ]


def venue_days(conn: Connection, since: datetime) -> list[VenueDay]:
    """Return what each day's decisions since a time sent to each venue; after a failover, to the last one."""
    history = venue_routing_history
    day = cast(func.timezone("UTC", history.c.created_at), Date).label("day")
    venue = func.coalesce(
        routing_legs.c.failover_venue,
        routing_legs.c.venue,
        history.c.failover_venue,
        history.c.selected_venue,
    ).label("venue")
    share = func.coalesce(routing_legs.c.share, 1)
    request = history.c.inputs["request"]
    notional = cast(request["margin_usd"].astext, Numeric) * cast(
        request["leverage"].astext, Numeric
    )
    query = (
        select(
            day,
            venue,
            func.sum(share).label("decisions"),
            func.coalesce(func.sum(share * notional), 0).label("notional_usd"),
        )
        .outerjoin(routing_legs, routing_legs.c.routing_id == history.c.id)
        .where(history.c.created_at >= since)
        .group_by(day, venue)
        .order_by(day, venue)
    )
    return [
        VenueDay(
            day=row.day,
            venue=Venue(row.venue) if row.venue else None,
            decisions=Decimal(row.decisions),
            notional_usd=row.notional_usd,
        )
        for row in conn.execute(query)
    ]


def decisions(conn: Connection, wanted: HistoryFilter, limit: int) -> list[dict[str, Any]]:
    """Return decisions with the names of their agent and deployment, newest first.

    ``before`` continues a list: only decisions older than the one of that id are returned.
    """
    history = venue_routing_history
    columns = [column for column in history.c if column.name != "inputs"]
    query = (
        select(*columns, deployments.c.name.label("deployment"), agents.c.name.label("agent"))
        .join(signals, signals.c.id == history.c.signal_id)
        .join(agents, agents.c.id == signals.c.agent_id)
        .join(deployments, deployments.c.id == history.c.deployment_id)
        .where(*_conditions(wanted))
        .order_by(history.c.id.desc())
        .limit(limit)
    )
    return [dict(row._mapping) for row in conn.execute(query)]


def decision(conn: Connection, decision_id: UUID) -> dict[str, Any] | None:
    """Return one decision with everything that it was made from, or None."""
    history = venue_routing_history
    row = conn.execute(
        select(history, routing_scenes.c.scene)
        .outerjoin(routing_scenes, routing_scenes.c.id == history.c.scene_id)
        .where(history.c.id == decision_id)
    ).one_or_none()
    if row is None:
        return None
    legs = conn.execute(
        select(
            routing_legs.c.leg,
            routing_legs.c.venue,
            routing_legs.c.share,
            routing_legs.c.failover_venue,
        )
        .where(routing_legs.c.routing_id == decision_id)
        .order_by(routing_legs.c.leg)
    )
    return dict(row._mapping) | {"legs": [dict(leg._mapping) for leg in legs]}


def _conditions(wanted: HistoryFilter) -> list[ColumnElement[bool]]:
    history = venue_routing_history
    equal = {
        history.c.token_symbol: wanted.token,
        history.c.selected_venue: wanted.venue,
        history.c.routing_reason: wanted.reason,
        history.c.deployment_id: wanted.deployment_id,
        history.c.signal_id: wanted.signal_id,
        signals.c.agent_id: wanted.agent_id,
    }
    found = [column == value for column, value in equal.items() if value is not None]
    if wanted.since is not None:
        found.append(history.c.created_at >= wanted.since)
    if wanted.skipped is not None:
        found.append(history.c.selected_venue.is_(None) == wanted.skipped)
    if wanted.before is not None:
        found.append(history.c.id < wanted.before)
    return found
