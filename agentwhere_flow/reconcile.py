"""Reconciliation: bring every account's fills home, and compare what we hold with what the venue says.

A difference is looked at twice, then put before a human: an event on the position and an alert, which is closed when
the difference is gone. A failed query is never read as "flat". A venue that does not answer is not asked again for each
of its accounts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import Severity, UntrackedCause
from agentwhere_core.domain.errors import AgentWhereError
from agentwhere_core.domain.events import Incident, PositionEvent
from agentwhere_core.domain.trade import AccountState, Position, RestingOrder, VenueAccount
from agentwhere_core.execution.protection import strangers
from agentwhere_core.tracing import carried
from agentwhere_flow.alerts import close_alert, open_alerts, raise_alert
from agentwhere_flow.fills import sync_account, sync_cash_flows
from agentwhere_flow.outages import Outages
from agentwhere_flow.protection import AccountLook
from agentwhere_store import fills as fill_store
from agentwhere_store import open_orders
from agentwhere_store import positions as store
from agentwhere_store.fills import WatchedAccount
from agentwhere_store.untracked import Untracked, follow_again, untracked_now

if TYPE_CHECKING:
    from agentwhere_core.venues.protocol import Execution
    from agentwhere_flow.report import Tally
    from agentwhere_flow.system import System

_KINDS = (Incident.RECONCILIATION, Incident.UNKNOWN_ORDERS, Incident.OLDER_POSITION)


@dataclass(frozen=True, slots=True)
class Compared:
    """One account after its fills were brought home: what the venue holds, and what changed with us.

    ``state`` and ``resting`` are None where the venue could not be asked: then nothing is known. ``incidents`` names
    what is wrong with it now.
    """

    watched: WatchedAccount
    state: AccountState | None = None
    resting: tuple[RestingOrder, ...] | None = None
    changed: tuple[Position, ...] = ()
    problems: tuple[str, ...] = ()
    incidents: frozenset[str] = frozenset()


def compare_accounts(
    system: System, now: datetime, tally: Tally, outages: Outages
) -> list[Compared]:
    """Bring home fills of all accounts that trade, and compare their positions with the venue's."""
    executing = [venue for venue in system.venues if system.execution(venue) is not None]
    with system.engine.begin() as conn:
        watched = fill_store.watched_accounts(conn, executing, shard=system.shard)
    with ThreadPoolExecutor(max_workers=system.settings.execution_concurrency) as pool:
        compare = carried(lambda item: compare_account(system, item, now, outages))
        compared = list(pool.map(compare, watched))
    tally.problems += [problem for item in compared for problem in item.problems]
    tally.problems += outages.problems()
    _close_settled_alerts(system, compared, now)
    return compared


def looks_of(compared: Sequence[Compared]) -> list[AccountLook]:
    """Return the accounts whose venue showed all of what they hold and what rests there."""
    return [
        AccountLook(item.watched.account, item.state, item.resting)
        for item in compared
        if item.state is not None and item.resting is not None
    ]


def compare_account(
    system: System, watched: WatchedAccount, now: datetime, outages: Outages
) -> Compared:
    """Sync one account; where it then differs from the venue, look once more before it is reported."""
    account = watched.account
    adapter = system.execution(account.venue)
    if adapter is None or outages.spares(account.venue):
        return Compared(watched)
    try:
        changed = sync_account(system, adapter, watched, now)
        state = adapter.account_state(account, now)
        if _differences(system, account, state):
            changed += sync_account(system, adapter, watched, now)
            state = adapter.account_state(account, now)
    except AgentWhereError as error:
        # A failed query is never read as "flat": the account stays as it is, and the next tick asks again.
        outages.note(account.venue, error)
        problem = f"{account.venue} account {account.address}: {error}"
        return Compared(watched, problems=(problem,))
    with system.engine.begin() as conn:
        store.save_account_state(conn, account.id, state)
    problems = _book_cash_flows(system, adapter, watched, now)
    resting = _resting(adapter, account, problems)
    incidents: set[str] = set()
    for kind, found in (
        (Incident.RECONCILIATION, _differences(system, account, state)),
        (Incident.UNKNOWN_ORDERS, _unknown_orders(system, account, resting or ())),
    ):
        _report(system, account, kind, found, now)
        incidents |= {kind.of(account.id, token) for token in found}
        if kind is Incident.RECONCILIATION:
            problems += found.values()
    untracked = _look_at_untracked(system, account, state, now)
    incidents |= {Incident.OLDER_POSITION.of(account.id, one.token) for one in untracked}
    problems += [one.detail for one in untracked if one.cause is UntrackedCause.FILLS_CONTRADICT]
    return Compared(watched, state, resting, tuple(changed), tuple(problems), frozenset(incidents))


def _resting(
    adapter: Execution, account: VenueAccount, problems: list[str]
) -> tuple[RestingOrder, ...] | None:
    """Return what rests, or None where the venue could not be asked: that is not the same as nothing."""
    try:
        return tuple(adapter.resting_orders(account))
    except AgentWhereError as error:
        problems.append(
            f"what rests for {account.venue} account {account.address} is not known: {error}"
        )
        return None


def _book_cash_flows(
    system: System, adapter: Execution, watched: WatchedAccount, now: datetime
) -> list[str]:
    try:
        sync_cash_flows(system, adapter, watched, now)
    except AgentWhereError as error:
        return [f"funding of {watched.account.address} is not booked yet: {error}"]
    return []


def _differences(system: System, account: VenueAccount, state: AccountState) -> dict[str, str]:
    """Return, by token, how our open positions differ from the venue's.

    What is not followed is left out, and so is a token with an order in doubt: its outcome decides what we hold.
    """
    with system.engine.begin() as conn:
        held = store.open_positions(conn, account_ids=[account.id])
        left_out = {one.token for one in untracked_now(conn, [account.id])}
        left_out |= open_orders.tokens_in_doubt(conn, account.id)
    ours = {position.token: position.size * position.side.sign for position in held}
    theirs: dict[str, Decimal] = defaultdict(Decimal)
    for position in state.positions:
        theirs[position.token] += position.size * position.side.sign
    return {
        token: (
            f"{account.venue} account {account.address} holds {theirs.get(token, Decimal(0))} {token}, "
            f"our fills say {ours.get(token, Decimal(0))}: compare its fills at the venue before trading on"
        )
        for token in sorted((ours.keys() | theirs.keys()) - left_out)
        if ours.get(token) != theirs.get(token)
    }


def _unknown_orders(
    system: System, account: VenueAccount, resting: Sequence[RestingOrder]
) -> dict[str, str]:
    """Return, by token, what rests at the venue without being ours."""
    names = [order.client_id for order in resting if order.client_id]
    with system.engine.begin() as conn:
        ours = open_orders.orders_called(conn, account.id, names)
    found: dict[str, list[str]] = defaultdict(list)
    for order in strangers(resting, ours):
        what = order.purpose or "order"
        price = "" if order.trigger_price is None else f" at {order.trigger_price.normalize():f}"
        found[order.token].append(f"{order.side} {what} {order.venue_order_id}{price}")
    return {
        token: (
            f"{account.venue} account {account.address} has orders in {token} that are not ours: "
            f"{', '.join(sorted(orders))}; they are left alone, cancel them at the venue if nobody meant them"
        )
        for token, orders in found.items()
    }


def _look_at_untracked(
    system: System, account: VenueAccount, state: AccountState, now: datetime
) -> list[Untracked]:
    """Follow a token again once the position that is older than the account's registration is gone; return the rest."""
    held = {position.token for position in state.positions}
    with system.engine.begin() as conn:
        untracked = untracked_now(conn, [account.id])
        gone = {
            one.token
            for one in untracked
            if one.cause is UntrackedCause.OLDER_POSITION and one.token not in held
        }
        for token in gone:
            follow_again(conn, account.id, token, now)
    return [one for one in untracked if one.token not in gone]


def _report(
    system: System,
    account: VenueAccount,
    kind: Incident,
    found: Mapping[str, str],
    now: datetime,
) -> None:
    """Put findings before a human: an event on the position, if there is one, and an alert.

    A finding that stays as it is gets no second event.
    """
    if not found:
        return
    is_difference = kind is Incident.RECONCILIATION
    event = PositionEvent.DIFFERS_FROM_VENUE if is_difference else PositionEvent.UNKNOWN_ORDERS_REST
    told = {alert.incident: alert.detail for alert in open_alerts(system)}
    with system.engine.begin() as conn:
        for position in store.open_positions(conn, account_ids=[account.id]):
            detail = found.get(position.token)
            if detail and told.get(kind.of(account.id, position.token)) != detail:
                store.add_event(
                    conn,
                    position.id,
                    kind=event,
                    detail=detail,
                    evidence={"size": position.size},
                    at=now,
                )
    for token, detail in found.items():
        raise_alert(
            system,
            now,
            incident=kind.of(account.id, token),
            severity=Severity.CRITICAL if is_difference else Severity.WARNING,
            title=f"{token} differs from the venue"
            if is_difference
            else f"Unknown orders rest in {token}",
            detail=detail,
        )


def _close_settled_alerts(system: System, compared: Sequence[Compared], now: datetime) -> None:
    """Close the alerts of what is settled; of an account that could not be read nothing is known."""
    read = {str(item.watched.account.id) for item in compared if item.resting is not None}
    standing = {incident for item in compared for incident in item.incidents}
    for alert in open_alerts(system):
        kind, _, place = alert.incident.partition(":")
        is_ours = kind in set(_KINDS) and place.partition(":")[0] in read
        if is_ours and alert.incident not in standing:
            close_alert(system, now, alert.incident)
