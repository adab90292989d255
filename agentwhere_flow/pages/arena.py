"""The arena beyond its two public answers: each model's standing, and one invocation in full."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on

from agentwhere_flow.pages.reading import row, rows
from agentwhere_store.tables.arena import invocations, models, portfolio_size, tool_calls

if TYPE_CHECKING:
    from agentwhere_flow.system import System


def arena_page(system: System, now: datetime) -> dict[str, Any]:
    """Return every model with its newest portfolio, how often it was invoked, and what that cost."""
    size = portfolio_size.c
    newest = (
        select(portfolio_size)
        .ext(distinct_on(size.model_id))
        .order_by(size.model_id, size.created_at.desc())
        .subquery()
    )
    first = (
        select(size.model_id, size.total_value)
        .ext(distinct_on(size.model_id))
        .order_by(size.model_id, size.created_at)
        .subquery()
    )
    spent = (
        select(
            invocations.c.model_id,
            func.count().label("invocations"),
            func.coalesce(func.sum(invocations.c.cost_usd), 0).label("llm_cost_usd"),
            func.max(invocations.c.created_at).label("last_invoked_at"),
        )
        .group_by(invocations.c.model_id)
        .subquery()
    )
    query = (
        select(
            models.c.id,
            models.c.name,
            models.c.openrouter_model,
            models.c.status,
            models.c.markets,
            models.c.interval_s,
            newest.c.total_value,
            first.c.total_value.label("first_value"),
            newest.c.open_positions,
            func.coalesce(spent.c.invocations, 0).label("invocations"),
            func.coalesce(spent.c.llm_cost_usd, 0).label("llm_cost_usd"),
            spent.c.last_invoked_at,
        )
        .outerjoin(newest, newest.c.model_id == models.c.id)
        .outerjoin(first, first.c.model_id == models.c.id)
        .outerjoin(spent, spent.c.model_id == models.c.id)
        .order_by(models.c.name)
    )
    with system.engine.connect() as conn:
        return {"at": now.isoformat(), "models": rows(conn, query)}


def invocation_page(system: System, invocation_id: UUID) -> dict[str, Any] | None:
    """Return one invocation with its full prompt, response and tool calls; None if there is none of that id."""
    columns = invocations.c
    with system.engine.connect() as conn:
        found = row(
            conn,
            select(
                columns.id,
                columns.number,
                columns.state,
                columns.prompt,
                columns.response,
                columns.provider_model,
                columns.prompt_tokens,
                columns.completion_tokens,
                columns.cost_usd,
                columns.latency_ms,
                columns.reason,
                columns.error,
                columns.created_at,
            ).where(columns.id == invocation_id),
        )
        if found is None:
            return None
        calls = rows(
            conn,
            select(
                tool_calls.c.ordinal,
                tool_calls.c.tool_call_type,
                tool_calls.c.status,
                tool_calls.c.metadata,
                tool_calls.c.reason,
                tool_calls.c.detail,
            )
            .where(tool_calls.c.invocation_id == invocation_id)
            .order_by(tool_calls.c.ordinal),
        )
    return found | {"toolCalls": calls}
