"""What the arena's accounts are worth: after each invocation, and at marks of five minutes that all models share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.arena.values import TraderModel
from agentwhere_flow.arena.scene import read_accounts
from agentwhere_flow.report import Tally, step
from agentwhere_store.arena import models as model_store
from agentwhere_store.arena import portfolio as store
from agentwhere_store.arena.portfolio import Size

if TYPE_CHECKING:
    from agentwhere_flow.system import System

MARK_EVERY_S = 300


@step("portfolio_snapshots")
def mark_portfolios(system: System, now: datetime) -> Tally:
    """Record what every model's account is worth, once in each five minutes."""
    tally = Tally()
    begun = datetime.fromtimestamp(now.timestamp() // MARK_EVERY_S * MARK_EVERY_S, UTC)
    with system.engine.begin() as conn:
        known = model_store.all_models(conn)
        last = store.last_sized(conn)
    stale = [model for model in known if model.id not in last or last[model.id] < begun]
    tally.rows_in = len(known)
    tally.rows_out = size_accounts(system, stale, {}, tally) if stale else 0
    return tally


def size_accounts(
    system: System,
    models: Sequence[TraderModel],
    invocations: Mapping[UUID, UUID],
    tally: Tally,
) -> int:
    """Record what the accounts of ``models`` are worth now; ``invocations`` by model say which one led there."""
    now = system.clock()
    accounts = read_accounts(system, now, models, tally)
    sizes = [
        Size(
            model_id=model.id,
            total_value=accounts[model.id].equity_usd,
            available_cash=accounts[model.id].cash_usd,
            open_positions=accounts[model.id].open_positions,
            invocation_id=invocations.get(model.id),
        )
        for model in models
        if model.id in accounts
    ]
    with system.engine.begin() as conn:
        return store.save_sizes(conn, sizes, now)
