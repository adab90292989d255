"""What accounts can do now, as the venues say."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import RemoteError
from agentwhere_core.domain.routing import FundsAt
from agentwhere_core.domain.trade import VenueAccount
from agentwhere_core.tracing import carried
from agentwhere_store import open_orders, positions

if TYPE_CHECKING:
    from agentwhere_core.venues.protocol import Execution
    from agentwhere_flow.report import Tally
    from agentwhere_flow.system import System


def read_funds(
    system: System,
    unhealthy: Collection[Venue],
    accounts: Sequence[VenueAccount],
    now: datetime,
    tally: Tally,
) -> tuple[dict[UUID, dict[Venue, FundsAt]], set[UUID]]:
    """Ask the venues what each account can do; return that by deployment, and the deployments that must wait.

    An account that cannot be read is no reason to trade somewhere else: its deployment waits for the next tick, until
    the venue is found critical.
    """
    readable = [
        (account, adapter)
        for account in accounts
        if account.venue not in unhealthy
        and (adapter := system.execution(account.venue)) is not None
    ]

    def read(asked: tuple[VenueAccount, Execution]) -> FundsAt | RemoteError:
        account, adapter = asked
        try:
            state = adapter.account_state(account, now)
        except RemoteError as error:
            return error
        with system.engine.begin() as conn:
            positions.save_account_state(conn, account.id, state)
        return FundsAt(
            equity_usd=state.equity_usd,
            free_margin_usd=state.free_margin_usd,
            open_tokens=frozenset(position.token for position in state.positions),
        )

    with ThreadPoolExecutor(max_workers=system.settings.execution_concurrency) as pool:
        answers = list(pool.map(carried(read), readable))
    with system.engine.begin() as conn:
        pending = open_orders.pending_tokens(conn, [account.id for account, _ in readable])
    funds: dict[UUID, dict[Venue, FundsAt]] = {}
    unread: set[UUID] = set()
    for (account, _), answer in zip(readable, answers, strict=True):
        if isinstance(answer, RemoteError):
            unread.add(account.deployment_id)
            tally.problems.append(
                f"signals of one deployment wait: {account.venue} account {account.address} cannot be read: {answer}"
            )
            continue
        funds.setdefault(account.deployment_id, {})[account.venue] = FundsAt(
            equity_usd=answer.equity_usd,
            free_margin_usd=answer.free_margin_usd,
            open_tokens=answer.open_tokens,
            pending_tokens=pending.get(account.id, frozenset()),
        )
    return funds, unread
