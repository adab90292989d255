"""Keep the open positions of all accounts protected at their venues (X3), and close the alerts of those that are."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import ProtectionState
from agentwhere_core.domain.events import Incident
from agentwhere_core.domain.trade import AccountState, RestingOrder, VenueAccount
from agentwhere_core.execution.protection import IN_DEBT
from agentwhere_core.tracing import carried
from agentwhere_flow.alerts import close_alert, open_alerts
from agentwhere_flow.guard import Watch, guard_account
from agentwhere_flow.ledger import Desk
from agentwhere_store import markets as market_store
from agentwhere_store import open_orders
from agentwhere_store import positions as store
from agentwhere_store.leases import Lease

if TYPE_CHECKING:
    from agentwhere_flow.report import Tally
    from agentwhere_flow.system import System


@dataclass(frozen=True, slots=True)
class AccountLook:
    """One account as its venue showed it just now."""

    account: VenueAccount
    state: AccountState
    resting: tuple[RestingOrder, ...]


def protect_accounts(
    system: System, held: Lease, looks: Sequence[AccountLook], now: datetime, tally: Tally
) -> None:
    """Bring the protection of all these accounts to what their positions owe, accounts side by side."""
    if not system.settings.may_send:
        return
    with system.engine.begin() as conn:
        accounts = [look.account.id for look in looks]
        positions = store.open_positions(conn, account_ids=accounts)
        tokens = {one.token for look in looks for one in look.resting}
        tokens |= {position.token for position in positions}
        markets = {(m.venue, m.token): m for m in market_store.markets(conn, tokens=tokens)}
        held_ids = [position.id for position in positions]
        exits = open_orders.exits_of(conn, held_ids, now)
        closing = open_orders.closed_at_venue(conn, held_ids, now)
    closing |= {position_id for position_id, found in exits.items() if found.is_pending}

    def protect(look: AccountLook) -> list[str]:
        adapter = system.execution(look.account.venue)
        if adapter is None:
            return []
        desk = Desk(system, held, adapter, look.account)
        return guard_account(Watch(desk, look.state, look.resting, markets, closing, now))

    with ThreadPoolExecutor(max_workers=system.settings.execution_concurrency) as pool:
        for problems in pool.map(carried(protect), looks):
            tally.problems += problems
    _close_settled_alerts(system, now)


def _close_settled_alerts(system: System, now: datetime) -> None:
    """Close the alerts of positions that are protected again, or closed since the tick before."""
    ours = {
        UUID(position_id): alert.incident
        for alert in open_alerts(system)
        for kind, _, position_id in [alert.incident.partition(":")]
        if kind == Incident.PROTECTION
    }
    if not ours:
        return
    with system.engine.begin() as conn:
        in_debt = {
            position.id
            for position in store.open_positions(conn, ids=ours.keys())
            if position.protection in IN_DEBT or position.protection is ProtectionState.CLOSING
        }
    for position_id, incident in ours.items():
        if position_id not in in_debt:
            close_alert(system, now, incident)
