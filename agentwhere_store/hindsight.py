"""Hindsight: what became of signals and of routing decisions, once their positions are closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    case,
    exists,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import distinct_on

from agentwhere_core.domain.enums import (
    OrderPurpose,
    OrderSide,
    PositionStatus,
    Side,
    SourceKind,
    Venue,
)
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import ExpectedCost, VenueAvailability
from agentwhere_core.performance.regret import ClosedTrade, TradeRegret
from agentwhere_core.performance.sources import SignalResult, TrackRecord
from agentwhere_store.performance import upsert
from agentwhere_store.rows import insert_ignoring_known
from agentwhere_store.tables.ideas import posts, research_sources, signals, x_accounts
from agentwhere_store.tables.operations import routing_regret, source_scores
from agentwhere_store.tables.trading import fills, orders, positions, venue_routing_history

_ZERO = Decimal(0)
_BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class KnownSource:
    """A source as people know it: an X handle or a feed's address."""

    id: UUID
    kind: SourceKind
    name: str


@dataclass(frozen=True, slots=True)
class RoutedTrade:
    """A closed trade with the routing decision that it came from."""

    routing_id: UUID
    token: str
    trade: ClosedTrade
    checked: tuple[VenueAvailability, ...]


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
            func.bool_and(is_closed).label("is_closed"),
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
            func.coalesce(outcome.c.is_closed, False),
        ).outerjoin(outcome, outcome.c.signal_id == signals.c.id)
    ).all()
    return [
        SignalResult(id_, tuple(sources or ()), pnl, is_closed=closed)
        for id_, sources, pnl, closed in rows
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


def trades_without_regret(conn: Connection, limit: int = 20_000) -> list[RoutedTrade]:
    """Return closed positions that a routing decision led to and that have no regret yet, oldest first.

    A trade's cost is what it really paid in fees and funding. The mid at the moment of a fill is not recorded, so that
    spread and impact count as the decision expected them at the venue of the trade.
    """
    opening = case(
        (positions.c.side == Side.LONG.value, OrderSide.BUY.value), else_=OrderSide.SELL.value
    )
    notional = (
        select(func.sum(fills.c.size * fills.c.price))
        .where(fills.c.position_id == positions.c.id, fills.c.side == opening)
        .scalar_subquery()
    )
    query = (
        select(
            positions.c.id,
            positions.c.venue,
            positions.c.token_symbol,
            (positions.c.fees_usd - positions.c.funding_usd).label("paid_usd"),
            notional.label("notional_usd"),
            orders.c.routing_id,
            venue_routing_history.c.venue_availability,
        )
        .join(orders, orders.c.position_id == positions.c.id)
        .join(venue_routing_history, venue_routing_history.c.id == orders.c.routing_id)
        .where(
            positions.c.status == PositionStatus.CLOSED.value,
            orders.c.purpose == OrderPurpose.ENTRY.value,
            notional > 0,
            ~exists().where(routing_regret.c.position_id == positions.c.id),
        )
        .ext(distinct_on(positions.c.id))
        .order_by(positions.c.id, orders.c.id)
        .limit(limit)
    )
    return [_routed_trade(row) for row in conn.execute(query)]


def save_regret(
    conn: Connection, found: Sequence[tuple[RoutedTrade, TradeRegret]], now: datetime
) -> int:
    """Write each venue's comparison for each trade; what is known stays. Return how many were new."""
    rows = [
        {
            "id": new_id(),
            "routing_id": routed.routing_id,
            "position_id": regret.position_id,
            "venue": item.venue.value,
            "was_selected": item.was_selected,
            "cost_bps": item.cost_bps,
            "regret_bps": item.regret_bps,
            "regret_usd": item.regret_usd,
            "computed_at": now,
        }
        for routed, regret in found
        for item in regret.venues
    ]
    return insert_ignoring_known(conn, routing_regret, rows, known_by=("position_id", "venue"))


def _routed_trade(row: Any) -> RoutedTrade:
    venue = Venue(row.venue)
    checked = tuple(_availability(told) for told in row.venue_availability)
    expected = next((item.cost for item in checked if item.venue is venue), None)
    slippage_bps = expected.spread_bps + expected.impact_bps if expected else _ZERO
    return RoutedTrade(
        routing_id=row.routing_id,
        token=row.token_symbol,
        trade=ClosedTrade(
            position_id=row.id,
            venue=venue,
            notional_usd=row.notional_usd,
            cost_usd=row.paid_usd + row.notional_usd * slippage_bps / _BPS,
        ),
        checked=checked,
    )


def _availability(told: Mapping[str, Any]) -> VenueAvailability:
    """Return what the history's JSON says of one venue."""
    cost = told["cost_bps"]
    return VenueAvailability(
        venue=Venue(told["venue"]),
        is_available=told["available"],
        reason=Reason(told["reason"]),
        detail=told["detail"],
        cost=None
        if cost is None
        else ExpectedCost(
            taker_fee_bps=Decimal(cost["taker_fee"]),
            spread_bps=Decimal(cost["spread"]),
            impact_bps=Decimal(cost["impact"]),
            funding_bps=Decimal(cost["funding"]),
            fixed_bps=Decimal(cost["fixed"]),
        ),
    )
