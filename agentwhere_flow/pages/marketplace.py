"""The marketplace: all agents with their figures, and one agent in full."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import func, select

from agentwhere_core.domain.enums import DeploymentStatus
from agentwhere_flow.pages.positions import POSITIONS
from agentwhere_flow.pages.reading import row, rows
from agentwhere_store.arena.desks import in_arena
from agentwhere_store.tables.ideas import (
    agent_sources,
    agents,
    research_sources,
    signals,
    x_accounts,
)
from agentwhere_store.tables.operations import agent_metrics, agent_metrics_history
from agentwhere_store.tables.trading import deployments, positions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_flow.system import System

SPARK_DAYS = timedelta(days=60)
RECENT = 30

_LISTED = (
    "apr_30d",
    "apr_90d",
    "apr_si",
    "sharpe_30d",
    "sharpe_90d",
    "sharpe_si",
    "max_drawdown_si",
    "win_rate_30d",
    "days_30d",
    "days_si",
    "closed_positions",
    "net_pnl_usd",
    "equity_usd",
)


def marketplace(system: System, now: datetime) -> dict[str, Any]:
    """Return every agent with the figures that the list shows, and its equity of the last 60 days."""
    running = (
        select(deployments.c.agent_id, func.count().label("deployments"))
        .where(deployments.c.status == DeploymentStatus.ACTIVE.value)
        .group_by(deployments.c.agent_id)
        .subquery()
    )
    query = (
        select(
            agents.c.id,
            agents.c.name,
            agents.c.status,
            agents.c.venue,
            func.coalesce(running.c.deployments, 0).label("deployments"),
            *(agent_metrics.c[name] for name in _LISTED),
            agent_metrics.c.as_of,
        )
        .outerjoin(agent_metrics, agent_metrics.c.agent_id == agents.c.id)
        .outerjoin(running, running.c.agent_id == agents.c.id)
        # They have a page of their own.
        .where(~in_arena(agents.c.id))
        .order_by(agents.c.name)
    )
    with system.engine.connect() as conn:
        found = rows(conn, query)
        curves = _curves(conn, (now - SPARK_DAYS).date())
    return {
        "at": now.isoformat(),
        "agents": [agent | {"curve": curves[agent["id"]]} for agent in found],
    }


def agent_page(system: System, now: datetime, agent_id: UUID) -> dict[str, Any] | None:
    """Return one agent in full: figures of all windows, equity, sources, deployments, signals; None if unknown."""
    with system.engine.connect() as conn:
        agent = row(conn, select(agents).where(agents.c.id == agent_id))
        if agent is None:
            return None
        history = agent_metrics_history.c
        return {
            "at": now.isoformat(),
            "agent": agent,
            "metrics": row(conn, select(agent_metrics).where(agent_metrics.c.agent_id == agent_id)),
            "equity": rows(
                conn,
                select(history.as_of, history.equity_usd)
                .where(history.agent_id == agent_id)
                .order_by(history.as_of),
            ),
            "sources": _sources(conn, agent_id),
            "deployments": rows(conn, _deployments(agent_id)),
            "signals": rows(conn, _signals(agent_id)),
            "positions": rows(
                conn,
                POSITIONS.where(positions.c.agent_id == agent_id)
                .order_by(positions.c.opened_at.desc())
                .limit(RECENT),
            ),
        }


def _curves(conn: Connection, since: Any) -> dict[str, list[float]]:
    history = agent_metrics_history.c
    curves: dict[str, list[float]] = defaultdict(list)
    for agent_id, equity in conn.execute(
        select(history.agent_id, history.equity_usd)
        .where(history.as_of > since)
        .order_by(history.agent_id, history.as_of)
    ):
        curves[str(agent_id)].append(float(equity))
    return curves


def _sources(conn: Connection, agent_id: UUID) -> list[dict[str, Any]]:
    return rows(
        conn,
        select(
            x_accounts.c.handle,
            func.coalesce(research_sources.c.title, research_sources.c.url).label("feed"),
        )
        .select_from(agent_sources)
        .outerjoin(x_accounts, x_accounts.c.id == agent_sources.c.x_account_id)
        .outerjoin(research_sources, research_sources.c.id == agent_sources.c.research_source_id)
        .where(agent_sources.c.agent_id == agent_id)
        .order_by(x_accounts.c.handle, research_sources.c.url),
    )


def _deployments(agent_id: UUID) -> Any:
    return (
        select(
            deployments.c.id,
            deployments.c.name,
            deployments.c.status,
            deployments.c.capital_usd,
            deployments.c.created_at,
        )
        .where(deployments.c.agent_id == agent_id)
        .order_by(deployments.c.created_at)
    )


def _signals(agent_id: UUID) -> Any:
    return (
        select(
            signals.c.id,
            signals.c.token,
            signals.c.side,
            signals.c.venue,
            signals.c.fund_percentage,
            signals.c.confidence,
            signals.c.leverage,
            signals.c.reasoning,
            signals.c.created_at,
            signals.c.expires_at,
        )
        .where(signals.c.agent_id == agent_id)
        .order_by(signals.c.created_at.desc())
        .limit(RECENT)
    )
