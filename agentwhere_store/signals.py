"""Signals, and why others were not made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Text, Uuid, cast, func, select, true

from agentwhere_core.domain.enums import DeploymentStatus, PositionStatus
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.what.signals import SignalRefusal
from agentwhere_store.routing import signal_from_row
from agentwhere_store.rows import insert_ignoring_known, json_safe
from agentwhere_store.tables.ideas import (
    agents,
    posts,
    research_sources,
    signal_refusals,
    signals,
    x_accounts,
)
from agentwhere_store.tables.trading import deployments, positions

_PASSING = (Reason.RECENT_SIGNAL, Reason.ALREADY_HELD)
"""Refusals that end by themselves, so that their posts may still make a signal."""


@dataclass(frozen=True, slots=True)
class UsedPost:
    """A post that an agent has already drawn its conclusion from, for one token."""

    agent_id: UUID
    token: str
    post_id: UUID


def insert_signals(conn: Connection, made: Sequence[Signal]) -> int:
    """Store signals; one per agent, token and batch, the first stays. Return how many were new."""
    return insert_ignoring_known(
        conn,
        signals,
        [
            {
                "id": signal.id,
                "agent_id": signal.agent_id,
                "batch": signal.batch,
                "token": signal.token,
                "side": signal.side.value,
                "venue": signal.venue.value,
                "fund_percentage": signal.fund_percentage,
                "quantity": signal.quantity,
                "confidence": signal.confidence,
                "leverage": signal.leverage,
                "stop_loss_pct": signal.stop_loss_pct,
                "take_profit_pct": signal.take_profit_pct,
                "trailing_activation_pct": signal.trailing_activation_pct,
                "trailing_distance_pct": signal.trailing_distance_pct,
                "max_holding_h": signal.max_holding_h,
                "reasoning": signal.reasoning,
                "source_post_ids": list(signal.source_post_ids),
                "explanation": json_safe(signal.explanation),
                "created_at": signal.created_at,
                "expires_at": signal.expires_at,
            }
            for signal in made
        ],
        known_by=("agent_id", "token", "batch"),
    )


def insert_refusals(
    conn: Connection,
    agent_id: UUID,
    batch: str,
    refused: Sequence[SignalRefusal],
    now: datetime,
) -> int:
    """Store why there is no signal; each reason once per agent, token and batch. Return how many were new."""
    return insert_ignoring_known(
        conn,
        signal_refusals,
        [
            {
                "id": new_id(),
                "agent_id": agent_id,
                "batch": batch,
                "token": refusal.token,
                "reason": refusal.reason.value,
                "detail": refusal.detail,
                "source_post_ids": list(refusal.post_ids),
                "created_at": now,
            }
            for refusal in refused
        ],
        known_by=("agent_id", "token", "batch", "reason"),
    )


def live_signals(conn: Connection, now: datetime) -> dict[UUID, dict[str, datetime]]:
    """Return, by agent and token, when the last signal that has not expired will."""
    rows = conn.execute(
        select(signals.c.agent_id, signals.c.token, func.max(signals.c.expires_at))
        .where(signals.c.expires_at > now)
        .group_by(signals.c.agent_id, signals.c.token)
    )
    live: dict[UUID, dict[str, datetime]] = {}
    for agent_id, token, expires_at in rows:
        live.setdefault(agent_id, {})[token] = expires_at
    return live


def used_posts(conn: Connection, since: datetime) -> set[UsedPost]:
    """Return the posts that signals and refusals made after ``since`` rest on, for or against.

    A refusal because of a recent signal or an open position uses nothing up: its posts count again when that is over.
    """
    weighed = func.jsonb_array_elements(signals.c.explanation["posts"]).table_valued("value")
    in_signals = (
        select(
            signals.c.agent_id, signals.c.token, cast(weighed.c.value.op("->>")("post_id"), Uuid)
        )
        .join(weighed, true())
        .where(signals.c.created_at > since)
    )
    in_refusals = select(
        signal_refusals.c.agent_id,
        signal_refusals.c.token,
        func.unnest(signal_refusals.c.source_post_ids, type_=Uuid),
    ).where(
        signal_refusals.c.created_at > since,
        signal_refusals.c.reason.not_in([reason.value for reason in _PASSING]),
    )
    return {UsedPost(*row) for row in conn.execute(in_signals.union(in_refusals))}


def tokens_held_by_all(conn: Connection) -> dict[UUID, frozenset[str]]:
    """Return, by agent, the tokens in which each of its active deployments has an open position."""
    active = (
        select(deployments.c.agent_id, func.count().label("count"))
        .where(deployments.c.status == DeploymentStatus.ACTIVE.value)
        .group_by(deployments.c.agent_id)
        .subquery()
    )
    rows = conn.execute(
        select(deployments.c.agent_id, positions.c.token_symbol)
        .join(deployments, deployments.c.id == positions.c.deployment_id)
        .join(active, active.c.agent_id == deployments.c.agent_id)
        .where(
            positions.c.status == PositionStatus.OPEN.value,
            deployments.c.status == DeploymentStatus.ACTIVE.value,
        )
        .group_by(deployments.c.agent_id, positions.c.token_symbol, active.c["count"])
        .having(func.count(positions.c.deployment_id.distinct()) == active.c["count"])
    )
    held: dict[UUID, set[str]] = {}
    for agent_id, token in rows:
        held.setdefault(agent_id, set()).add(token)
    return {agent_id: frozenset(tokens) for agent_id, tokens in held.items()}


def spent_budget(conn: Connection, batch: str) -> dict[UUID, Decimal]:
    """Return, by agent, the sum of the fund percentages that a batch has given away."""
    rows = conn.execute(
        select(signals.c.agent_id, func.sum(signals.c.fund_percentage))
        .where(signals.c.batch == batch)
        .group_by(signals.c.agent_id)
    )
    return dict(rows.all())


def find_signal(conn: Connection, signal_id: UUID) -> Signal | None:
    """Return one signal, or None if there is no such one."""
    row = conn.execute(select(signals).where(signals.c.id == signal_id)).one_or_none()
    return None if row is None else signal_from_row(row)


def recent_signals(conn: Connection, limit: int = 50) -> list[dict[str, Any]]:
    """Return the newest signals, for people."""
    rows = conn.execute(
        select(
            signals.c.created_at,
            agents.c.name.label("agent"),
            signals.c.batch,
            signals.c.token,
            signals.c.side,
            signals.c.venue,
            signals.c.fund_percentage,
            signals.c.confidence,
            signals.c.leverage,
            func.cardinality(signals.c.source_post_ids).label("posts"),
            signals.c.expires_at,
            signals.c.reasoning,
        )
        .join(agents, agents.c.id == signals.c.agent_id)
        .order_by(signals.c.id.desc())
        .limit(limit)
    )
    return [dict(row._mapping) for row in rows]


def signals_ending(conn: Connection, characters: str) -> list[dict[str, Any]]:
    """Return the signals whose id ends with ``characters``, two at most, each with its agent's name."""
    rows = conn.execute(
        select(signals, agents.c.name.label("agent"))
        .join(agents, agents.c.id == signals.c.agent_id)
        .where(cast(signals.c.id, Text).endswith(characters, autoescape=True))
        .limit(2)
    )
    return [dict(row._mapping) for row in rows]


def posts_of_signal(conn: Connection, signal_id: UUID) -> list[dict[str, Any]]:
    """Return the posts that a signal rests on, for or against, each with its source and text."""
    weighed = func.jsonb_array_elements(signals.c.explanation["posts"]).table_valued("value")
    rows = conn.execute(
        select(
            posts.c.id.label("post_id"),
            func.coalesce(x_accounts.c.handle, research_sources.c.url).label("source"),
            posts.c.text,
            posts.c.url,
        )
        .select_from(signals)
        .join(weighed, true())
        .join(posts, posts.c.id == cast(weighed.c.value.op("->>")("post_id"), Uuid))
        .outerjoin(x_accounts, x_accounts.c.id == posts.c.source_id)
        .outerjoin(research_sources, research_sources.c.id == posts.c.source_id)
        .where(signals.c.id == signal_id)
    )
    return [dict(row._mapping) for row in rows]


def recent_refusals(conn: Connection, limit: int = 50) -> list[dict[str, Any]]:
    """Return the newest reasons for which posts made no signal, for people."""
    rows = conn.execute(
        select(
            signal_refusals.c.created_at,
            agents.c.name.label("agent"),
            signal_refusals.c.batch,
            signal_refusals.c.token,
            signal_refusals.c.reason,
            signal_refusals.c.detail,
        )
        .join(agents, agents.c.id == signal_refusals.c.agent_id)
        .order_by(signal_refusals.c.id.desc())
        .limit(limit)
    )
    return [dict(row._mapping) for row in rows]
