"""What people ask to see: recent steps, signals, positions, and the state of the whole. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from agentwhere_core.domain.enums import PositionStatus, Venue
from agentwhere_flow.classify import usage_details
from agentwhere_flow.system import System
from agentwhere_store.llm_calls import usage_of_day
from agentwhere_store.positions import PROTECTION
from agentwhere_store.tables.ideas import agents, posts, signals, venue_markets
from agentwhere_store.tables.operations import alerts, health_reports, kill_switches, step_runs
from agentwhere_store.tables.routing import venue_routing_history
from agentwhere_store.tables.trading import deployments, fills, orders, policy_decisions, positions


@dataclass(frozen=True, slots=True)
class StepRun:
    """One finished step, as it is on record."""

    id: UUID
    step: str
    run_id: str | None
    started_at: datetime
    seconds: Decimal
    ok: bool
    rows_in: int
    rows_out: int
    refusals: Mapping[str, int]
    details: Mapping[str, Any]
    error: str | None

    @property
    def label(self) -> str:
        """The step's name, with the venue where it has one."""
        venue = self.details.get("venue")
        return f"{self.step} {venue}" if venue else self.step

    def summary(self) -> str:
        """Return the step in one line."""
        refused = ", ".join(f"{count} {reason}" for reason, count in self.refusals.items())
        parts = [f"{self.label}: {self.rows_in} in, {self.rows_out} out, {self.seconds:.2f} s"]
        parts += [f"refused {refused}"] if refused else []
        parts += [self.error] if self.error else []
        return "; ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Return the step as plain JSON values."""
        return {
            "step": self.step,
            "ok": self.ok,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "refusals": dict(self.refusals),
            "seconds": float(self.seconds),
            "details": dict(self.details),
            "error": self.error,
        }


def steps_since(system: System, since: datetime) -> list[StepRun]:
    """Return the steps that started at ``since`` or later, in the order of their end."""
    return _steps(system, select(step_runs).where(step_runs.c.started_at >= since))


def steps_of_runs(system: System, run_ids: Sequence[str]) -> list[StepRun]:
    """Return the steps of some Dagster runs, in the order of their end."""
    return _steps(system, select(step_runs).where(step_runs.c.run_id.in_(run_ids)))


def list_signals(system: System, limit: int) -> list[dict[str, Any]]:
    """Return the newest signals with their agents, newest first."""
    query = (
        select(
            signals.c.created_at,
            agents.c.name.label("agent"),
            signals.c.token,
            signals.c.side,
            signals.c.venue,
            signals.c.fund_percentage,
            signals.c.confidence,
            signals.c.leverage,
            signals.c.stop_loss_pct,
            signals.c.take_profit_pct,
            signals.c.expires_at,
            func.cardinality(signals.c.source_post_ids).label("posts"),
            signals.c.reasoning,
            signals.c.id,
        )
        .join(agents, agents.c.id == signals.c.agent_id)
        .order_by(signals.c.created_at.desc(), signals.c.token)
        .limit(limit)
    )
    return _rows(system, query)


def list_positions(system: System, *, include_closed: bool, limit: int) -> list[dict[str, Any]]:
    """Return open positions, and the closed ones where asked for, newest first.

    ``protection``, its deadline ``protect_by`` and the prices that rest at the venue are of open positions only.
    """
    query = (
        select(
            deployments.c.name.label("deployment"),
            positions.c.venue,
            positions.c.token_symbol.label("token"),
            positions.c.side,
            positions.c.status,
            positions.c.size,
            positions.c.entry_price,
            positions.c.current_price,
            positions.c.unrealized_pnl_usd,
            positions.c.realized_pnl_usd,
            positions.c.fees_usd,
            positions.c.stop_loss_price,
            positions.c.take_profit_price,
            *PROTECTION,
            positions.c.exit_reason,
            positions.c.opened_at,
            positions.c.closed_at,
            positions.c.id,
        )
        .join(deployments, deployments.c.id == positions.c.deployment_id)
        .order_by(positions.c.opened_at.desc(), positions.c.token_symbol)
        .limit(limit)
    )
    if not include_closed:
        query = query.where(positions.c.status == PositionStatus.OPEN.value)
    return _rows(system, query)


def system_status(system: System) -> dict[str, Any]:
    """Return the newest health report, markets, rows, the model's usage, last steps, open alerts, kill switches."""
    last = (
        select(step_runs)
        .ext(distinct_on(step_runs.c.step))
        .order_by(step_runs.c.step, step_runs.c.started_at.desc())
    )
    health = _rows(system, select(health_reports).order_by(health_reports.c.at.desc()).limit(1))
    return {
        "health": health[0] if health else None,
        "markets": markets_by_venue(system),
        "rows": count_rows(system),
        "llm": llm_usage(system),
        "steps": [
            {"at": step.started_at, **step.as_dict()}
            for step in sorted(_steps(system, last), key=lambda step: step.started_at)
        ],
        "alerts": _rows(
            system,
            select(
                alerts.c.opened_at,
                alerts.c.severity,
                alerts.c.title,
                alerts.c.detail,
                alerts.c.times_seen,
            )
            .where(alerts.c.closed_at.is_(None))
            .order_by(alerts.c.opened_at),
        ),
        "kill_switches": _rows(
            system,
            select(
                kill_switches.c.scope,
                kill_switches.c.target,
                kill_switches.c.reason,
                kill_switches.c.author,
                kill_switches.c.engaged_at,
            ).where(kill_switches.c.released_at.is_(None)),
        ),
    }


def markets_by_venue(system: System) -> dict[Venue, dict[str, Any]]:
    """Return for each venue how many markets it lists, how many are active, and when they were last synced."""
    query = select(
        venue_markets.c.venue,
        func.count().label("listed"),
        func.count().filter(venue_markets.c.is_active).label("active"),
        func.max(venue_markets.c.last_synced).label("last_synced"),
    ).group_by(venue_markets.c.venue)
    return {Venue(row.pop("venue")): row for row in _rows(system, query)}


def llm_usage(system: System) -> dict[str, object]:
    """Return what the language model was used for since midnight UTC, beside its budget."""
    with system.engine.connect() as conn:
        today = usage_of_day(conn, system.clock())
    return usage_details(today, system.settings)


def count_rows(system: System) -> dict[str, int]:
    """Return how many rows the tables of the flow hold."""
    tables = (posts, signals, policy_decisions, venue_routing_history, orders, fills, positions)
    counts = [select(func.count()).select_from(t).scalar_subquery().label(t.name) for t in tables]
    return _rows(system, select(*counts))[0]


def _steps(system: System, query: Select[Any]) -> list[StepRun]:
    names = StepRun.__slots__
    with system.engine.connect() as conn:
        rows: Sequence[Row[Any]] = conn.execute(query).all()
    found = [StepRun(**{name: row._mapping[name] for name in names}) for row in rows]
    return sorted(found, key=lambda step: step.id)


def _rows(system: System, query: Select[Any]) -> list[dict[str, Any]]:
    with system.engine.connect() as conn:
        return [dict(row) for row in conn.execute(query).mappings()]
