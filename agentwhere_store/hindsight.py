"""Hindsight: what became of signals, once their positions are closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import (
    Connection,
    case,
    func,
    literal,
    select,
    union_all,
)

from agentwhere_core.domain.enums import (
    PositionStatus,
    SourceKind,
)
from agentwhere_core.performance.sources import SignalResult, TrackRecord
from agentwhere_store.performance import upsert
from agentwhere_store.tables.ideas import posts, research_sources, signals, x_accounts
from agentwhere_store.tables.operations import source_scores
from agentwhere_store.tables.trading import positions

_ZERO = Decimal(0)
_BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class KnownSource:
    """A source as people know it: an X handle or a feed's address."""

    id: UUID
    kind: SourceKind
    name: str


def known_sources(conn: Connection) -> list[KnownSource]:
    """Return every X account and research feed."""
    rows = conn.execute(
        union_all(
            select(x_accounts.c.id, literal(SourceKind.X.value), x_accounts.c.handle),
            select(research_sources.c.id, literal(SourceKind.FEED.value), research_sources.c.url),
        )
    )
    return [KnownSource(id_, SourceKind(kind), name) for id_, kind, name in rows]


def signal_results(conn: Connection) -> list[SignalResult]:
    """Return what became of every signal, all its positions together."""
    authors = (
        select(func.array_agg(posts.c.source_id.distinct()))
        .where(posts.c.id == func.any(signals.c.source_post_ids))
        .scalar_subquery()
    )
    is_closed = positions.c.status == PositionStatus.CLOSED.value
    net = positions.c.realized_pnl_usd - positions.c.fees_usd + positions.c.funding_usd
    outcome = (
        select(
            positions.c.signal_id,
            func.sum(net).filter(is_closed).label("net"),
            case((func.bool_and(is_closed), func.max(positions.c.closed_at))).label("closed_at"),
        )
        .where(positions.c.signal_id.is_not(None))
        .group_by(positions.c.signal_id)
        .subquery()
    )
    rows = conn.execute(
        select(
            signals.c.id,
            authors,
            func.coalesce(outcome.c.net, 0),
            outcome.c.closed_at,
        ).outerjoin(outcome, outcome.c.signal_id == signals.c.id)
    ).all()
    return [
        SignalResult(id_, tuple(sources or ()), pnl, closed_at)
        for id_, sources, pnl, closed_at in rows
    ]


def save_track_records(
    conn: Connection,
    records: Mapping[UUID, TrackRecord],
    kinds: Mapping[UUID, SourceKind],
    now: datetime,
) -> None:
    """Write the current track record of each source."""
    rows = [
        {
            "source_id": source_id,
            "source_kind": kinds[source_id].value,
            "signals": record.signals,
            "closed": record.closed,
            "hits": record.hits,
            "hit_rate": record.hit_rate,
            "hit_rate_low": record.hit_rate_low,
            "hit_rate_high": record.hit_rate_high,
            "pnl_usd": record.pnl_usd,
            "weight": record.weight,
            "computed_at": now,
        }
        for source_id, record in sorted(records.items())
    ]
    upsert(conn, source_scores, rows, key=("source_id",))
