"""How far tool calls have come, read from policy decisions, routing, orders and positions."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, and_, func, select

from agentwhere_core.arena.outcomes import Closing, EntryAttempt, Progress
from agentwhere_core.domain.enums import (
    OrderPurpose,
    OrderState,
    PolicyOutcome,
    PositionStatus,
    Venue,
)
from agentwhere_core.domain.reasons import Reason
from agentwhere_store.open_orders import MAX_ATTEMPTS, RETRIABLE, exits_of
from agentwhere_store.tables.ideas import signals
from agentwhere_store.tables.routing import venue_routing_history
from agentwhere_store.tables.trading import orders, policy_decisions, positions


def entries(conn: Connection, signal_ids: Collection[UUID]) -> dict[UUID, Progress]:
    """Return, by signal, how far it came; models have one deployment, so that there is one way."""
    rows = conn.execute(
        select(
            signals.c.id,
            policy_decisions.c.outcome,
            policy_decisions.c.reasons,
            venue_routing_history.c.id.label("routing_id"),
            venue_routing_history.c.selected_venue,
            venue_routing_history.c.routing_reason,
            orders.c.venue,
            orders.c.state,
            orders.c.filled_size,
            orders.c.average_price,
            orders.c.reason,
            orders.c.detail,
            orders.c.attempt,
        )
        .outerjoin(policy_decisions, policy_decisions.c.signal_id == signals.c.id)
        .outerjoin(venue_routing_history, venue_routing_history.c.signal_id == signals.c.id)
        .outerjoin(
            orders,
            and_(
                orders.c.signal_id == signals.c.id,
                orders.c.purpose == OrderPurpose.ENTRY.value,
            ),
        )
        .where(signals.c.id.in_(list(signal_ids)))
        .order_by(
            signals.c.id,
            venue_routing_history.c.attempt,
            # The attempt that filled is the one that counts; else the last.
            func.coalesce(orders.c.filled_size > 0, False),
            orders.c.attempt,
        )
    )
    return {
        row.id: Progress(
            policy=PolicyOutcome(row.outcome) if row.outcome else None,
            policy_reasons=tuple(Reason(word) for word in row.reasons or ()),
            is_routed=row.routing_id is not None,
            selected_venue=Venue(row.selected_venue) if row.selected_venue else None,
            routing_reason=Reason(row.routing_reason) if row.routing_reason else None,
            entry=None
            if row.state is None
            else EntryAttempt(
                venue=Venue(row.venue),
                state=OrderState(row.state),
                filled_size=row.filled_size,
                average_price=row.average_price,
                reason=Reason(row.reason) if row.reason else None,
                detail=row.detail,
                may_be_repeated=row.attempt < MAX_ATTEMPTS
                and row.reason in {reason.value for reason in RETRIABLE},
            ),
        )
        for row in rows
    }


def closings(
    conn: Connection, position_ids: Collection[UUID], now: datetime
) -> dict[UUID, Closing]:
    """Return, by position, whether it is closed."""
    ids = list(position_ids)
    exits = exits_of(conn, ids, now)
    rows = conn.execute(
        select(
            positions.c.id,
            positions.c.token_symbol,
            positions.c.status,
            positions.c.exit_price,
            positions.c.realized_pnl_usd,
        ).where(positions.c.id.in_(ids))
    )
    return {
        row.id: Closing(
            position_id=row.id,
            token=row.token_symbol,
            status=PositionStatus(row.status),
            exit_price=row.exit_price,
            realized_pnl_usd=row.realized_pnl_usd,
            is_pending=row.id in exits and exits[row.id].is_pending,
        )
        for row in rows
    }
