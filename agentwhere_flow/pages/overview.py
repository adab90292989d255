"""The overview: open incidents, kill switches, counts, what was earned, and the last run of each step."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on

from agentwhere_core.domain.enums import AgentStatus, DeploymentStatus, PositionStatus, Severity
from agentwhere_flow.pages.reading import row, rows
from agentwhere_store.arena.desks import in_arena
from agentwhere_store.tables.ideas import agents, signals
from agentwhere_store.tables.operations import (
    agent_metrics_history,
    alert_notices,
    alerts,
    kill_switches,
    step_runs,
)
from agentwhere_store.tables.trading import deployments, positions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_flow.system import System

DAY = timedelta(days=1)
EARNED_WITHIN = timedelta(days=90)


def overview(system: System, now: datetime) -> dict[str, Any]:
    """Return what an operator looks at first."""
    with system.engine.connect() as conn:
        return {
            "at": now.isoformat(),
            "alerts": rows(conn, _OPEN_ALERTS),
            "undelivered": conn.execute(_UNDELIVERED).scalar_one(),
            "killSwitches": rows(conn, _SWITCHES),
            "counts": _counts(conn, now),
            "earned": rows(conn, _earned(now)),
            "steps": rows(conn, _LAST_STEPS),
        }


_OPEN_ALERTS = (
    select(
        alerts.c.id,
        alerts.c.incident,
        alerts.c.severity,
        alerts.c.title,
        alerts.c.detail,
        alerts.c.opened_at,
        alerts.c.last_seen,
        alerts.c.times_seen,
        alerts.c.acknowledged_by,
    )
    .where(alerts.c.closed_at.is_(None))
    .order_by((alerts.c.severity == Severity.CRITICAL.value).desc(), alerts.c.opened_at)
)
_UNDELIVERED = (
    select(func.count()).select_from(alert_notices).where(alert_notices.c.error.is_not(None))
).where(alert_notices.c.state == "PENDING")
_SWITCHES = (
    select(
        kill_switches.c.scope,
        kill_switches.c.target,
        kill_switches.c.reason,
        kill_switches.c.author,
        kill_switches.c.engaged_at,
    )
    .where(kill_switches.c.released_at.is_(None))
    .order_by(kill_switches.c.engaged_at)
)
_LAST_STEPS = (
    select(
        step_runs.c.step,
        step_runs.c.finished_at,
        step_runs.c.seconds,
        step_runs.c.ok,
        step_runs.c.rows_in,
        step_runs.c.rows_out,
        step_runs.c.error,
    )
    .ext(distinct_on(step_runs.c.step))
    .order_by(step_runs.c.step, step_runs.c.started_at.desc())
)


def _counts(conn: Connection, now: datetime) -> dict[str, Any]:
    """Count creators' agents and their money; models of the arena only by their number."""
    is_open = positions.c.status == PositionStatus.OPEN.value
    held = row(
        conn,
        select(
            func.count().filter(is_open).label("open_positions"),
            func.coalesce(func.sum(positions.c.unrealized_pnl_usd).filter(is_open), 0).label(
                "unrealized_pnl_usd"
            ),
            func.coalesce(
                func.sum(
                    positions.c.realized_pnl_usd - positions.c.fees_usd + positions.c.funding_usd
                ).filter(positions.c.closed_at > now - DAY),
                0,
            ).label("realized_24h_usd"),
        ).where(~in_arena(positions.c.agent_id)),
    )
    running = row(
        conn,
        select(
            func.coalesce(func.sum(deployments.c.capital_usd), 0).label("capital_usd"),
            func.count().label("deployments"),
        ).where(
            deployments.c.status == DeploymentStatus.ACTIVE.value,
            ~in_arena(deployments.c.agent_id),
        ),
    )
    is_model = in_arena(agents.c.id)
    active = select(
        func.count().filter(~is_model).label("active_agents"),
        func.count().filter(is_model).label("arena_models"),
    ).where(agents.c.status == AgentStatus.ACTIVE.value)
    return {
        **(held or {}),
        **(running or {}),
        **(row(conn, active) or {}),
        "signals_24h": conn.execute(
            select(func.count()).where(
                signals.c.created_at > now - DAY, ~in_arena(signals.c.agent_id)
            )
        ).scalar_one(),
    }


def _earned(now: datetime) -> Any:
    day = agent_metrics_history.c.as_of
    return (
        select(day, func.sum(agent_metrics_history.c.net_pnl_usd).label("net_pnl_usd"))
        .where(day > (now - EARNED_WITHIN).date(), ~in_arena(agent_metrics_history.c.agent_id))
        .group_by(day)
        .order_by(day)
    )
