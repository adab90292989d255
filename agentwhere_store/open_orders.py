"""What the ledger leaves to do: entries to place, orders in doubt, protection that protects nothing any more.

Reads only; what is done about it is written through `orders`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from agentwhere_core.domain.enums import (
    OrderPurpose,
    OrderSide,
    OrderState,
    PositionStatus,
    Venue,
)
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.sharding import WHOLE, Shard
from agentwhere_core.domain.trade import Order, Submission
from agentwhere_store.routing import KillSwitches, signal_from_row
from agentwhere_store.rows import EXPIRY_LOOK_BACK, of_shard
from agentwhere_store.tables.ideas import signals
from agentwhere_store.tables.routing import routing_legs, venue_routing_history
from agentwhere_store.tables.trading import fills, orders, policy_decisions, positions, submissions

PROTECTIVE = (OrderPurpose.TAKE_PROFIT, OrderPurpose.STOP_LOSS)
MAX_ATTEMPTS = 3
# A venue that lists an order as filled lists its fills within this time.
FILLS_FOLLOW_WITHIN = timedelta(minutes=10)
RETRIABLE = (Reason.NEVER_SENT, Reason.NEVER_ARRIVED, Reason.NOT_FILLED)

_IN_DOUBT = (OrderState.PLANNED, OrderState.SENDING, OrderState.UNKNOWN)
_UNSETTLED = (*_IN_DOUBT, OrderState.ACKED, OrderState.PARTIAL)


@dataclass(frozen=True, slots=True)
class EntryWork:
    """A routed signal that has no order yet, or whose last attempt provably left nothing behind.

    Where the trade is split, each of its legs is a work of its own, with its share of the size.
    """

    signal: Signal
    deployment_id: UUID
    routing_id: UUID
    venue: Venue
    fund_percentage: Decimal
    leverage: Decimal
    attempt: int
    leg: int = 0
    share: Decimal = Decimal(1)

    def is_stopped(self, switches: KillSwitches) -> bool:
        """Return whether a kill switch stops this entry."""
        return switches.stops(
            agent_id=self.signal.agent_id, deployment_id=self.deployment_id, venue=self.venue
        )


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A submission with at least one order that must be looked up, with all of its orders."""

    submission: Submission
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class ExitOrders:
    """How often a position was tried to be closed, and whether the last try may still close it."""

    attempts: int = 0
    is_pending: bool = False


def in_doubt(conn: Connection, venues: Collection[Venue], *, shard: Shard = WHOLE) -> list[InDoubt]:
    """Return a shard's submissions with an order that is PLANNED, SENDING or UNKNOWN, oldest first.

    So is an entry or exit that the venue said to have accepted: it fills or ends at once, so that a later word of the
    venue was missed, and while it stands its token is blocked.
    """
    doubtful = select(orders.c.submission_id).where(
        or_(
            orders.c.state.in_([state.value for state in _IN_DOUBT]),
            and_(
                orders.c.state.in_([state.value for state in _UNSETTLED]),
                orders.c.purpose.in_([OrderPurpose.ENTRY.value, OrderPurpose.EXIT.value]),
            ),
        ),
        orders.c.submission_id.is_not(None),
        orders.c.venue.in_([venue.value for venue in venues]),
        of_shard(orders.c.deployment_id, shard),
    )
    # States are read by one statement, which sees one moment: a process that was overtaken may still record an answer.
    by_submission: dict[UUID | None, list[Order]] = defaultdict(list)
    for order in _orders(conn, orders.c.submission_id.in_(doubtful)):
        by_submission[order.submission_id].append(order)
    rows = conn.execute(
        select(submissions).where(submissions.c.id.in_(by_submission)).order_by(submissions.c.id)
    )
    return [
        InDoubt(
            Submission(
                id=row.id,
                account_id=row.account_id,
                venue=Venue(row.venue),
                signer_address=row.signer_address,
                nonce=row.nonce,
                deadline=row.deadline,
                payload=bytes(row.payload),
            ),
            tuple(by_submission[row.id]),
        )
        for row in rows
    ]


def unplaced_entries(
    conn: Connection, now: datetime, limit: int = 20_000, *, shard: Shard = WHOLE
) -> list[EntryWork]:
    """Return a shard's routed signals that still need an entry order, or the record of their end if lately expired.

    That is: no order yet, or only attempts that provably left nothing at the venue and may be repeated. The protection
    that was sent with an attempt must have ended too, or it would meet the protection of the next one. After a failover
    the entry goes to the venue that the decision, or its leg, was moved to.
    """
    leg = func.coalesce(routing_legs.c.leg, 0)
    same = and_(
        orders.c.signal_id == venue_routing_history.c.signal_id,
        orders.c.deployment_id == venue_routing_history.c.deployment_id,
        orders.c.leg == leg,
    )
    is_entry = orders.c.purpose == OrderPurpose.ENTRY.value
    venue = func.coalesce(
        routing_legs.c.failover_venue,
        routing_legs.c.venue,
        venue_routing_history.c.failover_venue,
        venue_routing_history.c.selected_venue,
    )
    repeatable = and_(
        orders.c.state.in_([OrderState.REJECTED.value, OrderState.CANCELLED.value]),
        orders.c.filled_size == 0,
        or_(
            # Without a reason nothing is proven, and NULL would make the condition neither true nor false.
            func.coalesce(orders.c.reason, "").in_([reason.value for reason in RETRIABLE]),
            # The decision has left a venue that rejected it for another one.
            orders.c.venue != venue,
        ),
        orders.c.attempt < MAX_ATTEMPTS,
    )
    attempts = select(func.coalesce(func.max(orders.c.attempt), 0)).where(same).scalar_subquery()
    is_unsettled = orders.c.state.in_([state.value for state in _UNSETTLED])
    rows = conn.execute(
        select(
            signals,
            venue_routing_history.c.id.label("routing_id"),
            venue_routing_history.c.deployment_id,
            venue.label("venue_to_enter"),
            leg.label("leg"),
            func.coalesce(routing_legs.c.share, 1).label("share"),
            policy_decisions.c.fund_percentage.label("decided_percentage"),
            policy_decisions.c.leverage.label("decided_leverage"),
            attempts.label("attempts"),
        )
        .join(venue_routing_history, venue_routing_history.c.signal_id == signals.c.id)
        .join(
            policy_decisions,
            and_(
                policy_decisions.c.signal_id == venue_routing_history.c.signal_id,
                policy_decisions.c.deployment_id == venue_routing_history.c.deployment_id,
            ),
        )
        .outerjoin(routing_legs, routing_legs.c.routing_id == venue_routing_history.c.id)
        .where(
            signals.c.expires_at > now - EXPIRY_LOOK_BACK,
            venue.is_not(None),
            of_shard(venue_routing_history.c.deployment_id, shard),
            ~exists().where(same, or_(and_(is_entry, ~repeatable), is_unsettled)),
        )
        .order_by(venue_routing_history.c.id, leg)
        .limit(limit)
    )
    return [
        EntryWork(
            signal=signal_from_row(row),
            deployment_id=row.deployment_id,
            routing_id=row.routing_id,
            venue=Venue(row.venue_to_enter),
            fund_percentage=row.decided_percentage,
            leverage=row.decided_leverage,
            attempt=row.attempts + 1,
            leg=row.leg,
            share=row.share,
        )
        for row in rows
    ]


def stray_protection(conn: Connection, *, shard: Shard = WHOLE) -> list[Order]:
    """Return a shard's protective orders that rest at a venue although there is nothing left to protect.

    Their position is closed, or the entry that they were sent with ended without a fill.
    """
    entry = orders.alias("entry")
    return _orders(
        conn,
        and_(
            orders.c.purpose.in_([one.value for one in PROTECTIVE]),
            of_shard(orders.c.deployment_id, shard),
            orders.c.state.in_([OrderState.ACKED.value, OrderState.PARTIAL.value]),
            or_(
                exists().where(
                    positions.c.id == orders.c.position_id,
                    positions.c.status == PositionStatus.CLOSED.value,
                ),
                exists().where(
                    orders.c.position_id.is_(None),
                    entry.c.submission_id == orders.c.submission_id,
                    entry.c.purpose == OrderPurpose.ENTRY.value,
                    entry.c.state.in_([OrderState.REJECTED.value, OrderState.CANCELLED.value]),
                    entry.c.filled_size == 0,
                ),
            ),
        ),
    )


def protection_of(
    conn: Connection, position_ids: Collection[UUID]
) -> dict[UUID, tuple[Order, ...]]:
    """Return, by position, all protective orders that were ever placed for it, oldest first."""
    found: dict[UUID, list[Order]] = {}
    is_protective = orders.c.purpose.in_([one.value for one in PROTECTIVE])
    for order in _orders(conn, and_(orders.c.position_id.in_(list(position_ids)), is_protective)):
        if order.position_id is not None:
            found.setdefault(order.position_id, []).append(order)
    return {position_id: tuple(items) for position_id, items in found.items()}


def orders_called(
    conn: Connection, account_id: UUID, client_ids: Collection[str]
) -> dict[str, Order]:
    """Return an account's orders by client id, of those that are asked for and are ours."""
    ours = _orders(
        conn, and_(orders.c.account_id == account_id, orders.c.client_id.in_(list(client_ids)))
    )
    return {order.client_id: order for order in ours}


def pending_tokens(conn: Connection, account_ids: Collection[UUID]) -> dict[UUID, frozenset[str]]:
    """Return, by account, the tokens with an entry that is not settled."""
    rows = conn.execute(
        select(orders.c.account_id, func.array_agg(orders.c.token_symbol).label("tokens"))
        .where(
            orders.c.account_id.in_(list(account_ids)),
            orders.c.purpose == OrderPurpose.ENTRY.value,
            orders.c.state.in_([state.value for state in _UNSETTLED]),
        )
        .group_by(orders.c.account_id)
    )
    return {row.account_id: frozenset(row.tokens) for row in rows}


def tokens_in_doubt(conn: Connection, account_id: UUID) -> frozenset[str]:
    """Return an account's tokens with an entry or exit of which nobody knows yet what the venue has."""
    rows = conn.execute(
        select(orders.c.token_symbol)
        .distinct()
        .where(
            orders.c.account_id == account_id,
            orders.c.purpose.in_([OrderPurpose.ENTRY.value, OrderPurpose.EXIT.value]),
            orders.c.state.in_([state.value for state in _IN_DOUBT]),
        )
    )
    return frozenset(rows.scalars())


def exits_of(
    conn: Connection, position_ids: Collection[UUID], now: datetime
) -> dict[UUID, ExitOrders]:
    """Return, by position, how many exit orders it has had and whether one may still close it.

    That is one which is not settled, or which filled according to the venue while the fills themselves are not listed
    yet: what the venue shows of the position then is older than its end.
    """
    is_unsettled = or_(
        orders.c.state.in_([state.value for state in _UNSETTLED]), _awaits_fills(now)
    )
    rows = conn.execute(
        select(
            orders.c.position_id,
            func.max(orders.c.attempt).label("attempts"),
            func.bool_or(is_unsettled).label("is_pending"),
        )
        .where(
            orders.c.position_id.in_(list(position_ids)),
            orders.c.purpose == OrderPurpose.EXIT.value,
        )
        .group_by(orders.c.position_id)
    )
    return {row.position_id: ExitOrders(row.attempts, row.is_pending) for row in rows}


def closed_at_venue(
    conn: Connection, position_ids: Collection[UUID], now: datetime
) -> frozenset[UUID]:
    """Return the positions of which a protective order has filled, while its fills are not listed yet."""
    rows = conn.execute(
        select(orders.c.position_id).where(
            orders.c.position_id.in_(list(position_ids)),
            orders.c.purpose.in_([one.value for one in PROTECTIVE]),
            _awaits_fills(now),
        )
    )
    return frozenset(rows.scalars())


def _awaits_fills(now: datetime) -> ColumnElement[bool]:
    """Tell of an order that the venue lately called it filled, and has not listed its fills yet."""
    return and_(
        orders.c.state == OrderState.FILLED.value,
        orders.c.updated_at > now - FILLS_FOLLOW_WITHIN,
        ~exists().where(fills.c.order_id == orders.c.id),
    )


def _orders(conn: Connection, condition: ColumnElement[bool]) -> list[Order]:
    rows = conn.execute(select(orders).where(condition).order_by(orders.c.id))
    return [
        Order(
            id=row.id,
            submission_id=row.submission_id,
            deployment_id=row.deployment_id,
            account_id=row.account_id,
            signal_id=row.signal_id,
            position_id=row.position_id,
            leg=row.leg,
            attempt=row.attempt,
            purpose=OrderPurpose(row.purpose),
            venue=Venue(row.venue),
            token=row.token_symbol,
            market_name=row.market_name,
            side=OrderSide(row.side),
            reduce_only=row.reduce_only,
            size=row.size,
            limit_price=row.limit_price,
            trigger_price=row.trigger_price,
            leverage=row.leverage,
            client_id=row.client_id,
            state=OrderState(row.state),
            filled_size=row.filled_size,
            average_price=row.average_price,
            venue_order_id=row.venue_order_id,
            reason=Reason(row.reason) if row.reason else None,
            mid_price=row.mid_price,
        )
        for row in rows
    ]
