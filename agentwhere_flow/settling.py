"""Settle what a tick before left open: orders that a dead process left, and orders whose answer was lost.

An UNKNOWN order is looked up, and sent again only as the very same bytes before their deadline; a new attempt exists
only after the venue proved that the old one never arrived.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import OrderPurpose, OrderState
from agentwhere_core.domain.errors import AgentWhereError, InvariantError
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import Order, OrderReport, VenueAccount
from agentwhere_core.execution.orders import IN_DOUBT, Action, Lookup, is_final, next_action
from agentwhere_core.tracing import carried
from agentwhere_flow.ledger import (
    Desk,
    conclude,
    ended,
    is_stopped_entry,
    post,
    record,
    require_permission,
    send,
)
from agentwhere_flow.outages import Outages
from agentwhere_store import open_orders
from agentwhere_store import orders as store
from agentwhere_store.leases import Lease
from agentwhere_store.open_orders import InDoubt

if TYPE_CHECKING:
    from agentwhere_flow.report import Tally
    from agentwhere_flow.system import System


def settle(
    system: System,
    held: Lease,
    accounts: Mapping[UUID, VenueAccount],
    tally: Tally,
    outages: Outages,
) -> list[Order]:
    """Resolve every order whose outcome is in doubt, as far as the venues let us; return those that moved.

    An entry of an earlier tick that a kill switch stops by now is not sent: it is given up unsent.
    """
    executing = {
        venue: at for venue in system.venues if (at := system.execution(venue)) is not None
    }
    with system.engine.begin() as conn:
        doubtful = open_orders.in_doubt(conn, executing, shard=system.shard)
    by_account: dict[UUID, list[InDoubt]] = defaultdict(list)
    for item in doubtful:
        by_account[item.submission.account_id].append(item)

    def settle_account(account: VenueAccount) -> list[Order]:
        desk = Desk(system, held, executing[account.venue], account)
        settled: list[Order] = []
        if outages.spares(account.venue):
            return settled
        try:
            for item in by_account[account.id]:
                settled += _resolve(desk, item)
        except AgentWhereError as error:
            # The rest of this account waits: where one question was not answered, the next would only take time.
            outages.note(account.venue, error)
            tally.problems.append(
                f"an order of {account.venue} account {account.address} stays in doubt and blocks its token: {error}"
            )
        return settled

    concerned = [accounts[account_id] for account_id in by_account if account_id in accounts]
    with ThreadPoolExecutor(max_workers=system.settings.execution_concurrency) as pool:
        return [order for moved in pool.map(carried(settle_account), concerned) for order in moved]


def refresh(desk: Desk, order: Order, *, absent: Reason = Reason.POSITION_CLOSED) -> Order:
    """Ask the venue what became of a resting order, and record it; one it does not know is CANCELLED: ``absent``."""
    if order.submission_id is None:
        raise InvariantError(f"order {order.id} was never sent: there is nothing to look up")
    with desk.system.engine.begin() as conn:
        payload = store.payload_of(conn, order.submission_id)
    report = desk.adapter.look_up(desk.account, order.client_id, payload)
    if report is None:
        report = ended(order, OrderState.CANCELLED, absent)
    return record(desk.system, [order], {order.client_id: report})[0]


def _resolve(desk: Desk, item: InDoubt) -> list[Order]:
    """Take the next step that `execution.orders.next_action` allows for one submission."""
    system, deadline = desk.system, item.submission.deadline
    margin = timedelta(seconds=system.settings.order_absence_margin_s)
    doubtful = [order for order in item.orders if _is_doubtful(order)]
    if doubtful[0].state is OrderState.PLANNED:
        planned = next_action(OrderState.PLANNED, Lookup.NOT_YET, deadline, system.clock(), margin)
        if planned is Action.SEND:
            return send(desk, item.submission, doubtful)
        return conclude(system, doubtful, OrderState.CANCELLED, Reason.NEVER_SENT)
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
    moved = record(system, actions[Action.ADOPT], found)
    moved += conclude(
        system, actions[Action.DECLARE_ABSENT], OrderState.REJECTED, Reason.NEVER_ARRIVED
    )
    absent = actions[Action.RESEND]
    # Bytes of which the venue knows a part have arrived whole.
    if len(absent) < len(item.orders):
        return moved
    if desk.adapter.is_void(desk.account, item.submission.payload):
        return moved + conclude(system, absent, OrderState.REJECTED, Reason.NEVER_ARRIVED)
    require_permission(system)
    with system.engine.begin() as conn:
        if is_stopped_entry(conn, item.orders):
            return moved
        store.check_lease(conn, desk.lease)
        for order in absent:
            store.note(conn, order, "the same bytes are sent again", system.clock())
    return moved + post(desk, item.submission, absent, again=True)


def _abort(desk: Desk, item: InDoubt, doubtful: Sequence[Order]) -> None:
    """End at its venue a submission whose time is over, where the venue needs that."""
    system = desk.system
    key = system.secrets.get(desk.account.key_name).get_secret_value()
    payload = desk.adapter.sign_abort(desk.account, key, item.submission.payload)
    if payload is None:
        return
    require_permission(system)
    with system.engine.begin() as conn:
        store.check_lease(conn, desk.lease)
        for order in doubtful:
            store.note(conn, order, "its time is over: it is ended at the venue", system.clock())
    desk.adapter.send(payload, [], system.clock())


def _mark_unknown(system: System, doubtful: Sequence[Order]) -> list[Order]:
    """Call orders UNKNOWN that a dead process left SENDING: their answer, if any, is lost."""
    sending = [order for order in doubtful if order.state is OrderState.SENDING]
    others = [order for order in doubtful if order.state is not OrderState.SENDING]
    return others + conclude(system, sending, OrderState.UNKNOWN, Reason.OUTCOME_UNCLEAR)


def _is_doubtful(order: Order) -> bool:
    """Tell whether an order must be looked up; one that fills or ends at once must not rest either."""
    ends_at_once = order.purpose in {OrderPurpose.ENTRY, OrderPurpose.EXIT}
    return order.state in IN_DOUBT or (ends_at_once and not is_final(order.state))
