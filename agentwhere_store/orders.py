"""The order ledger, written: intents with their exact bytes, and every move between states.

A submission and its orders are written before anything is sent. Sending is fenced: only the holder of the current
lease may move an order to SENDING. States change by compare-and-set, and each change leaves an event. What is still to
be done is read in `open_orders`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from agentwhere_core.domain.enums import (
    OrderState,
    Venue,
)
from agentwhere_core.domain.errors import InvariantError, LeaseHeldError
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.time import to_ms
from agentwhere_core.domain.trade import Order, OrderReport, Submission
from agentwhere_core.execution.orders import move, reported_state
from agentwhere_store.leases import Lease
from agentwhere_store.rows import json_safe
from agentwhere_store.tables.operations import leases
from agentwhere_store.tables.trading import order_events, orders, signer_nonces, submissions


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
                "mid_price": order.mid_price,
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


def _is_current(lease: Lease) -> ColumnElement[bool]:
    held = (
        select(func.count())
        .select_from(leases)
        .where(leases.c.name.in_(lease.rows), leases.c.fencing_token == lease.fencing_token)
    )
    return held.scalar_subquery() == len(lease.rows)


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
