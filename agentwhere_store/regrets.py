"""Regret: closed trades with the decisions that they came from, and what comparing them with other venues gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, and_, case, exists, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from agentwhere_core.domain.enums import OrderPurpose, OrderSide, PositionStatus, Side, Venue
from agentwhere_core.domain.ids import new_id
from agentwhere_core.performance.regret import ClosedTrade, Fills, TradeRegret
from agentwhere_store.rows import insert_ignoring_known
from agentwhere_store.tables.ideas import market_context
from agentwhere_store.tables.operations import routing_regret
from agentwhere_store.tables.routing import routing_scenes, venue_routing_history
from agentwhere_store.tables.trading import fills, orders, positions

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class RoutedTrade:
    """A closed trade with the routing decision that it came from, as it is kept."""

    routing_id: UUID
    token: str
    trade: ClosedTrade
    inputs: Mapping[str, Any]
    scene: Mapping[str, Any]


def trades_without_regret(conn: Connection, limit: int = 20_000) -> list[RoutedTrade]:
    """Return closed positions that a routing decision led to and that have no regret yet, oldest first."""
    flows = _flows()
    history = venue_routing_history
    query = (
        select(
            positions.c.id,
            positions.c.venue,
            positions.c.token_symbol,
            positions.c.side,
            positions.c.fees_usd,
            positions.c.funding_usd,
            positions.c.opened_at,
            positions.c.closed_at,
            flows,
            orders.c.routing_id,
            history.c.inputs,
            routing_scenes.c.scene,
        )
        .join(orders, orders.c.position_id == positions.c.id)
        .join(history, history.c.id == orders.c.routing_id)
        .join(routing_scenes, routing_scenes.c.id == history.c.scene_id)
        .join(flows, flows.c.position_id == positions.c.id)
        .where(
            positions.c.status == PositionStatus.CLOSED.value,
            orders.c.purpose == OrderPurpose.ENTRY.value,
            flows.c.entry_usd > 0,
            ~exists().where(routing_regret.c.position_id == positions.c.id),
        )
        .ext(distinct_on(positions.c.id))
        .order_by(positions.c.id, orders.c.id)
        .limit(limit)
    )
    return [_routed_trade(row) for row in conn.execute(query)]


def observed_funding(
    conn: Connection, position_ids: Sequence[UUID]
) -> dict[UUID, dict[Venue, Decimal]]:
    """Return, by position, the mean hourly funding that each venue stated for its token while it was open."""
    rows = conn.execute(
        select(
            positions.c.id,
            market_context.c.venue,
            func.avg(market_context.c.funding_hourly).label("rate"),
        )
        .join(
            market_context,
            and_(
                market_context.c.token_symbol == positions.c.token_symbol,
                market_context.c.at >= positions.c.opened_at,
                market_context.c.at <= positions.c.closed_at,
            ),
        )
        .where(positions.c.id.in_(list(position_ids)), market_context.c.funding_hourly.is_not(None))
        .group_by(positions.c.id, market_context.c.venue)
    )
    found: dict[UUID, dict[Venue, Decimal]] = {}
    for row in rows:
        found.setdefault(row.id, {})[Venue(row.venue)] = row.rate
    return found


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
            "cost_bps": item.cost.total_bps,
            "fees_bps": item.cost.fees_bps,
            "slippage_bps": item.cost.slippage_bps,
            "funding_bps": item.cost.funding_bps,
            "regret_bps": item.regret_bps,
            "regret_usd": item.regret_usd,
            "computed_at": now,
        }
        for routed, regret in found
        for item in regret.venues
    ]
    return insert_ignoring_known(conn, routing_regret, rows, known_by=("position_id", "venue"))


def regret_by_venue(conn: Connection, since: datetime | None = None) -> list[dict[str, Any]]:
    """Return, by strategy and venue that was used, what trades cost and what the best other venue would have saved.

    A trade whose venue was the cheapest has a regret of 0.
    """
    regret, history = routing_regret, venue_routing_history
    selected, other = regret.alias("selected"), regret.alias("other")
    best = (
        select(
            func.greatest(func.coalesce(func.max(other.c.regret_bps), 0), 0).label("bps"),
            func.greatest(func.coalesce(func.max(other.c.regret_usd), 0), 0).label("usd"),
        )
        .where(other.c.position_id == selected.c.position_id, ~other.c.was_selected)
        .lateral("best")
    )
    query = (
        select(
            history.c.routing_strategy.label("strategy"),
            selected.c.venue,
            func.count().label("trades"),
            func.avg(selected.c.cost_bps).label("cost_bps"),
            func.avg(selected.c.fees_bps).label("fees_bps"),
            func.avg(selected.c.slippage_bps).label("slippage_bps"),
            func.avg(selected.c.funding_bps).label("funding_bps"),
            func.avg(best.c.bps).label("regret_bps"),
            func.sum(best.c.usd).label("regret_usd"),
            func.count().filter(best.c.bps == 0).label("cheapest"),
        )
        .join(history, history.c.id == selected.c.routing_id)
        .join(best, best.c.bps >= 0)
        .where(selected.c.was_selected)
        .group_by(history.c.routing_strategy, selected.c.venue)
        .order_by(history.c.routing_strategy, selected.c.venue)
    )
    if since is not None:
        query = query.where(selected.c.computed_at >= since)
    return [dict(row._mapping) for row in conn.execute(query)]


def _flows() -> Any:
    """Select, by position, what its fills exchanged each way, and what they lost against the mid of their orders."""
    sign = case((positions.c.side == Side.LONG.value, 1), else_=-1)
    opening = case(
        (positions.c.side == Side.LONG.value, OrderSide.BUY.value), else_=OrderSide.SELL.value
    )
    has_mid = orders.c.mid_price.is_not(None)
    ways = (("entry", fills.c.side == opening, 1), ("exit", fills.c.side != opening, -1))
    query: Select[Any] = (
        select(
            fills.c.position_id,
            *(
                column
                for name, is_way, direction in ways
                for column in (
                    _sum(fills.c.size * fills.c.price, is_way).label(f"{name}_usd"),
                    _sum(fills.c.size * fills.c.price, and_(is_way, has_mid)).label(
                        f"{name}_known_usd"
                    ),
                    _sum(
                        fills.c.size * (fills.c.price - orders.c.mid_price) * sign * direction,
                        and_(is_way, has_mid),
                    ).label(f"{name}_lost_usd"),
                )
            ),
        )
        .join(positions, positions.c.id == fills.c.position_id)
        .outerjoin(orders, and_(orders.c.id == fills.c.order_id, orders.c.trigger_price.is_(None)))
        .where(positions.c.status == PositionStatus.CLOSED.value)
        .group_by(fills.c.position_id)
    )
    return query.subquery("flows")


def _sum(value: Any, condition: Any) -> Any:
    return func.coalesce(func.sum(value).filter(condition), 0)


def _routed_trade(row: Any) -> RoutedTrade:
    held: timedelta = row.closed_at - row.opened_at
    return RoutedTrade(
        routing_id=row.routing_id,
        token=row.token_symbol,
        trade=ClosedTrade(
            position_id=row.id,
            venue=Venue(row.venue),
            side=Side(row.side),
            entry=Fills(row.entry_usd, row.entry_known_usd, row.entry_lost_usd),
            exit=Fills(row.exit_usd, row.exit_known_usd, row.exit_lost_usd),
            fees_usd=row.fees_usd,
            funding_usd=-row.funding_usd,
            held=held,
        ),
        inputs=row.inputs,
        scene=row.scene,
    )
