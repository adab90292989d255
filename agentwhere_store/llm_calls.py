"""Questions to the language model: each with its reply and its cost, so that nothing is paid for twice."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection, case, func, insert, literal, select
from sqlalchemy.dialects.postgresql import distinct_on

from agentwhere_core.domain.ids import new_id
from agentwhere_core.llm.budget import (
    ASSUMED_COMPLETION_PRICE,
    ASSUMED_PROMPT_PRICE,
    Usage,
    cost_of,
)
from agentwhere_store.rows import json_safe, storable
from agentwhere_store.tables.ideas import classifications, llm_calls

if TYPE_CHECKING:
    from agentwhere_core.llm.client import ClassificationOutcome


@dataclass(frozen=True, slots=True)
class Call:
    """One question about a post's text, and what came of it; ``model`` is the one that was asked for."""

    post_id: UUID
    content_hash: str
    model: str
    outcome: ClassificationOutcome


def record_calls(conn: Connection, calls: Sequence[Call], now: datetime) -> None:
    """Keep calls, answered or not: both are paid for."""
    if calls:
        conn.execute(insert(llm_calls), [_values(call, now) for call in calls])


def known_answers(
    conn: Connection,
    content_hashes: Collection[str],
    *,
    prompt_version: str,
    schema_version: str,
    model: str,
) -> dict[str, dict[str, Any]]:
    """Return, by content hash, the reply that a model gave to a text under a prompt and schema; the first stands."""
    rows = conn.execute(
        select(llm_calls.c.content_hash, llm_calls.c.raw_response)
        .ext(distinct_on(llm_calls.c.content_hash))
        .where(
            llm_calls.c.answered,
            llm_calls.c.content_hash.in_(list(content_hashes)),
            llm_calls.c.prompt_version == prompt_version,
            llm_calls.c.schema_version == schema_version,
            llm_calls.c.model == model,
        )
        .order_by(llm_calls.c.content_hash, llm_calls.c.id)
    )
    return dict(rows.all())


def usage_of_day(conn: Connection, now: datetime) -> Usage:
    """Return what the model was used for since midnight UTC."""
    midnight = datetime.combine(now.date(), time(), now.tzinfo)
    priced = llm_calls.c.cost_usd.is_not(None)
    tokens = llm_calls.c.prompt_tokens, llm_calls.c.completion_tokens
    assumed = (
        cost_of(1, 0, ASSUMED_PROMPT_PRICE, ASSUMED_COMPLETION_PRICE),
        cost_of(0, 1, ASSUMED_PROMPT_PRICE, ASSUMED_COMPLETION_PRICE),
    )
    counted = func.coalesce(llm_calls.c.cost_usd, tokens[0] * assumed[0] + tokens[1] * assumed[1])
    cached = (
        select(func.count())
        .where(classifications.c.created_at >= midnight, classifications.c.is_cached)
        .scalar_subquery()
    )
    nothing = literal(0)
    row = conn.execute(
        select(
            func.count().label("calls"),
            func.count().filter(llm_calls.c.answered).label("answered"),
            cached.label("cached"),
            func.coalesce(func.sum(tokens[0]), nothing).label("prompt_tokens"),
            func.coalesce(func.sum(tokens[1]), nothing).label("completion_tokens"),
            func.coalesce(func.sum(llm_calls.c.cost_usd), nothing).label("cost_usd"),
            func.coalesce(func.sum(case((priced, 0), else_=tokens[0])), nothing).label(
                "unpriced_prompt_tokens"
            ),
            func.coalesce(func.sum(case((priced, 0), else_=tokens[1])), nothing).label(
                "unpriced_completion_tokens"
            ),
            func.max(counted).label("dearest_usd"),
        ).where(llm_calls.c.at >= midnight)
    ).one()
    return Usage(**row._mapping)


def _values(call: Call, now: datetime) -> dict[str, Any]:
    outcome = call.outcome
    return {
        "id": new_id(),
        "post_id": call.post_id,
        "content_hash": call.content_hash,
        "model": call.model,
        "answered_by": outcome.model,
        "prompt_version": outcome.prompt_version,
        "schema_version": outcome.schema_version,
        "answered": not outcome.abstained,
        "reason": None if outcome.reason is None else outcome.reason.value,
        "error": None if outcome.error is None else storable(outcome.error),
        "attempts": outcome.attempts,
        "raw_response": storable(json_safe(outcome.raw_response)),
        "prompt_tokens": outcome.prompt_tokens,
        "completion_tokens": outcome.completion_tokens,
        "cost_usd": outcome.cost_usd,
        "latency_ms": outcome.latency_ms,
        "at": now,
    }
