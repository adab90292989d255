"""Posts, what the classifier read in them, and the trades that they mention."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from agentwhere_core.domain.enums import AgentStatus, Horizon, PostState, Side
from agentwhere_core.domain.idea import Classification, FetchedPost, Post, Source
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.reasons import Reason
from agentwhere_store.rows import insert_ignoring_known, json_safe, storable
from agentwhere_store.tables.ideas import (
    agent_sources,
    agents,
    classifications,
    mentions,
    posts,
    research_sources,
    x_accounts,
)


@dataclass(frozen=True, slots=True)
class PendingPost:
    """A post that waits for the classifier, and how its source is called."""

    post: Post
    source: str


@dataclass(frozen=True, slots=True)
class Abstention:
    """Why the classifier gave no answer to a post, which stays pending."""

    post_id: UUID
    reason: Reason
    error: str


@dataclass(frozen=True, slots=True)
class AgentMention:
    """A trade that a post proposes, as seen by one agent that follows the post's source."""

    agent_id: UUID
    post_id: UUID
    source_id: UUID
    token: str
    side: Side
    confidence: Decimal
    horizon: Horizon
    published_at: datetime
    content_hash: str


def insert_posts(
    conn: Connection, source: Source, fetched: Sequence[FetchedPost], now: datetime
) -> int:
    """Store what a source published; posts that are known stay as they are. Return how many were new."""
    return insert_ignoring_known(
        conn,
        posts,
        [
            {
                "id": new_id(),
                "source_kind": source.kind.value,
                "source_id": source.id,
                "external_id": post.external_id,
                "text": storable(post.text),
                "url": post.url,
                "content_hash": hashlib.sha256(post.text.encode(errors="replace")).hexdigest(),
                # A date in the future would keep a post in every window to come.
                "published_at": min(post.published_at, now),
                "ingested_at": now,
            }
            for post in fetched
        ],
        known_by=("source_id", "external_id"),
    )


def pending_posts(conn: Connection, limit: int) -> list[PendingPost]:
    """Return posts that wait for the classifier: the least tried first, then the oldest.

    A post that never gets an answer cannot hold up the others in this order.
    """
    rows = conn.execute(
        select(posts, func.coalesce(x_accounts.c.handle, research_sources.c.url).label("source"))
        .outerjoin(x_accounts, x_accounts.c.id == posts.c.source_id)
        .outerjoin(research_sources, research_sources.c.id == posts.c.source_id)
        .where(posts.c.state == PostState.PENDING.value)
        .order_by(posts.c.attempts, posts.c.published_at, posts.c.id)
        .limit(limit)
    )
    return [
        PendingPost(
            Post(
                id=row.id,
                source_id=row.source_id,
                external_id=row.external_id,
                text=row.text,
                published_at=row.published_at,
                content_hash=row.content_hash,
                attempts=row.attempts,
            ),
            row.source,
        )
        for row in rows
    ]


def expire_pending(conn: Connection, published_before: datetime) -> int:
    """Let posts that are too old for a signal wait no longer; return how many."""
    return conn.execute(
        update(posts)
        .where(posts.c.state == PostState.PENDING.value, posts.c.published_at <= published_before)
        .values(state=PostState.EXPIRED.value)
    ).rowcount


def hold_back(conn: Connection, post_ids: Sequence[UUID], reason: Reason, why: str) -> None:
    """Keep why pending posts were not asked about; that is no try."""
    conn.execute(
        update(posts)
        .where(posts.c.id.in_(list(post_ids)), posts.c.state == PostState.PENDING.value)
        .values(last_reason=reason.value, last_error=why)
    )


def count_pending(conn: Connection) -> int:
    """Return how many posts wait for the classifier."""
    waiting = select(func.count()).where(posts.c.state == PostState.PENDING.value)
    return int(conn.execute(waiting).scalar_one())


def save_classifications(
    conn: Connection, answered: Sequence[Classification], now: datetime
) -> int:
    """Store answers with their mentions, and mark the posts; a post that has an answer keeps it.

    Returns
    -------
    int
        How many posts had no answer before.
    """
    if not answered:
        return 0
    statement = insert(classifications).on_conflict_do_nothing(index_elements=["post_id"])
    rows = [_classification_values(item, now) for item in answered]
    new = set(conn.execute(statement.values(rows).returning(classifications.c.post_id)).scalars())
    insert_ignoring_known(
        conn,
        mentions,
        [
            {
                "id": new_id(),
                "post_id": item.post_id,
                "token": mention.token,
                "side": mention.side.value,
                "confidence": mention.confidence,
                "horizon": mention.horizon.value,
                "created_at": now,
            }
            for item in answered
            if item.post_id in new
            for mention in item.mentions
        ],
        known_by=("post_id", "token"),
    )
    conn.execute(
        update(posts)
        .where(posts.c.id.in_([item.post_id for item in answered]))
        .values(state=PostState.CLASSIFIED.value, last_error=None, last_reason=None)
    )
    return len(new)


def save_abstentions(conn: Connection, abstained: Sequence[Abstention]) -> None:
    """Keep why posts got no answer; they stay pending, and the try is counted."""
    if abstained:
        conn.execute(
            update(posts)
            .where(posts.c.id == bindparam("post"), posts.c.state == PostState.PENDING.value)
            .values(
                attempts=posts.c.attempts + 1,
                last_error=bindparam("error"),
                last_reason=bindparam("reason"),
            ),
            [
                {"post": item.post_id, "error": item.error, "reason": item.reason.value}
                for item in abstained
            ],
        )


def mentions_since(conn: Connection, since: datetime) -> list[AgentMention]:
    """Return the trades that posts published after ``since`` propose to each active agent, oldest post first."""
    followed = func.coalesce(agent_sources.c.x_account_id, agent_sources.c.research_source_id)
    rows = conn.execute(
        select(
            agent_sources.c.agent_id,
            mentions.c.post_id,
            posts.c.source_id,
            mentions.c.token,
            mentions.c.side,
            mentions.c.confidence,
            mentions.c.horizon,
            posts.c.published_at,
            posts.c.content_hash,
        )
        .join_from(mentions, posts, posts.c.id == mentions.c.post_id)
        .join(agent_sources, followed == posts.c.source_id)
        .join(agents, agents.c.id == agent_sources.c.agent_id)
        .where(posts.c.published_at > since, agents.c.status == AgentStatus.ACTIVE.value)
        .order_by(posts.c.published_at, posts.c.id, mentions.c.token)
    )
    return [
        AgentMention(
            agent_id=row.agent_id,
            post_id=row.post_id,
            source_id=row.source_id,
            token=row.token,
            side=Side(row.side),
            confidence=row.confidence,
            horizon=Horizon(row.horizon),
            published_at=row.published_at,
            content_hash=row.content_hash,
        )
        for row in rows
    ]


def _classification_values(item: Classification, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id(),
        "post_id": item.post_id,
        "is_signal": item.is_signal,
        "refusals": [{"token": token, "reason": reason.value} for token, reason in item.refusals],
        "reasoning": storable(item.reasoning),
        "model": item.model,
        "prompt_version": item.prompt_version,
        "schema_version": item.schema_version,
        "raw_response": storable(json_safe(item.raw_response)),
        "prompt_tokens": item.prompt_tokens,
        "completion_tokens": item.completion_tokens,
        "cost_usd": item.cost_usd,
        "latency_ms": item.latency_ms,
        "is_cached": item.is_cached,
        "created_at": now,
    }
