"""Agents and the sources that they follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Row,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from agentwhere_core.domain.enums import AgentStatus, DeploymentStatus, Venue
from agentwhere_core.domain.errors import AlreadyThereError, ConfigurationError
from agentwhere_core.domain.idea import Agent
from agentwhere_core.domain.ids import new_id
from agentwhere_store.rows import insert_ignoring_known
from agentwhere_store.tables.ideas import agent_sources, agents, research_sources, x_accounts
from agentwhere_store.tables.trading import deployments as deployment_table

_AGENT_RULES = {
    "uq_agents_name": "another agent has this name",
    "ck_agents_leverage_positive": "leverage is at least 1",
    "ck_agents_stop_loss_range": "a stop loss lies between 0 and 100 percent",
    "ck_agents_take_profit_positive": "a take profit is above 0 percent",
    "ck_agents_trailing_whole": "a trailing stop has both an activation and a distance",
}


@dataclass(frozen=True, slots=True)
class FollowedSources:
    """What an agent reads: handles without ``@``, and addresses of feeds."""

    x_handles: tuple[str, ...] = ()
    feed_urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedAgent:
    """An agent with its sources and the number of its active deployments."""

    agent: Agent
    sources: FollowedSources
    deployments: int


def create_agent(conn: Connection, agent: Agent, sources: FollowedSources, now: datetime) -> None:
    """Write an agent, and attach its sources; a source that others follow too is one row.

    Raises
    ------
    AlreadyThereError
        If another agent has this name.
    """
    new = insert_ignoring_known(
        conn, agents, [{**_agent_values(agent), "created_at": now, "updated_at": now}],
        known_by=("name",),
    )  # fmt: skip
    if not new:
        raise AlreadyThereError(
            f"there is an agent called {agent.name!r} already: choose another name"
        )
    attach_sources(conn, agent.id, sources, now)


def update_agent(conn: Connection, agent: Agent, now: datetime) -> None:
    """Write an agent's name and how it trades.

    Raises
    ------
    ConfigurationError
        If another agent has this name, or a value is out of its range.
    """
    values = _agent_values(agent)
    del values["id"]
    try:
        with conn.begin_nested():
            conn.execute(
                update(agents).where(agents.c.id == agent.id).values(**values, updated_at=now)
            )
    except IntegrityError as error:
        told = getattr(error.orig, "diag", None)
        rule = told.constraint_name if told is not None else None
        raise ConfigurationError(
            f"the agent {agent.name!r} cannot be as you wish: {_AGENT_RULES.get(rule or '', rule)}"
        ) from error


def set_agent_status(conn: Connection, agent_id: UUID, status: AgentStatus, now: datetime) -> None:
    """Activate or pause an agent; a paused one reads no posts and makes no signals."""
    conn.execute(
        update(agents).where(agents.c.id == agent_id).values(status=status.value, updated_at=now)
    )


def attach_sources(
    conn: Connection, agent_id: UUID, sources: FollowedSources, now: datetime
) -> int:
    """Let an agent follow sources; one that others follow too is one row. Return how many it did not follow before."""
    handles, urls = _names_of(sources)
    insert_ignoring_known(
        conn,
        x_accounts,
        [{"id": new_id(), "handle": handle, "created_at": now} for handle in handles],
        known_by=("handle",),
    )
    insert_ignoring_known(
        conn,
        research_sources,
        [{"id": new_id(), "url": url, "created_at": now} for url in urls],
        known_by=("url",),
    )
    links: Sequence[tuple[str, Any]] = (
        ("x_account_id", select(x_accounts.c.id).where(x_accounts.c.handle.in_(handles))),
        (
            "research_source_id",
            select(research_sources.c.id).where(research_sources.c.url.in_(urls)),
        ),
    )
    return sum(
        insert_ignoring_known(
            conn,
            agent_sources,
            [
                {"id": new_id(), "agent_id": agent_id, column: source_id}
                for source_id in conn.execute(query).scalars()
            ],
        )
        for column, query in links
    )


def detach_sources(conn: Connection, agent_id: UUID, sources: FollowedSources) -> int:
    """Let an agent follow sources no more; return how many it did follow."""
    handles, urls = _names_of(sources)
    known = or_(
        agent_sources.c.x_account_id.in_(
            select(x_accounts.c.id).where(x_accounts.c.handle.in_(handles))
        ),
        agent_sources.c.research_source_id.in_(
            select(research_sources.c.id).where(research_sources.c.url.in_(urls))
        ),
    )
    return conn.execute(
        delete(agent_sources).where(agent_sources.c.agent_id == agent_id, known)
    ).rowcount


def has_sources(conn: Connection, agent_id: UUID) -> bool:
    """Return whether an agent follows anything."""
    return bool(
        conn.execute(select(exists().where(agent_sources.c.agent_id == agent_id))).scalar_one()
    )


def list_agents(conn: Connection) -> list[ListedAgent]:
    """Return all agents, by name."""
    rows = conn.execute(select(agents).order_by(agents.c.name)).all()
    handles = _followed(conn, x_accounts.c.handle, agent_sources.c.x_account_id == x_accounts.c.id)
    feeds = _followed(
        conn,
        research_sources.c.url,
        agent_sources.c.research_source_id == research_sources.c.id,
    )
    active = deployment_table.c.status == DeploymentStatus.ACTIVE.value
    counts: dict[UUID, int] = dict(
        conn.execute(
            select(deployment_table.c.agent_id, func.count())
            .where(active)
            .group_by(deployment_table.c.agent_id)
        ).all()
    )
    return [
        ListedAgent(
            _agent(row),
            FollowedSources(tuple(handles.get(row.id, ())), tuple(feeds.get(row.id, ()))),
            counts.get(row.id, 0),
        )
        for row in rows
    ]


def followed_sources(conn: Connection, agent_id: UUID) -> FollowedSources:
    """Return what one agent reads."""
    handles = (
        select(x_accounts.c.handle)
        .join(agent_sources, agent_sources.c.x_account_id == x_accounts.c.id)
        .where(agent_sources.c.agent_id == agent_id)
        .order_by(x_accounts.c.handle)
    )
    urls = (
        select(research_sources.c.url)
        .join(agent_sources, agent_sources.c.research_source_id == research_sources.c.id)
        .where(agent_sources.c.agent_id == agent_id)
        .order_by(research_sources.c.url)
    )
    return FollowedSources(
        tuple(conn.execute(handles).scalars()), tuple(conn.execute(urls).scalars())
    )


def find_agent(conn: Connection, name: str) -> Agent | None:
    """Return the agent called ``name``, or None."""
    row = conn.execute(select(agents).where(agents.c.name == name)).one_or_none()
    return None if row is None else _agent(row)


def agent_by_id(conn: Connection, agent_id: UUID) -> Agent | None:
    """Return an agent, or None."""
    row = conn.execute(select(agents).where(agents.c.id == agent_id)).one_or_none()
    return None if row is None else _agent(row)


def active_agents(conn: Connection) -> list[Agent]:
    """Return the agents that make signals."""
    rows = conn.execute(
        select(agents).where(agents.c.status == AgentStatus.ACTIVE.value).order_by(agents.c.id)
    )
    return [_agent(row) for row in rows]


def _names_of(sources: FollowedSources) -> tuple[list[str], list[str]]:
    """Return handles and addresses as they are stored, in one order for all writers, so that none waits for another."""
    handles = sorted({handle.removeprefix("@").lower() for handle in sources.x_handles})
    return handles, sorted(set(sources.feed_urls))


def _followed(conn: Connection, name: Any, link: Any) -> dict[UUID, list[str]]:
    found: dict[UUID, list[str]] = {}
    query = select(agent_sources.c.agent_id, name).join_from(agent_sources, name.table, link)
    for agent_id, value in conn.execute(query.order_by(name)):
        found.setdefault(agent_id, []).append(value)
    return found


def _agent_values(agent: Agent) -> dict[str, Any]:
    return {
        "id": agent.id,
        "name": agent.name,
        "creator_wallet": agent.creator_wallet,
        "venue": agent.venue.value,
        "status": agent.status.value,
        "leverage": agent.leverage,
        "stop_loss_pct": agent.stop_loss_pct,
        "take_profit_pct": agent.take_profit_pct,
        "trailing_activation_pct": agent.trailing_activation_pct,
        "trailing_distance_pct": agent.trailing_distance_pct,
        "max_holding_h": agent.max_holding_h,
    }


def _agent(row: Row[Any]) -> Agent:
    return Agent(
        id=row.id,
        name=row.name,
        creator_wallet=row.creator_wallet,
        venue=Venue(row.venue),
        status=AgentStatus(row.status),
        leverage=row.leverage,
        stop_loss_pct=row.stop_loss_pct,
        take_profit_pct=row.take_profit_pct,
        trailing_activation_pct=row.trailing_activation_pct,
        trailing_distance_pct=row.trailing_distance_pct,
        max_holding_h=row.max_holding_h,
    )
