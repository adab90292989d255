"""Performance figures, health, alerts, step runs, kill switches and leases."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy import (
    text as sql,
)

from agentwhere_core.alerts.notices import NoticeKind, NoticeState
from agentwhere_core.domain.enums import HealthStatus, KillScope, Severity, SourceKind, Venue
from agentwhere_store.tables.base import (
    SCHEMA,
    check,
    json,
    key,
    metadata,
    number,
    one_of,
    ref,
    text,
    time,
)

equity_daily = Table(
    "equity_daily",
    metadata,
    ref("deployment_id", "deployments"),
    Column("venue", Text, nullable=False),
    Column("day", Date, nullable=False),
    number("realized_pnl_usd"),
    number("unrealized_pnl_usd"),
    number("fees_usd"),
    number("funding_usd"),
    time("updated_at"),
    UniqueConstraint("deployment_id", "venue", "day"),
)

deployment_totals = Table(
    "deployment_totals",
    metadata,
    ref("deployment_id", "deployments"),
    Column("venue", Text, nullable=False),
    Column("closed_positions", Integer, nullable=False),
    number("realized_pnl_usd"),
    number("unrealized_pnl_usd"),
    number("fees_usd"),
    number("funding_usd"),
    PrimaryKeyConstraint("deployment_id", "venue"),
)

stale_books = Table(
    "stale_books",
    metadata,
    ref("deployment_id", "deployments"),
    Column("venue", Text, nullable=False),
)

capital_flows = Table(
    "capital_flows",
    metadata,
    key(),
    ref("deployment_id", "deployments"),
    number("amount_usd"),
    text("reference"),
    time("at"),
    UniqueConstraint("deployment_id", "reference"),
)

_FIGURES = (
    "apr",
    "sharpe",
    "sharpe_low",
    "sharpe_high",
    "sortino",
    "max_drawdown",
    "cagr",
    "volatility",
    "profit_factor",
    "win_rate",
    "total_return",
)
_WINDOWS = ("30d", "90d", "si")


def _figures() -> list[Column[object]]:
    columns = [
        number(f"{figure}_{window}", nullable=True) for window in _WINDOWS for figure in _FIGURES
    ]
    days = [Column(f"days_{window}", Integer, nullable=False) for window in _WINDOWS]
    return [*columns, *days]


agent_metrics = Table(
    "agent_metrics",
    metadata,
    Column("agent_id", Uuid, ForeignKey(f"{SCHEMA}.agents.id"), primary_key=True),
    *_figures(),
    Column("closed_positions", Integer, nullable=False),
    number("net_pnl_usd"),
    number("equity_usd"),
    Column("as_of", Date, nullable=False),
    time("computed_at"),
)

agent_metrics_history = Table(
    "agent_metrics_history",
    metadata,
    Column("agent_id", Uuid, ForeignKey(f"{SCHEMA}.agents.id"), primary_key=True),
    Column("as_of", Date, primary_key=True),
    *_figures(),
    Column("closed_positions", Integer, nullable=False),
    number("net_pnl_usd"),
    number("equity_usd"),
    time("computed_at"),
)

source_scores = Table(
    "source_scores",
    metadata,
    Column("source_id", Uuid, primary_key=True),
    *one_of("source_kind", SourceKind),
    Column("signals", Integer, nullable=False),
    Column("closed", Integer, nullable=False),
    Column("hits", Integer, nullable=False),
    number("hit_rate", nullable=True),
    number("hit_rate_low", nullable=True),
    number("hit_rate_high", nullable=True),
    number("pnl_usd"),
    number("weight"),
    time("computed_at"),
    check("weight_range", "weight > 0 AND weight <= 1"),
)

routing_regret = Table(
    "routing_regret",
    metadata,
    key(),
    ref("routing_id", "venue_routing_history"),
    ref("position_id", "positions"),
    *one_of("venue", Venue),
    Column("was_selected", Boolean, nullable=False),
    number("cost_bps"),
    number("regret_bps"),
    number("regret_usd"),
    number("fees_bps", nullable=True),
    number("slippage_bps", nullable=True),
    number("funding_bps", nullable=True),
    time("computed_at"),
    UniqueConstraint("position_id", "venue"),
)

step_runs = Table(
    "step_runs",
    metadata,
    key(),
    text("step"),
    text("run_id", nullable=True),
    time("started_at"),
    time("finished_at"),
    number("seconds"),
    Column("ok", Boolean, nullable=False),
    Column("rows_in", Integer, nullable=False),
    Column("rows_out", Integer, nullable=False),
    json("refusals"),
    json("details"),
    text("error", nullable=True),
    Index("ix_step_runs_step", "step", "started_at"),
)

health_reports = Table(
    "health_reports",
    metadata,
    key(),
    *one_of("status", HealthStatus),
    json("report"),
    time("at"),
    Index("ix_health_reports_at", "at"),
)

alerts = Table(
    "alerts",
    metadata,
    key(),
    text("incident"),
    *one_of("severity", Severity),
    text("title"),
    text("detail"),
    time("opened_at"),
    time("last_seen"),
    Column("times_seen", Integer, nullable=False, server_default="1"),
    time("closed_at", nullable=True),
    time("acknowledged_at", nullable=True),
    text("acknowledged_by", nullable=True),
    Index(
        "uq_alerts_one_open_per_incident",
        "incident",
        unique=True,
        postgresql_where=sql("closed_at IS NULL"),
    ),
    check("acknowledged_by_somebody", "(acknowledged_at IS NULL) = (acknowledged_by IS NULL)"),
)

alert_notices = Table(
    "alert_notices",
    metadata,
    key(),
    ref("alert_id", "alerts"),
    text("target"),
    *one_of("kind", NoticeKind),
    Column("number", Integer, nullable=False, server_default="0"),
    *one_of("severity", Severity),
    *one_of("state", NoticeState, default="PENDING"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    time("created_at"),
    time("next_attempt_at"),
    time("told_at", nullable=True),
    text("error", nullable=True),
    UniqueConstraint("alert_id", "target", "kind", "number"),
    Index(
        "ix_alert_notices_unfinished",
        "next_attempt_at",
        postgresql_where=sql("state IN ('PENDING', 'SENDING')"),
    ),
    check("told_when_out", "state NOT IN ('SENDING', 'SENT') OR told_at IS NOT NULL"),
    check("only_repetitions_count", "number = 0 OR kind = 'REPEATED'"),
)

errors = Table(
    "errors",
    metadata,
    key(),
    text("step"),
    text("kind"),
    text("message"),
    json("context"),
    time("at"),
    Index("ix_errors_at", "at"),
)

kill_switches = Table(
    "kill_switches",
    metadata,
    key(),
    *one_of("scope", KillScope),
    text("target", default=""),
    text("reason"),
    text("author"),
    Column("closes_all", Boolean, nullable=False, server_default=sql("false")),
    time("engaged_at"),
    time("released_at", nullable=True),
    text("released_by", nullable=True),
    text("release_reason", nullable=True),
    Index(
        "uq_kill_switches_one_engaged",
        "scope",
        "target",
        unique=True,
        postgresql_where=sql("released_at IS NULL"),
    ),
    check("target_named", "(scope = 'GLOBAL') = (target = '')"),
    check("release_signed", "(released_at IS NULL) = (released_by IS NULL)"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    text("holder"),
    Column("fencing_token", BigInteger, nullable=False),
    time("acquired_at"),
)
