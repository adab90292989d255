"""The arena: models, their invocations and tool calls, and what their accounts were worth."""

from __future__ import annotations

from sqlalchemy import ARRAY, Column, Index, Integer, Table, Text, UniqueConstraint, Uuid
from sqlalchemy import text as sql

from agentwhere_core.arena.values import (
    InvocationState,
    ModelStatus,
    ToolCallStatus,
    ToolCallType,
)
from agentwhere_store.tables.base import check, json, key, metadata, number, one_of, ref, text, time

models = Table(
    "models",
    metadata,
    key(),
    text("name"),
    text("openrouter_model"),
    ref("agent_id", "agents", unique=True),
    ref("deployment_id", "deployments", unique=True),
    Column("markets", ARRAY(Text), nullable=False),
    json("leverage"),
    Column("interval_s", Integer, nullable=False),
    number("budget_usd_per_day", nullable=True),
    *one_of("status", ModelStatus, default="ACTIVE"),
    time("due_at"),
    Column("skipped", Integer, nullable=False, server_default="0"),
    time("created_at"),
    time("updated_at"),
    UniqueConstraint("name"),
    check("interval_range", "interval_s >= 5"),
    check("has_markets", "cardinality(markets) > 0"),
    check("budget_not_negative", "budget_usd_per_day >= 0"),
)

invocations = Table(
    "invocations",
    metadata,
    key(),
    ref("model_id", "models"),
    Column("number", Integer, nullable=False),
    *one_of("state", InvocationState),
    json("inputs"),
    text("prompt"),
    text("prompt_version"),
    text("response", default=""),
    json("replies", "[]"),
    text("provider_model", nullable=True),
    Column("prompt_tokens", Integer, nullable=False, server_default="0"),
    Column("completion_tokens", Integer, nullable=False, server_default="0"),
    number("cost_usd", nullable=True),
    Column("latency_ms", Integer, nullable=False, server_default="0"),
    text("reason", nullable=True),
    text("error", nullable=True),
    text("run_id", nullable=True),
    time("created_at"),
    time("updated_at"),
    UniqueConstraint("model_id", "number"),
    Index(
        "uq_invocations_one_running",
        "model_id",
        unique=True,
        postgresql_where=sql("state IN ('ASKING', 'DECIDED')"),
    ),
    Index("ix_invocations_created_at", "created_at"),
    check("ends_with_a_reason", "state NOT IN ('FAILED', 'INTERRUPTED') OR reason IS NOT NULL"),
)

tool_calls = Table(
    "tool_calls",
    metadata,
    key(),
    ref("invocation_id", "invocations"),
    Column("ordinal", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    *one_of("tool_call_type", ToolCallType),
    *one_of("status", ToolCallStatus),
    json("metadata"),
    ref("signal_id", "signals", nullable=True, unique=True),
    Column("position_ids", ARRAY(Uuid), nullable=False),
    text("reason", nullable=True),
    text("detail", nullable=True),
    json("result"),
    time("expires_at"),
    time("created_at"),
    time("updated_at"),
    UniqueConstraint("invocation_id", "ordinal"),
    Index("ix_tool_calls_pending", "created_at", postgresql_where=sql("status = 'ACCEPTED'")),
    check("refused_with_a_reason", "status NOT IN ('REFUSED', 'FAILED') OR reason IS NOT NULL"),
    check("refused_has_no_signal", "status <> 'REFUSED' OR signal_id IS NULL"),
    check(
        "creating_needs_a_signal",
        "tool_call_type <> 'CREATE_POSITION' OR status = 'REFUSED' OR signal_id IS NOT NULL",
    ),
)

portfolio_size = Table(
    "portfolio_size",
    metadata,
    key(),
    ref("model_id", "models"),
    ref("invocation_id", "invocations", nullable=True, unique=True),
    number("total_value"),
    number("available_cash"),
    Column("open_positions", Integer, nullable=False),
    time("created_at"),
    UniqueConstraint("model_id", "created_at"),
    Index("ix_portfolio_size_created_at", "created_at"),
)
