"""Counts of what there is, for dashboards and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from agentwhere_core.domain.enums import AgentStatus, OrderState, PositionStatus, Venue
from agentwhere_store.arena.desks import in_arena
from agentwhere_store.tables.ideas import agents, signals
from agentwhere_store.tables.operations import alerts, errors, step_runs
from agentwhere_store.tables.trading import orders, positions

_UNSETTLED = [
    state.value
    for state in OrderState
    if state not in {OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED}
]


@dataclass(frozen=True, slots=True)
class AgentCounts:
    """How many agents there are, how many of them leave the venue to the router, how many make signals."""

    total: int
    multi_venue: int
    active: int
    arena: int


def count_agents(conn: Connection) -> AgentCounts:
    """Return how many agents there are; models of the arena are counted by themselves."""
    is_agent = ~in_arena(agents.c.id)
    is_active = agents.c.status == AgentStatus.ACTIVE.value
    row = conn.execute(
        select(
            func.count().filter(is_agent).label("total"),
            func.count().filter(is_agent, agents.c.venue == Venue.MULTI.value).label("multi"),
            func.count().filter(is_agent, is_active).label("active"),
            func.count().filter(~is_agent).label("arena"),
        )
    ).one()
    return AgentCounts(row.total, row.multi, row.active, row.arena)


def open_positions_by_venue(conn: Connection) -> dict[str, int]:
    """Return how many positions are open at each venue that has any."""
    rows = conn.execute(
        select(positions.c.venue, func.count())
        .where(positions.c.status == PositionStatus.OPEN.value)
        .group_by(positions.c.venue)
        .order_by(positions.c.venue)
    )
    return dict(rows.all())


def count_signals(conn: Connection, since: datetime) -> int:
    """Return how many signals were made since a time."""
    query = select(func.count()).select_from(signals).where(signals.c.created_at >= since)
    return conn.execute(query).scalar_one()


def count_errors(conn: Connection, since: datetime) -> int:
    """Return how many errors were recorded since a time."""
    query = select(func.count()).select_from(errors).where(errors.c.at >= since)
    return conn.execute(query).scalar_one()


def recent_errors(conn: Connection, since: datetime, limit: int) -> list[dict[str, Any]]:
    """Return the newest errors since a time, without their tracebacks."""
    rows = conn.execute(
        select(errors.c.id, errors.c.at, errors.c.step, errors.c.kind, errors.c.message)
        .where(errors.c.at >= since)
        .order_by(errors.c.id.desc())
        .limit(limit)
    )
    return [dict(row._mapping) for row in rows]


def unsettled_orders(conn: Connection) -> dict[str, int]:
    """Return how many orders have not ended, by state."""
    rows = conn.execute(
        select(orders.c.state, func.count())
        .where(orders.c.state.in_(_UNSETTLED))
        .group_by(orders.c.state)
    )
    return dict(rows.all())


def open_alerts_by_severity(conn: Connection) -> dict[str, int]:
    """Return how many alerts are open, by severity."""
    rows = conn.execute(
        select(alerts.c.severity, func.count())
        .where(alerts.c.closed_at.is_(None))
        .group_by(alerts.c.severity)
    )
    return dict(rows.all())


def last_steps(conn: Connection) -> dict[str, datetime]:
    """Return when each step last ended."""
    rows = conn.execute(
        select(step_runs.c.step, func.max(step_runs.c.finished_at)).group_by(step_runs.c.step)
    )
    return dict(rows.all())
