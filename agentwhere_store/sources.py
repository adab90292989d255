"""Sources of posts: which ones to read now, and how far each has been read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    DateTime,
    Numeric,
    Select,
    Table,
    Text,
    Update,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from agentwhere_core.domain.enums import AgentStatus, SourceKind
from agentwhere_core.domain.idea import Source
from agentwhere_core.performance.sources import NEW_SOURCE_WEIGHT
from agentwhere_store.tables.ideas import agent_sources, agents, posts, research_sources, x_accounts
from agentwhere_store.tables.operations import source_scores


@dataclass(frozen=True, slots=True)
class Reading:
    """How reading a source went: the source with its new cursor, or with the old one and an error.

    ``retry_at`` is the earliest time for another try, where the service named one.
    """

    source: Source
    error: str | None = None
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DueSources:
    """Sources to read now, and how many more wait because their service asked for a pause."""

    due: tuple[Source, ...]
    waiting: int


def due_sources(conn: Connection, now: datetime) -> DueSources:
    """Return the sources that active agents follow and that may be read at ``now``; the longest unread first."""
    found: list[tuple[datetime | None, Source]] = []
    waiting = 0
    for row in conn.execute(_followed_accounts(now)):
        waiting += row.is_waiting
        if not row.is_waiting:
            account = Source(row.id, SourceKind.X, row.handle, row.user_id, row.since_id)
            found.append((row.last_fetched, account))
    for row in conn.execute(_followed_feeds(now)):
        waiting += row.is_waiting
        if not row.is_waiting:
            feed = Source(
                row.id,
                SourceKind.FEED,
                row.url,
                etag=row.etag,
                last_modified=row.last_modified,
            )
            found.append((row.last_fetched, feed))
    found.sort(key=lambda item: (item[0] is not None, item[0], item[1].locator))
    return DueSources(tuple(source for _, source in found), waiting)


def save_readings(conn: Connection, readings: Sequence[Reading], now: datetime) -> None:
    """Keep cursors, errors and pauses; after an error, the cursor and the time of the last success stay."""
    accounts = [
        {**_outcome(reading, now), "new_user_id": reading.source.external_id,
         "new_since_id": reading.source.cursor}
        for reading in readings
        if reading.source.kind is SourceKind.X
    ]  # fmt: skip
    feeds = [
        {**_outcome(reading, now), "new_etag": reading.source.etag,
         "new_last_modified": reading.source.last_modified}
        for reading in readings
        if reading.source.kind is SourceKind.FEED
    ]  # fmt: skip
    if accounts:
        # A cursor never moves back, whichever of two readers finishes last.
        furthest = func.greatest(
            cast(x_accounts.c.since_id, Numeric),
            cast(bindparam("new_since_id", type_=Text), Numeric),
        )
        conn.execute(
            _save(x_accounts).values(
                user_id=bindparam("new_user_id"), since_id=cast(furthest, Text)
            ),
            accounts,
        )
    if feeds:
        conn.execute(
            _save(research_sources).values(
                etag=bindparam("new_etag"), last_modified=bindparam("new_last_modified")
            ),
            feeds,
        )


def source_weights(conn: Connection) -> dict[UUID, Decimal]:
    """Return the weight of each source that has a track record; others have `NEW_SOURCE_WEIGHT`."""
    return dict(conn.execute(select(source_scores.c.source_id, source_scores.c.weight)).all())


def list_sources(conn: Connection) -> list[dict[str, Any]]:
    """Return all sources with how reading them goes and what their signals came to, for people."""
    agents_of = (
        select(
            func.coalesce(agent_sources.c.x_account_id, agent_sources.c.research_source_id).label(
                "source_id"
            ),
            func.array_agg(aggregate_order_by(agents.c.name, agents.c.name)).label("followed_by"),
        )
        .join(agents, agents.c.id == agent_sources.c.agent_id)
        .group_by(literal_column("1"))
        .subquery()
    )
    posts_of = (
        select(posts.c.source_id, func.count().label("posts"))
        .group_by(posts.c.source_id)
        .subquery()
    )
    either = union_all(
        *(
            select(
                table.c.id,
                literal(kind.value).label("kind"),
                name.label("source"),
                table.c.last_fetched,
                table.c.retry_at,
                table.c.last_error,
            )
            for table, kind, name in (
                (x_accounts, SourceKind.X, x_accounts.c.handle),
                (research_sources, SourceKind.FEED, research_sources.c.url),
            )
        )
    ).subquery()
    score = source_scores.c
    rows = conn.execute(
        select(
            either,
            agents_of.c.followed_by,
            func.coalesce(posts_of.c.posts, 0).label("posts"),
            func.coalesce(score.signals, 0).label("signals"),
            func.coalesce(score.closed, 0).label("closed"),
            score.hit_rate,
            score.hit_rate_low,
            score.hit_rate_high,
            score.pnl_usd,
            func.coalesce(score.weight, NEW_SOURCE_WEIGHT).label("weight"),
        )
        .outerjoin(agents_of, agents_of.c.source_id == either.c.id)
        .outerjoin(posts_of, posts_of.c.source_id == either.c.id)
        .outerjoin(source_scores, score.source_id == either.c.id)
        .order_by(either.c.kind.desc(), either.c.source)
    )
    return [dict(row._mapping) for row in rows]


def _followed_accounts(now: datetime) -> Select[Any]:
    return _followed(x_accounts, agent_sources.c.x_account_id, now)


def _followed_feeds(now: datetime) -> Select[Any]:
    return _followed(research_sources, agent_sources.c.research_source_id, now)


def _followed(table: Table, link: ColumnElement[Any], now: datetime) -> Select[Any]:
    followed = (
        select(link)
        .join(agents, agents.c.id == agent_sources.c.agent_id)
        .where(agents.c.status == AgentStatus.ACTIVE.value)
    )
    return select(table, func.coalesce(table.c.retry_at > now, False).label("is_waiting")).where(
        table.c.id.in_(followed)
    )


def _outcome(reading: Reading, now: datetime) -> dict[str, Any]:
    return {
        "source": reading.source.id,
        "error": reading.error,
        "pause_until": reading.retry_at,
        "fetched_at": None if reading.error else now,
    }


def _save(table: Table) -> Update:
    fetched_at = bindparam("fetched_at", type_=DateTime(timezone=True))
    return (
        update(table)
        .where(table.c.id == bindparam("source"))
        .values(
            last_error=bindparam("error"),
            retry_at=bindparam("pause_until"),
            last_fetched=func.coalesce(fetched_at, table.c.last_fetched),
        )
    )
