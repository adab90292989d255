"""The marketplace: agents with their figures, sorted by one of them, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, true

from agentwhere_core.domain.enums import AgentStatus, DeploymentStatus, Venue
from agentwhere_store.arena.desks import in_arena
from agentwhere_store.performance import FIGURES
from agentwhere_store.tables.ideas import agents
from agentwhere_store.tables.operations import agent_metrics
from agentwhere_store.tables.trading import deployments

WINDOWS = ("30d", "90d", "si")
SORTABLE = {
    **{
        f"{figure}_{window}": agent_metrics.c[f"{figure}_{window}"]
        for figure in FIGURES
        for window in WINDOWS
    },
    "days_si": agent_metrics.c.days_si,
    "closed_positions": agent_metrics.c.closed_positions,
    "net_pnl_usd": agent_metrics.c.net_pnl_usd,
    "equity_usd": agent_metrics.c.equity_usd,
}
"""Figures by which agents can be sorted."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a list was left: the figure of the last agent that was seen, which may have none, and its id."""

    value: Decimal | None
    agent_id: UUID


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which agents, in which order; agents without the figure come last either way.

    ``arena`` asks for the models of the arena instead of creators' agents.
    """

    sort: str = "sharpe_low_si"
    is_descending: bool = True
    venue: Venue | None = None
    status: AgentStatus | None = None
    name: str | None = None
    arena: bool = False
    after: Place | None = None
    limit: int = 50


def list_agents(conn: Connection, wanted: Wanted) -> list[dict[str, Any]]:
    """Return agents with all their figures; ``wanted.sort`` must be one of `SORTABLE`."""
    figure = SORTABLE[wanted.sort]
    order = figure.desc() if wanted.is_descending else figure.asc()
    query = (
        _agents()
        .where(*_conditions(wanted), _continues(wanted, figure))
        .order_by(order.nulls_last(), agents.c.id)
        .limit(wanted.limit)
    )
    return [dict(row) for row in conn.execute(query).mappings()]


def find_agent(conn: Connection, agent_id: UUID) -> dict[str, Any] | None:
    """Return one agent with all its figures, or None."""
    row = conn.execute(_agents().where(agents.c.id == agent_id)).mappings().one_or_none()
    return None if row is None else dict(row)


def _agents() -> Any:
    active = (
        select(func.count())
        .where(
            deployments.c.agent_id == agents.c.id,
            deployments.c.status == DeploymentStatus.ACTIVE.value,
        )
        .scalar_subquery()
    )
    figures = [column for column in agent_metrics.c if column.name != "agent_id"]
    return select(
        agents, active.label("active_deployments"), in_arena(agents.c.id).label("arena"), *figures
    ).outerjoin(agent_metrics, agent_metrics.c.agent_id == agents.c.id)


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    is_model = in_arena(agents.c.id)
    found: list[ColumnElement[bool]] = [is_model if wanted.arena else ~is_model]
    if wanted.venue is not None:
        found.append(agents.c.venue == wanted.venue.value)
    if wanted.status is not None:
        found.append(agents.c.status == wanted.status.value)
    if wanted.name:
        found.append(agents.c.name.icontains(wanted.name, autoescape=True))
    return found


def _continues(wanted: Wanted, figure: Any) -> ColumnElement[bool]:
    """Tell what comes after the place where the list was left."""
    place = wanted.after
    if place is None:
        return true()
    if place.value is None:
        return and_(figure.is_(None), agents.c.id > place.agent_id)
    beyond = figure < place.value if wanted.is_descending else figure > place.value
    return or_(figure.is_(None), beyond, and_(figure == place.value, agents.c.id > place.agent_id))
