"""The one way to send an order: intent and exact bytes are committed, then sent, then resolved.

`place` plans and sends. `settle` looks after everything whose outcome is not known: orders that a dead process left
PLANNED or SENDING, and orders whose answer was lost. An UNKNOWN order is looked up, and sent again only as the very
same bytes before their deadline; a new attempt exists only after the venue proved that the old one never arrived.

Both need the lease ``execution``: while it is held, nobody else sends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import OrderPurpose, OrderState
from agentwhere_core.domain.errors import (
    AgentWhereError,
    ConfigurationError,
    InvariantError,
    RemoteError,
)
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.market import Market
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import Order, OrderReport, OrderSpec, Submission, VenueAccount
from agentwhere_core.execution.orders import IN_DOUBT, Action, Lookup, is_final, next_action
from agentwhere_store import orders as ledger
from agentwhere_store.leases import Lease, lease
from agentwhere_store.routing import KillSwitches, engaged_switches

if TYPE_CHECKING:
    from agentwhere_core.venues.protocol import Execution
    from agentwhere_flow.report import Tally
    from agentwhere_flow.system import System

LEASE = "execution"
LEASE_WAIT_S = 60

_NOTHING_STOPPED = KillSwitches(False, frozenset(), frozenset(), frozenset())

Sign = Callable[[str, int, datetime], bytes | None]


@dataclass(frozen=True, slots=True)
class Intent:
    """Orders that belong into one submission, and what they are for; the entry or exit comes first in ``specs``."""

    account: VenueAccount
    market: Market
    deployment_id: UUID
    signal_id: UUID | None
    position_id: UUID | None
    routing_id: UUID | None
    attempt: int
    leverage: Decimal
    specs: tuple[OrderSpec, ...]


@dataclass(frozen=True, slots=True)
class Desk:
    """Who may send (the lease), through which adapter, for which account."""

    system: System
    lease: Lease
    adapter: Execution
    account: VenueAccount


def writer(system: System, now: datetime) -> AbstractContextManager[Lease]:
    """Become the one process that may send orders; wait up to a minute for the one before."""
    holder = system.run_id or "command line"
    return lease(system.engine, LEASE, holder, now, wait_s=LEASE_WAIT_S)


def place(desk: Desk, intent: Intent) -> list[Order]:
    """Commit the intent, send it, and return its orders as the venue answered.

    A lost answer leaves the orders UNKNOWN; nothing is raised for it.

    Raises
    ------
    RemoteError
        If the venue was asked for the next nonce in vain; nothing is written.
    ConfigurationError
        If the signing key is missing, or the profile trades real money and the live switch is off; nothing is written.
    InvariantError
        If the database refuses the orders as a second attempt at the same thing; nothing is sent.
    LeaseHeldError
        If another process took over; nothing is sent.
    """
    _require_permission(desk.system)
    submission, planned = _commit(desk, intent)
    return _send(desk, submission, planned)


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
        ledger.plan(conn, None, [ended], lease=held, routing_id=routing_id, now=now)
    return ended


def settle(
    system: System, held: Lease, accounts: Mapping[UUID, VenueAccount], tally: Tally
) -> list[Order]:
    """Resolve every order whose outcome is in doubt, as far as the venues let us; return those that moved.

    While a kill switch is engaged, whichever, no entry of an earlier tick is sent: it is given up unsent, and planned
    anew where that switch does not stop it.
    """
    executing = {
        venue: at for venue in system.venues if (at := system.execution(venue)) is not None
    }
    with system.engine.begin() as conn:
        doubtful = ledger.in_doubt(conn, executing)
        may_enter = engaged_switches(conn) == _NOTHING_STOPPED
    by_account: dict[UUID, list[ledger.InDoubt]] = defaultdict(list)
    for item in doubtful:
        by_account[item.submission.account_id].append(item)

    def settle_account(account: VenueAccount) -> list[Order]:
        desk = Desk(system, held, executing[account.venue], account)
        settled: list[Order] = []
        try:
            for item in by_account[account.id]:
                may_go = may_enter or all(order.reduce_only for order in item.orders)
                settled += _resolve(desk, item, may_send=may_go)
        except AgentWhereError as error:
            # The rest of this account waits: where one question was not answered, the next would only take time.
            tally.problems.append(
                f"an order of {account.venue} account {account.address} stays in doubt and blocks its token: {error}"
            )
        return settled

    concerned = [accounts[account_id] for account_id in by_account if account_id in accounts]
    with ThreadPoolExecutor(max_workers=system.settings.execution_concurrency) as pool:
        return [order for moved in pool.map(settle_account, concerned) for order in moved]


def refresh(desk: Desk, order: Order) -> Order:
    """Ask the venue what became of a resting order, and record it; an order it does not know is CANCELLED."""
    if order.submission_id is None:
        raise InvariantError(f"order {order.id} was never sent: there is nothing to look up")
    with desk.system.engine.begin() as conn:
        payload = ledger.payload_of(conn, order.submission_id)
    report = desk.adapter.look_up(desk.account, order.client_id, payload)
    if report is None:
        report = _ended(order, OrderState.CANCELLED, Reason.POSITION_CLOSED)
    return _record(desk.system, [order], {order.client_id: report})[0]


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
            leg=0,
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
        nonce = ledger.next_nonce(
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
        ledger.plan(
            conn, submission, planned, lease=desk.lease, routing_id=intent.routing_id, now=now
        )
    return submission, planned


def _send(desk: Desk, submission: Submission, planned: Sequence[Order]) -> list[Order]:
    """Send a planned submission once, and record what came back."""
    system = desk.system
    _require_permission(system)
    with system.engine.begin() as conn:
        ledger.begin_sending(conn, desk.lease, submission.id, system.clock())
    sending = [replace(order, state=OrderState.SENDING) for order in planned]
    return _post(desk, submission, sending)


def _post(
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
            _ended(order, OrderState.UNKNOWN, Reason.OUTCOME_UNCLEAR, str(error)) for order in sent
        ]
        return _record(desk.system, sent, {report.client_id: report for report in unclear})
    by_order = dict(zip(client_ids, reports, strict=True))
    if again:
        by_order = {
            order.client_id: _ended(
                order, OrderState.UNKNOWN, Reason.OUTCOME_UNCLEAR, report.detail
            )
            if (report := by_order[order.client_id]).state is OrderState.REJECTED
            else report
            for order in sent
        }
    return _record(desk.system, sent, by_order)


def _send_action(desk: Desk, sign: Sign) -> None:
    """Send a signed action that is not an order, under a nonce of its own."""
    system, account = desk.system, desk.account
    _require_permission(system)
    key = system.secrets.get(account.key_name).get_secret_value()
    expected = desk.adapter.next_nonce(account)
    now = system.clock()
    with system.engine.begin() as conn:
        ledger.check_lease(conn, desk.lease)
        nonce = ledger.next_nonce(
            conn, account.venue, account.signer_address, now, expected=expected
        )
    payload = sign(key, nonce, _deadline(desk, now))
    if payload is not None:
        desk.adapter.send(payload, [], system.clock())


def _deadline(desk: Desk, now: datetime) -> datetime:
    """Return until when the venue may act on what is signed now."""
    return desk.adapter.deadline(now, timedelta(seconds=desk.system.settings.order_deadline_s))


def _resolve(desk: Desk, item: ledger.InDoubt, *, may_send: bool) -> list[Order]:
    """Take the next step that `execution.orders.next_action` allows for one submission."""
    system, deadline = desk.system, item.submission.deadline
    margin = timedelta(seconds=system.settings.order_absence_margin_s)
    doubtful = [order for order in item.orders if _is_doubtful(order)]
    if doubtful[0].state is OrderState.PLANNED:
        planned = next_action(OrderState.PLANNED, Lookup.NOT_YET, deadline, system.clock(), margin)
        if planned is Action.SEND and may_send:
            return _send(desk, item.submission, doubtful)
        return _conclude(system, doubtful, OrderState.CANCELLED, Reason.NEVER_SENT)
    doubtful = _mark_unknown(system, doubtful)
    if system.clock() > deadline + margin:
        # Before the lookup: what it then says of absence can no longer be overtaken.
        _abort(desk, item, doubtful)
    asked_at = system.clock()
    actions: dict[Action, list[Order]] = defaultdict(list)
    found: dict[str, OrderReport] = {}
    for order in doubtful:
        report = desk.adapter.look_up(desk.account, order.client_id, item.submission.payload)
        actions[next_action(order.state, report, deadline, asked_at, margin)].append(order)
        if report is not None:
            found[order.client_id] = report
    moved = _record(system, actions[Action.ADOPT], found)
    moved += _conclude(
        system, actions[Action.DECLARE_ABSENT], OrderState.REJECTED, Reason.NEVER_ARRIVED
    )
    absent = actions[Action.RESEND]
    # Bytes of which the venue knows a part have arrived whole.
    if len(absent) < len(item.orders):
        return moved
    if desk.adapter.is_void(desk.account, item.submission.payload):
        return moved + _conclude(system, absent, OrderState.REJECTED, Reason.NEVER_ARRIVED)
    if may_send:
        _require_permission(system)
        with system.engine.begin() as conn:
            ledger.check_lease(conn, desk.lease)
            for order in absent:
                ledger.note(conn, order, "the same bytes are sent again", system.clock())
        moved += _post(desk, item.submission, absent, again=True)
    return moved


def _abort(desk: Desk, item: ledger.InDoubt, doubtful: Sequence[Order]) -> None:
    """End at its venue a submission whose time is over, where the venue needs that."""
    system = desk.system
    key = system.secrets.get(desk.account.key_name).get_secret_value()
    payload = desk.adapter.sign_abort(desk.account, key, item.submission.payload)
    if payload is None:
        return
    _require_permission(system)
    with system.engine.begin() as conn:
        ledger.check_lease(conn, desk.lease)
        for order in doubtful:
            ledger.note(conn, order, "its time is over: it is ended at the venue", system.clock())
    desk.adapter.send(payload, [], system.clock())


def _mark_unknown(system: System, doubtful: Sequence[Order]) -> list[Order]:
    """Call orders UNKNOWN that a dead process left SENDING: their answer, if any, is lost."""
    sending = [order for order in doubtful if order.state is OrderState.SENDING]
    others = [order for order in doubtful if order.state is not OrderState.SENDING]
    return others + _conclude(system, sending, OrderState.UNKNOWN, Reason.OUTCOME_UNCLEAR)


def _is_doubtful(order: Order) -> bool:
    """Tell whether an order must be looked up; one that fills or ends at once must not rest either."""
    ends_at_once = order.purpose in {OrderPurpose.ENTRY, OrderPurpose.EXIT}
    return order.state in IN_DOUBT or (ends_at_once and not is_final(order.state))


def _require_permission(system: System) -> None:
    """Check the live switch before anything is signed or sent, whoever asks for it (X7)."""
    if not system.settings.may_send:
        raise ConfigurationError(
            "the profile trades real money and the live switch is off, so nothing is sent: "
            "set AGENTWHERE_LIVE=yes if you mean it"
        )


def _conclude(
    system: System, orders: Sequence[Order], state: OrderState, reason: Reason
) -> list[Order]:
    return _record(system, orders, {o.client_id: _ended(o, state, reason) for o in orders})


def _record(
    system: System, orders: Sequence[Order], reports: Mapping[str, OrderReport]
) -> list[Order]:
    """Write what was reported of each order, in one transaction."""
    now = system.clock()
    recorded: list[Order] = []
    with system.engine.begin() as conn:
        for order in orders:
            report = _within_size(order, reports[order.client_id])
            state = ledger.record(conn, order, report, now)
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


def _ended(order: Order, state: OrderState, reason: Reason, detail: str = "") -> OrderReport:
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
