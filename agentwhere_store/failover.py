"""Failover: entries that a venue rejected for good, and the record of where they went instead.

The decision itself is never changed: ``selected_venue`` and everything that it was made from stay. The row is extended
by each rejected attempt, and ``failover_venue`` names where the entry goes now; of a trade that is split, each leg has
a ``failover_venue`` of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, cast, exists, func, select, update
from sqlalchemy.dialects.postgresql import JSONB

from agentwhere_core.domain.enums import OrderPurpose, OrderState, PolicyOutcome, Venue
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.sharding import WHOLE, Shard
from agentwhere_core.domain.trade import PolicyDecision
from agentwhere_core.execution.orders import FINAL
from agentwhere_store.open_orders import MAX_ATTEMPTS
from agentwhere_store.routing import RoutingWork, signal_from_row
from agentwhere_store.rows import json_safe, of_shard
from agentwhere_store.tables.ideas import signals
from agentwhere_store.tables.routing import routing_legs, venue_routing_history
from agentwhere_store.tables.trading import orders, policy_decisions

_ENDED = [state.value for state in FINAL]


@dataclass(frozen=True, slots=True)
class RejectedEntry:
    """An entry that its venue definitely rejected, with nothing left of it there.

    Parameters
    ----------
    work
        What is to be placed elsewhere: of a trade that is split, the leg's share of the funds only.
    leg
        The part of a trade that is split; None where the entry is the whole trade.
    tried
        The venues that have rejected it so far.
    """

    work: RoutingWork
    routing_id: UUID
    leg: int | None
    order_id: UUID
    venue: Venue
    tried: tuple[Venue, ...]
    attempt: int
    reason: Reason
    detail: str
    at: datetime

    @property
    def signal(self) -> Signal:
        """The signal that looks for another venue."""
        return self.work.signal


def rejected_entries(
    conn: Connection, now: datetime, reasons: Collection[Reason], *, shard: Shard = WHOLE
) -> list[RejectedEntry]:
    """Return a shard's rejected entries of unexpired ``MULTI`` signals whose attempt is not on their decision yet.

    Only those of which every order has ended without a fill, so that nothing can be at a venue any more, and which
    have an attempt left. The legs of a split trade stand each for itself, whatever became of the others.
    """
    history, other = venue_routing_history, orders.alias("other")
    is_alive = exists().where(
        other.c.signal_id == orders.c.signal_id,
        other.c.deployment_id == orders.c.deployment_id,
        other.c.leg == orders.c.leg,
        (other.c.state.not_in(_ENDED))
        | (other.c.filled_size > 0)
        | (and_(other.c.purpose == OrderPurpose.ENTRY.value, other.c.attempt > orders.c.attempt)),
    )
    attempt = func.jsonb_build_object("order_id", orders.c.id)
    is_recorded = history.c.attempts.contains(func.jsonb_build_array(attempt))
    rows = conn.execute(
        select(
            signals,
            policy_decisions.c.deployment_id,
            policy_decisions.c.outcome,
            policy_decisions.c.fund_percentage.label("decided_percentage"),
            policy_decisions.c.leverage.label("decided_leverage"),
            history.c.id.label("routing_id"),
            history.c.attempts,
            orders.c.id.label("order_id"),
            orders.c.venue.label("rejected_by"),
            orders.c.attempt,
            routing_legs.c.leg.label("split_leg"),
            func.coalesce(routing_legs.c.share, 1).label("share"),
            orders.c.reason,
            orders.c.detail,
            orders.c.updated_at.label("rejected_at"),
        )
        .join(orders, orders.c.signal_id == signals.c.id)
        .join(history, history.c.id == orders.c.routing_id)
        .outerjoin(
            routing_legs,
            and_(routing_legs.c.routing_id == history.c.id, routing_legs.c.leg == orders.c.leg),
        )
        .join(
            policy_decisions,
            and_(
                policy_decisions.c.signal_id == orders.c.signal_id,
                policy_decisions.c.deployment_id == orders.c.deployment_id,
            ),
        )
        .where(
            signals.c.venue == Venue.MULTI.value,
            signals.c.expires_at > now,
            orders.c.purpose == OrderPurpose.ENTRY.value,
            orders.c.state == OrderState.REJECTED.value,
            orders.c.attempt < MAX_ATTEMPTS,
            orders.c.reason.in_([reason.value for reason in reasons]),
            ~is_alive,
            ~is_recorded,
            of_shard(orders.c.deployment_id, shard),
        )
        .order_by(orders.c.id)
    )
    return [_rejected(row) for row in rows]


def venues_of_other_legs(conn: Connection, entry: RejectedEntry) -> frozenset[Venue]:
    """Return where the other parts of a split trade are or were, whatever became of them there."""
    if entry.leg is None:
        return frozenset()
    others = conn.execute(
        select(routing_legs.c.venue, routing_legs.c.failover_venue).where(
            routing_legs.c.routing_id == entry.routing_id, routing_legs.c.leg != entry.leg
        )
    )
    return frozenset(Venue(venue) for row in others for venue in row if venue is not None)


def record_attempt(
    conn: Connection, entry: RejectedEntry, attempt: Mapping[str, Any], to: Venue | None
) -> bool:
    """Extend the decision by the rejected attempt, and by the venue that the entry goes to now; None ends it.

    A leg that moves is marked as moved; its trade's other legs stay where they are.

    Return False, and change nothing, where the attempt is on record already.
    """
    history = venue_routing_history
    known = [{"order_id": str(entry.order_id)}]
    written = conn.execute(
        update(history)
        .where(history.c.id == entry.routing_id, ~history.c.attempts.contains(known))
        .values(
            attempts=history.c.attempts.concat(cast([json_safe(attempt)], JSONB)),
            failover_venue=history.c.failover_venue
            if to is None or entry.leg is not None
            else to.value,
        )
    )
    if written.rowcount and to is not None and entry.leg is not None:
        conn.execute(
            update(routing_legs)
            .where(routing_legs.c.routing_id == entry.routing_id, routing_legs.c.leg == entry.leg)
            .values(failover_venue=to.value)
        )
    return written.rowcount > 0


def _rejected(row: Any) -> RejectedEntry:
    signal = signal_from_row(row)
    earlier = (
        Venue(attempt["venue"]) for attempt in row.attempts if attempt.get("leg") == row.split_leg
    )
    return RejectedEntry(
        work=RoutingWork(
            signal,
            PolicyDecision(
                signal_id=signal.id,
                deployment_id=row.deployment_id,
                outcome=PolicyOutcome(row.outcome),
                fund_percentage=Decimal(row.decided_percentage) * row.share,
                leverage=row.decided_leverage,
                reasons=(),
            ),
        ),
        routing_id=row.routing_id,
        leg=row.split_leg,
        order_id=row.order_id,
        venue=Venue(row.rejected_by),
        tried=(*earlier, Venue(row.rejected_by)),
        attempt=row.attempt,
        reason=Reason(row.reason),
        detail=row.detail or "",
        at=row.rejected_at,
    )
