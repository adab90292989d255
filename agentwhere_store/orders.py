"""The order ledger: intents with their exact bytes, every move between states, and what is still unsettled.

A submission and its orders are written before anything is sent. Sending is fenced: only the holder of the current
lease may move an order to SENDING. States change by compare-and-set, and each change leaves an event.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from agentwhere_core.domain.enums import (
    OrderPurpose,
    OrderSide,
    OrderState,
    PositionStatus,
    Venue,
)
from agentwhere_core.domain.errors import InvariantError, LeaseHeldError
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.time import to_ms
from agentwhere_core.domain.trade import Order, OrderReport, Submission
from agentwhere_core.execution.orders import move, reported_state
from agentwhere_store.leases import Lease
from agentwhere_store.routing import KillSwitches, signal_from_row
from agentwhere_store.rows import EXPIRY_LOOK_BACK, json_safe
from agentwhere_store.tables.ideas import signals
from agentwhere_store.tables.operations import leases
from agentwhere_store.tables.trading import (
    order_events,
    orders,
    policy_decisions,
    positions,
    signer_nonces,
    submissions,
    venue_routing_history,
)

MAX_ATTEMPTS = 3
RETRIABLE = (Reason.NEVER_SENT, Reason.NEVER_ARRIVED, Reason.NOT_FILLED)

_IN_DOUBT = (OrderState.PLANNED, OrderState.SENDING, OrderState.UNKNOWN)
_UNSETTLED = (*_IN_DOUBT, OrderState.ACKED, OrderState.PARTIAL)


@dataclass(frozen=True, slots=True)
class EntryWork:
    """A routed signal that has no order yet, or whose last attempt provably left nothing behind."""

    signal: Signal
    deployment_id: UUID
    routing_id: UUID
    venue: Venue
    fund_percentage: Decimal
    leverage: Decimal
    attempt: int

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
    """How often a position was tried to be closed, and whether the last try is still open."""

    attempts: int = 0
    is_pending: bool = False


def next_nonce(
    conn: Connection, venue: Venue, signer: str, now: datetime, *, expected: int | None = None
) -> int:
    """Take the signer's next nonce.

    Where the venue counts, it is ``expected``, which the venue was asked for: it may equal the last one, whose request
    then never arrived. Elsewhere it is the time in milliseconds, or one more than the last, whichever is larger.
    """
    statement = insert(signer_nonces).values(
        venue=venue.value,
        signer_address=signer,
        last_nonce=to_ms(now) if expected is None else expected,
    )
    taken = statement.excluded.last_nonce
    rising = func.greatest(signer_nonces.c.last_nonce + 1, taken)
    return int(
        conn.execute(
            statement.on_conflict_do_update(
                index_elements=["venue", "signer_address"],
                set_={"last_nonce": rising if expected is None else taken},
            ).returning(signer_nonces.c.last_nonce)
        ).scalar_one()
    )


def plan(
    conn: Connection,
    submission: Submission | None,
    planned: Sequence[Order],
    *,
    lease: Lease,
    routing_id: UUID | None,
    now: datetime,
) -> None:
    """Write an intent: the exact bytes, and an order for everything that is inside them.

    Orders without a submission are recorded as they are: intents that ended before anything was signed.

    Raises
    ------
    InvariantError
        If the database refuses it as a second order for the same thing; nothing may be sent.
    """
    try:
        _insert_intent(conn, submission, planned, lease=lease, routing_id=routing_id, now=now)
    except IntegrityError as error:
        raise InvariantError(
            f"the ledger refuses a second order for {planned[0].purpose} {planned[0].token}: {error.orig}; "
            "nothing was sent, the next tick reads the ledger again"
        ) from error
    _append_events(
        conn,
        [_event(order.id, (None, order.state), now, reason=order.reason) for order in planned],
    )


def _insert_intent(
    conn: Connection,
    submission: Submission | None,
    planned: Sequence[Order],
    *,
    lease: Lease,
    routing_id: UUID | None,
    now: datetime,
) -> None:
    if submission is not None:
        conn.execute(
            insert(submissions).values(
                id=submission.id,
                account_id=submission.account_id,
                venue=submission.venue.value,
                signer_address=submission.signer_address,
                nonce=submission.nonce,
                deadline=submission.deadline,
                payload=submission.payload,
                fencing_token=lease.fencing_token,
                created_at=now,
            )
        )
    conn.execute(
        insert(orders),
        [
            {
                "id": order.id,
                "submission_id": order.submission_id,
                "deployment_id": order.deployment_id,
                "account_id": order.account_id,
                "signal_id": order.signal_id,
                "position_id": order.position_id,
                "routing_id": routing_id,
                "leg": order.leg,
                "attempt": order.attempt,
                "purpose": order.purpose.value,
                "venue": order.venue.value,
                "token_symbol": order.token,
                "market_name": order.market_name,
                "side": order.side.value,
                "reduce_only": order.reduce_only,
                "size": order.size,
                "limit_price": order.limit_price,
                "trigger_price": order.trigger_price,
                "leverage": order.leverage,
                "client_id": order.client_id,
                "state": order.state.value,
                "reason": order.reason,
                "created_at": now,
                "updated_at": now,
            }
            for order in planned
        ],
    )


def payload_of(conn: Connection, submission_id: UUID) -> bytes:
    """Return the exact bytes of a submission."""
    statement = select(submissions.c.payload).where(submissions.c.id == submission_id)
    return bytes(conn.execute(statement).scalar_one())


def begin_sending(conn: Connection, lease: Lease, submission_id: UUID, now: datetime) -> None:
    """Move a submission's planned orders to SENDING, if the lease is still ours.

    Raises
    ------
    LeaseHeldError
        If another process has taken the lease since: nothing may be sent any more.
    """
    moved = conn.execute(
        update(orders)
        .where(
            orders.c.submission_id == submission_id,
            orders.c.state == OrderState.PLANNED.value,
            _is_current(lease),
        )
        .values(state=OrderState.SENDING.value, sent_at=now, updated_at=now)
        .returning(orders.c.id)
    ).scalars()
    ids = list(moved)
    if not ids:
        raise LeaseHeldError(
            f"lease {lease.name!r} was lost before submission {submission_id} was sent; "
            "the process that holds it now goes on with the order"
        )
    _append_events(
        conn,
        [_event(id_, (OrderState.PLANNED, OrderState.SENDING), now) for id_ in ids],
    )


def check_lease(conn: Connection, lease: Lease) -> None:
    """Raise LeaseHeldError unless ``lease`` is still the current one."""
    if not conn.execute(select(_is_current(lease))).scalar_one():
        raise LeaseHeldError(f"lease {lease.name!r} was taken over by another process")


def record(conn: Connection, order: Order, report: OrderReport, now: datetime) -> OrderState:
    """Move ``order`` to the state that ``report`` says, and keep the venue's raw reply.

    A report that changes nothing is not written again.

    Raises
    ------
    IllegalTransitionError
        If an order may not move that way.
    InvariantError
        If the order's state changed since it was read.
    """
    unchanged = (
        order.state is report.state
        and order.filled_size == report.filled_size
        and order.venue_order_id == report.venue_order_id
    )
    if unchanged:
        return order.state
    reported = reported_state(order.state, report.state)
    state = reported if reported is order.state else move(order.state, reported)
    changed = conn.execute(
        update(orders)
        .where(orders.c.id == order.id, orders.c.state == order.state.value)
        .values(
            state=state.value,
            filled_size=report.filled_size,
            average_price=report.average_price,
            venue_order_id=report.venue_order_id,
            reason=report.reason and report.reason.value,
            detail=report.detail or None,
            updated_at=now,
        )
    ).rowcount
    if changed != 1:
        raise InvariantError(
            f"order {order.id} is no longer {order.state}: another process moved it; "
            "it is read again by the next tick"
        )
    _append_events(
        conn,
        [
            _event(
                order.id,
                (order.state, state),
                now,
                reason=report.reason,
                detail=report.detail,
                raw=report.raw,
            )
        ],
    )
    return state


def note(conn: Connection, order: Order, detail: str, now: datetime) -> None:
    """Append an event to an order that stays in its state, e.g. that the same bytes were sent again."""
    _append_events(
        conn,
        [_event(order.id, (order.state, order.state), now, reason=order.reason, detail=detail)],
    )


def in_doubt(conn: Connection, venues: Collection[Venue]) -> list[InDoubt]:
    """Return all submissions with an order that is PLANNED, SENDING or UNKNOWN, oldest first.

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
    )
    rows = conn.execute(
        select(submissions, orders.c.id.label("order_id"))
        .join(orders, orders.c.submission_id == submissions.c.id)
        .where(submissions.c.id.in_(doubtful), submissions.c.venue.in_([v.value for v in venues]))
        .order_by(submissions.c.id, orders.c.id)
    ).all()
    by_id = {
        order.id: order for order in _orders(conn, orders.c.id.in_([r.order_id for r in rows]))
    }
    found: dict[UUID, tuple[Submission, list[Order]]] = {}
    for row in rows:
        if row.id not in found:
            found[row.id] = (
                Submission(
                    id=row.id,
                    account_id=row.account_id,
                    venue=Venue(row.venue),
                    signer_address=row.signer_address,
                    nonce=row.nonce,
                    deadline=row.deadline,
                    payload=bytes(row.payload),
                ),
                [],
            )
        found[row.id][1].append(by_id[row.order_id])
    return [InDoubt(submission, tuple(items)) for submission, items in found.values()]


def unplaced_entries(conn: Connection, now: datetime, limit: int = 20_000) -> list[EntryWork]:
    """Return routed signals that still need an entry order, or the record of their end where they expired lately.

    That is: no order yet, or only attempts that provably left nothing at the venue and may be repeated. The protection
    that was sent with an attempt must have ended too, or it would meet the protection of the next one.
    """
    same = and_(
        orders.c.signal_id == venue_routing_history.c.signal_id,
        orders.c.deployment_id == venue_routing_history.c.deployment_id,
    )
    is_entry = orders.c.purpose == OrderPurpose.ENTRY.value
    repeatable = and_(
        orders.c.state.in_([OrderState.REJECTED.value, OrderState.CANCELLED.value]),
        orders.c.filled_size == 0,
        # Without a reason nothing is proven, and NULL would make the condition neither true nor false.
        func.coalesce(orders.c.reason, "").in_([reason.value for reason in RETRIABLE]),
        orders.c.attempt < MAX_ATTEMPTS,
    )
    attempts = select(func.coalesce(func.max(orders.c.attempt), 0)).where(same).scalar_subquery()
    is_unsettled = orders.c.state.in_([state.value for state in _UNSETTLED])
    rows = conn.execute(
        select(
            signals,
            venue_routing_history.c.id.label("routing_id"),
            venue_routing_history.c.deployment_id,
            venue_routing_history.c.selected_venue,
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
        .where(
            signals.c.expires_at > now - EXPIRY_LOOK_BACK,
            venue_routing_history.c.selected_venue.is_not(None),
            ~exists().where(same, or_(and_(is_entry, ~repeatable), is_unsettled)),
        )
        .order_by(venue_routing_history.c.id)
        .limit(limit)
    )
    return [
        EntryWork(
            signal=signal_from_row(row),
            deployment_id=row.deployment_id,
            routing_id=row.routing_id,
            venue=Venue(row.selected_venue),
            fund_percentage=row.decided_percentage,
            leverage=row.decided_leverage,
            attempt=row.attempts + 1,
        )
        for row in rows
    ]


def stray_protection(conn: Connection) -> list[Order]:
    """Return protective orders that rest at a venue although there is nothing left to protect.

    Their position is closed, or the entry that they were sent with ended without a fill.
    """
    entry = orders.alias("entry")
    return _orders(
        conn,
        and_(
            orders.c.purpose.in_([OrderPurpose.TAKE_PROFIT.value, OrderPurpose.STOP_LOSS.value]),
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


def exits_of(conn: Connection, position_ids: Collection[UUID]) -> dict[UUID, ExitOrders]:
    """Return, by position, how many exit orders it has had and whether one is not settled."""
    is_unsettled = orders.c.state.in_([state.value for state in _UNSETTLED])
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


def _is_current(lease: Lease) -> ColumnElement[bool]:
    return exists().where(
        leases.c.name == lease.name, leases.c.fencing_token == lease.fencing_token
    )


def _event(
    order_id: UUID,
    moved: tuple[OrderState | None, OrderState],
    at: datetime,
    *,
    reason: Reason | None = None,
    detail: str = "",
    raw: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    before, after = moved
    return {
        "id": new_id(),
        "order_id": order_id,
        "from_state": before and before.value,
        "to_state": after.value,
        "reason": reason and reason.value,
        "detail": detail or None,
        "raw": json_safe(raw or {}),
        "at": at,
    }


def _append_events(conn: Connection, events: Sequence[dict[str, Any]]) -> None:
    if events:
        conn.execute(insert(order_events), list(events))


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
        )
        for row in rows
    ]
