"""Invocations and their tool calls: stored before anything is executed, and brought to their end from the ledger."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, select, true, update
from sqlalchemy.dialects.postgresql import insert

from agentwhere_core.arena.prompt import (
    PROMPT_VERSION,
    full_prompt,
    snapshot_from_json,
    snapshot_to_json,
)
from agentwhere_core.arena.values import (
    ClosePositions,
    Decision,
    InvocationState,
    Snapshot,
    ToolCallStatus,
    ToolCallType,
    Usage,
    Verdict,
)
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.reasons import Reason
from agentwhere_store.rows import json_safe
from agentwhere_store.signals import insert_signals
from agentwhere_store.tables.arena import invocations, models, tool_calls


@dataclass(frozen=True, slots=True)
class Invocation:
    """A row of ``invocations``."""

    id: UUID
    model_id: UUID
    model_name: str
    openrouter_model: str
    number: int
    state: InvocationState
    snapshot: Snapshot
    prompt: str
    prompt_version: str
    response: str
    usage: Usage
    reason: Reason | None
    error: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Brief:
    """How an invocation stands."""

    state: InvocationState
    cost_usd: Decimal | None
    reason: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A row of ``tool_calls``."""

    id: UUID
    invocation_id: UUID
    model_id: UUID
    ordinal: int
    kind: ToolCallType
    status: ToolCallStatus
    metadata: dict[str, Any]
    signal_id: UUID | None
    position_ids: tuple[UUID, ...]
    reason: str | None
    detail: str | None
    result: dict[str, Any]
    expires_at: datetime
    created_at: datetime

    @property
    def reason_at_first(self) -> str | None:
        """Why the call was refused when it was made; None for one that was accepted, however it ended."""
        return self.reason if self.status is ToolCallStatus.REFUSED else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a tool call ended."""

    call_id: UUID
    status: ToolCallStatus
    reason: Reason | None
    detail: str | None
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Decided:
    """A verdict with the key of its row, and the signal that an accepted createPosition became."""

    id: UUID
    verdict: Verdict
    signal: Signal | None


def begin(
    conn: Connection,
    model_id: UUID,
    snapshot: Snapshot,
    run_id: str | None,
    now: datetime,
) -> UUID:
    """Write an invocation that is about to be asked, with the whole prompt and what it was made of."""
    invocation_id = new_id()
    conn.execute(
        insert(invocations).values(
            id=invocation_id,
            model_id=model_id,
            number=snapshot.invocation,
            state=InvocationState.ASKING.value,
            inputs=snapshot_to_json(snapshot),
            prompt=full_prompt(snapshot),
            prompt_version=PROMPT_VERSION,
            run_id=run_id,
            created_at=now,
            updated_at=now,
        )
    )
    return invocation_id


def decide(
    conn: Connection,
    invocation_id: UUID,
    decision: Decision,
    decided: Sequence[Decided],
    *,
    expires_at: datetime,
    now: datetime,
) -> None:
    """Write what a model decided: its words, its tool calls, and the signals of those that will be executed.

    One transaction of the caller's holds all of it: a tool call and its signal exist together or not at all.
    """
    usage = decision.usage
    failed = decision.reason is not None and not any(v.is_accepted for v in decision.verdicts)
    conn.execute(
        update(invocations)
        .where(
            invocations.c.id == invocation_id,
            invocations.c.state == InvocationState.ASKING.value,
        )
        .values(
            state=(InvocationState.FAILED if failed else InvocationState.DECIDED).value,
            response=_storable(decision.response),
            replies=_storable(json_safe(list(decision.replies))),
            provider_model=usage.provider_model or None,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_usd=usage.cost_usd,
            latency_ms=usage.latency_ms,
            reason=decision.reason and decision.reason.value,
            error=_storable(decision.error),
            updated_at=now,
        )
    )
    insert_signals(conn, [item.signal for item in decided if item.signal is not None])
    if decided:
        conn.execute(
            insert(tool_calls),
            [
                _call_values(item, ordinal, invocation_id, expires_at, now)
                for ordinal, item in enumerate(decided)
            ],
        )


def finish(conn: Connection, invocation_ids: Collection[UUID], now: datetime) -> None:
    """Call invocations DONE whose calls were handed to the ledger."""
    conn.execute(
        update(invocations)
        .where(
            invocations.c.id.in_(list(invocation_ids)),
            invocations.c.state == InvocationState.DECIDED.value,
        )
        .values(state=InvocationState.DONE.value, updated_at=now)
    )


def interrupt(conn: Connection, model_id: UUID, now: datetime) -> int:
    """Record that invocations of a model died while it was asked; return how many did."""
    return conn.execute(
        update(invocations)
        .where(
            invocations.c.model_id == model_id,
            invocations.c.state == InvocationState.ASKING.value,
        )
        .values(
            state=InvocationState.INTERRUPTED.value,
            reason=Reason.INTERRUPTED.value,
            error="the process ended while the model was asked; nothing was decided, nothing was traded",
            updated_at=now,
        )
    ).rowcount


def decided_of(conn: Connection, model_ids: Collection[UUID]) -> list[UUID]:
    """Return the invocations of some models whose calls are stored, and perhaps not executed."""
    rows = conn.execute(
        select(invocations.c.id).where(
            invocations.c.model_id.in_(list(model_ids)),
            invocations.c.state == InvocationState.DECIDED.value,
        )
    )
    return list(rows.scalars())


def running_models(conn: Connection) -> frozenset[UUID]:
    """Return the models that have an invocation which a process is, or was when it died, at work on."""
    running = [state.value for state in InvocationState if state.is_running]
    query = select(invocations.c.model_id).where(invocations.c.state.in_(running))
    return frozenset(conn.execute(query).scalars())


def briefs(conn: Connection, invocation_ids: Collection[UUID]) -> dict[UUID, Brief]:
    """Return how some invocations stand, in few words."""
    rows = conn.execute(
        select(
            invocations.c.id,
            invocations.c.state,
            invocations.c.cost_usd,
            invocations.c.reason,
            invocations.c.error,
        ).where(invocations.c.id.in_(list(invocation_ids)))
    )
    return {row[0]: Brief(InvocationState(row[1]), *row[2:]) for row in rows}


def pending_calls(conn: Connection) -> list[ToolCall]:
    """Return accepted calls whose end is not known, oldest first."""
    return _calls(conn, tool_calls.c.status == ToolCallStatus.ACCEPTED.value)


def calls_of(conn: Connection, invocation_ids: Collection[UUID]) -> dict[UUID, list[ToolCall]]:
    """Return the tool calls of some invocations, in the order in which they were made."""
    found: dict[UUID, list[ToolCall]] = {}
    for call in _calls(conn, tool_calls.c.invocation_id.in_(list(invocation_ids))):
        found.setdefault(call.invocation_id, []).append(call)
    return found


def save_outcomes(conn: Connection, outcomes: Sequence[Outcome], now: datetime) -> int:
    """Write how calls ended; one that has ended already stays. Return how many were written."""
    written = 0
    for outcome in outcomes:
        written += conn.execute(
            update(tool_calls)
            .where(
                tool_calls.c.id == outcome.call_id,
                tool_calls.c.status == ToolCallStatus.ACCEPTED.value,
            )
            .values(
                status=outcome.status.value,
                reason=outcome.reason and outcome.reason.value,
                detail=outcome.detail,
                result=json_safe(outcome.result),
                updated_at=now,
            )
        ).rowcount
    return written


def find_invocation(conn: Connection, invocation_id: UUID) -> Invocation | None:
    """Return one invocation, or None."""
    return next(iter(_invocations(conn, invocations.c.id == invocation_id, 1)), None)


def recent_invocations(conn: Connection, limit: int) -> list[Invocation]:
    """Return the newest invocations first."""
    return _invocations(conn, true(), limit)


def _invocations(conn: Connection, condition: ColumnElement[bool], limit: int) -> list[Invocation]:
    rows = conn.execute(
        select(invocations, models.c.name, models.c.openrouter_model)
        .join(models, models.c.id == invocations.c.model_id)
        .where(condition)
        .order_by(invocations.c.id.desc())
        .limit(limit)
    )
    return [_invocation(row) for row in rows]


def _calls(conn: Connection, condition: ColumnElement[bool]) -> list[ToolCall]:
    rows = conn.execute(
        select(tool_calls, invocations.c.model_id)
        .join(invocations, invocations.c.id == tool_calls.c.invocation_id)
        .where(condition)
        .order_by(tool_calls.c.invocation_id, tool_calls.c.ordinal)
    )
    return [
        ToolCall(
            id=row.id,
            invocation_id=row.invocation_id,
            model_id=row.model_id,
            ordinal=row.ordinal,
            kind=ToolCallType(row.tool_call_type),
            status=ToolCallStatus(row.status),
            metadata=row.metadata,
            signal_id=row.signal_id,
            position_ids=tuple(row.position_ids),
            reason=row.reason,
            detail=row.detail,
            result=row.result,
            expires_at=row.expires_at,
            created_at=row.created_at,
        )
        for row in rows
    ]


def _call_values(
    item: Decided, ordinal: int, invocation_id: UUID, expires_at: datetime, now: datetime
) -> dict[str, Any]:
    verdict = item.verdict
    wish = verdict.wish
    status = ToolCallStatus.ACCEPTED if verdict.is_accepted else ToolCallStatus.REFUSED
    return {
        "id": item.id,
        "invocation_id": invocation_id,
        "ordinal": ordinal,
        "round": verdict.round,
        "tool_call_type": verdict.kind.value,
        "status": status.value,
        "metadata": _storable(
            {
                "name": verdict.raw.name,
                "call_id": verdict.raw.call_id,
                "arguments": verdict.raw.arguments,
            }
        ),
        "signal_id": item.signal.id if item.signal else None,
        "position_ids": list(wish.position_ids) if isinstance(wish, ClosePositions) else [],
        "reason": verdict.reason and verdict.reason.value,
        "detail": _storable(verdict.detail) or None,
        "result": {},
        "expires_at": expires_at,
        "created_at": now,
        "updated_at": now,
    }


def _storable(value: Any) -> Any:
    """Return ``value`` without what PostgreSQL's text cannot hold: zero characters and halves of surrogate pairs."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value


def _invocation(row: Row[Any]) -> Invocation:
    return Invocation(
        id=row.id,
        model_id=row.model_id,
        model_name=row.name,
        openrouter_model=row.openrouter_model,
        number=row.number,
        state=InvocationState(row.state),
        snapshot=snapshot_from_json(row.inputs),
        prompt=row.prompt,
        prompt_version=row.prompt_version,
        response=row.response,
        usage=Usage(
            provider_model=row.provider_model or "",
            prompt_tokens=row.prompt_tokens,
            completion_tokens=row.completion_tokens,
            cost_usd=row.cost_usd,
            latency_ms=row.latency_ms,
        ),
        reason=Reason(row.reason) if row.reason else None,
        error=row.error,
        created_at=row.created_at,
    )
