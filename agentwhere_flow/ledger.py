"""The one way to send an order: intent and exact bytes are committed, then sent, then the answer is recorded.

`place` does all of it. What is left open, by a dead process or a lost answer, is the business of `settling`.

Both need the lease ``execution``: while it is held, nobody else sends for the same deployments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import OrderState
from agentwhere_core.domain.errors import ConfigurationError, RemoteError
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.market import Market
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import Order, OrderReport, OrderSpec, Submission, VenueAccount
from agentwhere_store import orders as store
from agentwhere_store.leases import Lease, lease
from agentwhere_store.switches import stops_entries

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_core.venues.protocol import Execution
    from agentwhere_flow.system import System

LEASE = "execution"
LEASE_WAIT_S = 60
SHARD_LEASE_WAIT_S = 180

Sign = Callable[[str, int, datetime], bytes | None]


@dataclass(frozen=True, slots=True)
class Intent:
    """Orders that belong into one submission, and what they are for; the entry or exit comes first in ``specs``.

    ``leg`` numbers the parts of a trade that is split, and ``mid_price`` is the market's when the orders are made.
    """

    account: VenueAccount
    market: Market
    deployment_id: UUID
    signal_id: UUID | None
    position_id: UUID | None
    routing_id: UUID | None
    attempt: int
    leverage: Decimal
    specs: tuple[OrderSpec, ...]
    mid_price: Decimal
    leg: int = 0


@dataclass(frozen=True, slots=True)
class Desk:
    """Who may send (the lease), through which adapter, for which account."""

    system: System
    lease: Lease
    adapter: Execution
    account: VenueAccount


def writer(system: System, now: datetime) -> AbstractContextManager[Lease]:
    """Become the one process that may send orders of the system's shard; wait a while for the one before."""
    holder = system.run_id or "command line"
    # No pool holds the runs of one shard apart: here they wait for each other, less long than a run may last.
    wait_s = LEASE_WAIT_S if system.shard.is_whole else SHARD_LEASE_WAIT_S
    return lease(system.engine, LEASE, holder, now, wait_s=wait_s, shard=system.shard)


def place(desk: Desk, intent: Intent) -> list[Order]:
    """Commit the intent, send it, and return its orders as the venue answered.

    A lost answer leaves the orders UNKNOWN; nothing is raised for it.

    Raises
    ------
    RemoteError
        If the venue was asked for the next nonce in vain; nothing is written.
    ConfigurationError
        If the signing key is missing, or the live switch is off where orders leave this machine; nothing is written.
    InvariantError
        If the database refuses the orders as a second attempt at the same thing; nothing is sent.
    LeaseHeldError
        If another process took over; nothing is sent.
    """
    require_permission(desk.system)
    submission, planned = _commit(desk, intent)
    return send(desk, submission, planned)


def set_leverage(desk: Desk, market: Market, leverage: int) -> None:
    """Set an account's leverage in a market before an entry, or whatever the venue needs; twice is harmless.

    Raises
    ------
    RemoteError
        If the venue did not confirm it: the entry must not follow.
    """
    account = desk.account
    _send_action(
        desk,
        lambda key, nonce, deadline: desk.adapter.sign_leverage(
            market, leverage, account, key, nonce, deadline
        ),
    )


def cancel(desk: Desk, market: Market, resting: Sequence[Order]) -> None:
    """Ask the venue to cancel resting orders; what became of them is read by lookup, not from the answer."""
    specs = tuple(spec_of(order, market) for order in resting)
    account = desk.account
    _send_action(
        desk,
        lambda key, nonce, deadline: desk.adapter.sign_cancel(specs, account, key, nonce, deadline),
    )


def record_unplaced(
    system: System, held: Lease, order: Order, reason: Reason, *, routing_id: UUID, now: datetime
) -> Order:
    """Record an intent that ended before anything was signed, as an order that is CANCELLED with ``reason``."""
    ended = replace(order, state=OrderState.CANCELLED, reason=reason)
    with system.engine.begin() as conn:
        store.plan(conn, None, [ended], lease=held, routing_id=routing_id, now=now)
    return ended


def spec_of(order: Order, market: Market) -> OrderSpec:
    """Return the order as a venue adapter wants it."""
    return OrderSpec(
        client_id=order.client_id,
        purpose=order.purpose,
        market_name=order.market_name,
        market_index=market.market_index,
        side=order.side,
        size=order.size,
        limit_price=order.limit_price,
        trigger_price=order.trigger_price,
        reduce_only=order.reduce_only,
        size_decimals=market.size_decimals,
        price_decimals=market.price_decimals,
    )


def planned_orders(intent: Intent, submission_id: UUID | None) -> list[Order]:
    """Return the ledger rows of an intent, PLANNED."""
    return [
        Order(
            id=new_id(),
            submission_id=submission_id,
            deployment_id=intent.deployment_id,
            account_id=intent.account.id,
            signal_id=intent.signal_id,
            position_id=intent.position_id,
            leg=intent.leg,
            attempt=intent.attempt,
            purpose=spec.purpose,
            venue=intent.account.venue,
            token=intent.market.token,
            market_name=spec.market_name,
            side=spec.side,
            reduce_only=spec.reduce_only,
            size=spec.size,
            limit_price=spec.limit_price,
            trigger_price=spec.trigger_price,
            leverage=intent.leverage,
            client_id=spec.client_id,
            state=OrderState.PLANNED,
            filled_size=Decimal(0),
            average_price=None,
            venue_order_id=None,
            reason=None,
            mid_price=intent.mid_price,
        )
        for spec in intent.specs
    ]


def _commit(desk: Desk, intent: Intent) -> tuple[Submission, list[Order]]:
    """Write the intent with the exact bytes, in one transaction."""
    system, account = desk.system, desk.account
    key = system.secrets.get(account.key_name).get_secret_value()
    expected = desk.adapter.next_nonce(account)
    now = system.clock()
    deadline = _deadline(desk, now)
    with system.engine.begin() as conn:
        nonce = store.next_nonce(
            conn, account.venue, account.signer_address, now, expected=expected
        )
        specs = [replace(spec, leverage=intent.leverage) for spec in intent.specs]
        payload = desk.adapter.sign_orders(specs, account, key, nonce, deadline)
        submission = Submission(
            id=new_id(),
            account_id=account.id,
            venue=account.venue,
            signer_address=account.signer_address,
            nonce=nonce,
            deadline=deadline,
            payload=payload,
        )
        planned = planned_orders(intent, submission.id)
        store.plan(
            conn, submission, planned, lease=desk.lease, routing_id=intent.routing_id, now=now
        )
    return submission, planned


def send(desk: Desk, submission: Submission, planned: Sequence[Order]) -> list[Order]:
    """Send a planned submission once, and record what came back; an entry that is stopped by now is given up unsent."""
    system = desk.system
    require_permission(system)
    with system.engine.begin() as conn:
        is_stopped = is_stopped_entry(conn, planned)
        if not is_stopped:
            store.begin_sending(conn, desk.lease, submission.id, system.clock())
    if is_stopped:
        story = "a kill switch was engaged before it was sent"
        return conclude(system, planned, OrderState.CANCELLED, Reason.NEVER_SENT, story)
    sending = [replace(order, state=OrderState.SENDING) for order in planned]
    return post(desk, submission, sending)


def post(
    desk: Desk, submission: Submission, sent: Sequence[Order], *, again: bool = False
) -> list[Order]:
    """Send the bytes; whatever is not a clear answer leaves every order UNKNOWN.

    A refusal of bytes that were sent before says nothing of the first time, so it leads to a lookup as well.
    """
    client_ids = [order.client_id for order in sent]
    try:
        reports = desk.adapter.send(submission.payload, client_ids, desk.system.clock())
    except RemoteError as error:
        unclear = [
            ended(order, OrderState.UNKNOWN, Reason.OUTCOME_UNCLEAR, str(error)) for order in sent
        ]
        return record(desk.system, sent, {report.client_id: report for report in unclear})
    by_order = dict(zip(client_ids, reports, strict=True))
    if again:
        by_order = {
            order.client_id: ended(order, OrderState.UNKNOWN, Reason.OUTCOME_UNCLEAR, report.detail)
            if (report := by_order[order.client_id]).state is OrderState.REJECTED
            else report
            for order in sent
        }
    return record(desk.system, sent, by_order)


def _send_action(desk: Desk, sign: Sign) -> None:
    """Send a signed action that is not an order, under a nonce of its own."""
    system, account = desk.system, desk.account
    require_permission(system)
    key = system.secrets.get(account.key_name).get_secret_value()
    expected = desk.adapter.next_nonce(account)
    now = system.clock()
    with system.engine.begin() as conn:
        store.check_lease(conn, desk.lease)
        nonce = store.next_nonce(
            conn, account.venue, account.signer_address, now, expected=expected
        )
    payload = sign(key, nonce, _deadline(desk, now))
    if payload is not None:
        desk.adapter.send(payload, [], system.clock())


def _deadline(desk: Desk, now: datetime) -> datetime:
    """Return until when the venue may act on what is signed now."""
    return desk.adapter.deadline(now, timedelta(seconds=desk.system.settings.order_deadline_s))


def require_permission(system: System) -> None:
    """Check the live switch before anything is signed or sent, whoever asks for it (X7)."""
    if not system.settings.may_send:
        raise ConfigurationError(
            f"the profile {system.settings.profile} trades at the venues and the live switch is off, so nothing is "
            "sent: set AGENTWHERE_LIVE=yes if you mean it"
        )


def is_stopped_entry(conn: Connection, orders: Sequence[Order]) -> bool:
    """Return whether a kill switch stops orders that belong together; closing is never stopped."""
    if all(order.reduce_only for order in orders):
        return False
    return stops_entries(conn, orders[0].deployment_id, orders[0].venue)


def conclude(
    system: System, orders: Sequence[Order], state: OrderState, reason: Reason, detail: str = ""
) -> list[Order]:
    """End orders, or put them in doubt, by our own word where the venue gave none."""
    reports = {o.client_id: ended(o, state, reason, detail) for o in orders}
    return record(system, orders, reports)


def record(
    system: System, orders: Sequence[Order], reports: Mapping[str, OrderReport]
) -> list[Order]:
    """Write what was reported of each order, in one transaction."""
    now = system.clock()
    recorded: list[Order] = []
    with system.engine.begin() as conn:
        for order in orders:
            report = _within_size(order, reports[order.client_id])
            state = store.record(conn, order, report, now)
            recorded.append(
                replace(
                    order,
                    state=state,
                    filled_size=report.filled_size,
                    average_price=report.average_price,
                    venue_order_id=report.venue_order_id,
                    reason=report.reason,
                )
            )
    return recorded


def _within_size(order: Order, report: OrderReport) -> OrderReport:
    """Cut a filled size to what the order was for.

    Some venues let protection close the whole position, which may have been enlarged outside. Its fills tell all of it.
    """
    return replace(report, filled_size=min(report.filled_size, order.size))


def ended(order: Order, state: OrderState, reason: Reason, detail: str = "") -> OrderReport:
    """Return our own report about an order, where the venue gave none."""
    return OrderReport(
        client_id=order.client_id,
        state=state,
        reason=reason,
        venue_order_id=order.venue_order_id,
        filled_size=order.filled_size,
        average_price=order.average_price,
        detail=detail,
        raw={},
    )
