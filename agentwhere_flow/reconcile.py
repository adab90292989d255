"""Reconciliation: bring every account's fills home, and compare what we hold with what the venue says.

A difference is looked at twice, then put before a human: an event on the position and an alert, which is closed when
the difference is gone. A failed query is never read as "flat".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import Severity
from agentwhere_core.domain.errors import AgentWhereError
from agentwhere_core.domain.trade import AccountState, Position, VenueAccount
from agentwhere_flow.alerts import close_alert, open_alerts, raise_alert
from agentwhere_flow.fills import sync_account, sync_cash_flows
from agentwhere_store import fills as fill_store
from agentwhere_store import positions as store
from agentwhere_store.fills import WatchedAccount

if TYPE_CHECKING:
    from agentwhere_flow.report import Tally
    from agentwhere_flow.system import System

_KIND = "reconciliation"


@dataclass(frozen=True, slots=True)
class Compared:
    """One account after its fills were brought home: what the venue holds, and what changed with us."""

    watched: WatchedAccount
    state: AccountState | None
    changed: tuple[Position, ...]
    problem: str | None
    differing: frozenset[str] = frozenset()


def compare_accounts(system: System, now: datetime, tally: Tally) -> list[Compared]:
    """Bring home fills of all accounts that trade, and compare their positions with the venue's."""
    executing = [venue for venue in system.venues if system.execution(venue) is not None]
    with system.engine.begin() as conn:
        watched = fill_store.watched_accounts(conn, executing)
    with ThreadPoolExecutor(max_workers=system.settings.execution_concurrency) as pool:
        compared = list(pool.map(lambda item: compare_account(system, item, now), watched))
    for item in compared:
        if item.problem:
            tally.problems.append(item.problem)
    _close_settled_alerts(system, compared, now)
    return compared


def compare_account(system: System, watched: WatchedAccount, now: datetime) -> Compared:
    """Sync one account; where it then differs from the venue, look once more before it is reported."""
    adapter = system.execution(watched.account.venue)
    if adapter is None:
        return Compared(watched, None, (), None)
    try:
        changed = sync_account(system, adapter, watched, now)
        state = adapter.account_state(watched.account, now)
        if _differences(system, watched.account, state):
            changed += sync_account(system, adapter, watched, now)
            state = adapter.account_state(watched.account, now)
    except AgentWhereError as error:
        # A failed query is never read as "flat": the account stays as it is, and the next tick asks again.
        return Compared(
            watched, None, (), f"{watched.account.venue} account {watched.account.address}: {error}"
        )
    with system.engine.begin() as conn:
        store.save_account_state(conn, watched.account.id, state)
    problems = []
    try:
        sync_cash_flows(system, adapter, watched, now)
    except AgentWhereError as error:
        problems.append(f"funding of {watched.account.address} is not booked yet: {error}")
    differences = _differences(system, watched.account, state)
    _report_differences(system, watched, differences, now)
    problem = "; ".join([*problems, *differences.values()]) or None
    return Compared(watched, state, tuple(changed), problem, frozenset(differences))


def _differences(system: System, account: VenueAccount, state: AccountState) -> dict[str, str]:
    """Return, by token, how our open positions differ from the venue's."""
    with system.engine.begin() as conn:
        ours = {
            p.token: p.size * p.side.sign
            for p in store.open_positions(conn, account_ids=[account.id])
        }
    theirs = {p.token: p.size * p.side.sign for p in state.positions}
    return {
        token: (
            f"{account.venue} account {account.address} holds {theirs.get(token, Decimal(0))} {token}, "
            f"our fills say {ours.get(token, Decimal(0))}: compare its fills at the venue before trading on"
        )
        for token in sorted(ours.keys() | theirs.keys())
        if ours.get(token) != theirs.get(token)
    }


def _report_differences(
    system: System, watched: WatchedAccount, differences: Mapping[str, str], now: datetime
) -> None:
    """Put each difference before a human: an event on the position, if there is one, and an alert.

    A difference that stays as it is gets no second event.
    """
    if not differences:
        return
    told = {alert.incident: alert.detail for alert in open_alerts(system)}
    account_id = watched.account.id
    with system.engine.begin() as conn:
        for position in store.open_positions(conn, account_ids=[account_id]):
            detail = differences.get(position.token)
            if detail and told.get(_incident(account_id, position.token)) != detail:
                store.add_event(
                    conn,
                    position.id,
                    kind="DIFFERS_FROM_VENUE",
                    detail=detail,
                    evidence={"size": position.size},
                    at=now,
                )
    for token, detail in differences.items():
        raise_alert(
            system,
            now,
            incident=_incident(account_id, token),
            severity=Severity.CRITICAL,
            title=f"{token} differs from the venue",
            detail=detail,
        )


def _close_settled_alerts(system: System, compared: Sequence[Compared], now: datetime) -> None:
    """Close the alerts of differences that are gone; of an account that could not be read nothing is known."""
    read = {str(item.watched.account.id) for item in compared if item.state is not None}
    differing = {
        _incident(item.watched.account.id, token) for item in compared for token in item.differing
    }
    for alert in open_alerts(system):
        kind, _, place = alert.incident.partition(":")
        if kind == _KIND and place.partition(":")[0] in read and alert.incident not in differing:
            close_alert(system, now, alert.incident)


def _incident(account_id: UUID, token: str) -> str:
    return f"{_KIND}:{account_id}:{token}"
