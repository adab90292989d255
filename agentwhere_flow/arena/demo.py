"""The arena that a first start shows: three models and the baselines, on simulated Lighter, invoked every minute."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_core.arena.values import BASELINE_PREFIX
from agentwhere_core.domain.enums import Venue
from agentwhere_flow.arena.registry import NewModel, add_model
from agentwhere_flow.report import Tally, step
from agentwhere_flow.simulated import address_of, ensure_funds, open_account, require_simulation
from agentwhere_store import deployments as deployment_store
from agentwhere_store.arena import models as store
from agentwhere_store.leases import lease

if TYPE_CHECKING:
    from uuid import UUID

    from agentwhere_core.domain.trade import VenueAccount
    from agentwhere_flow.system import System

MARKETS = ("BTC", "ETH", "SOL")
CAPITAL_USD = Decimal(10_000)
INTERVAL_S = 60
LEVERAGE = Decimal(3)
BUDGET_USD_PER_DAY = Decimal(5)

_LEASE = "arena demo"
_LEASE_WAIT_S = 60


@dataclass(frozen=True, slots=True)
class _Trader:
    """A model of the demonstration."""

    name: str
    model: str


TRADERS = (
    _Trader("Trend follower", "sim/trend"),
    _Trader("Contrarian", "sim/contrarian"),
    _Trader("Erratic", "sim/erratic"),
    _Trader("Slow learner", "sim/learner"),
    _Trader("Baseline: do nothing", f"{BASELINE_PREFIX}nothing"),
    *(_Trader(f"Baseline: hold {token}", f"{BASELINE_PREFIX}hold-{token}") for token in MARKETS),
    _Trader("Baseline: equal weight", f"{BASELINE_PREFIX}equal-weight"),
    _Trader("Baseline: MACD", f"{BASELINE_PREFIX}macd"),
)


@step("arena_demo")
def create_arena_demo(system: System, now: datetime) -> Tally:
    """Add the demonstration's models with funded accounts; those that are there stay as they are.

    Raises
    ------
    ConfigurationError
        If the profile is not ``sim``.
    UnreachableError
        If the simulator is not running.
    """
    require_simulation(system)
    tally = Tally(rows_in=len(TRADERS))
    with lease(system.engine, _LEASE, system.run_id or "demo", now, wait_s=_LEASE_WAIT_S):
        with system.engine.begin() as conn:
            known = {model.name for model in store.all_models(conn)}
        for trader in TRADERS:
            if trader.name not in known:
                add_simulated_model(system, now, new_model(trader.name, trader.model))
                tally.table.append({"made": "model", "name": trader.name, "detail": trader.model})
        tally.rows_out = len(tally.table)
        with system.engine.begin() as conn:
            ours = store.agent_ids(conn)
            deployments = deployment_store.deployments(conn, ours)
        for deployment in deployments:
            ensure_funds(system, deployment, now)
    return tally


def new_model(name: str, openrouter_model: str) -> NewModel:
    """Return what a model of the demonstration is added with."""
    return NewModel(
        name=name,
        openrouter_model=openrouter_model,
        markets=MARKETS,
        capital_usd=CAPITAL_USD,
        leverage=dict.fromkeys(MARKETS, LEVERAGE),
        interval_s=INTERVAL_S,
        budget_usd_per_day=BUDGET_USD_PER_DAY,
    )


def add_simulated_model(system: System, now: datetime, new: NewModel) -> None:
    """Add a model with an account that is opened at the simulated venue, and funded with its capital.

    Raises
    ------
    ConfigurationError
        If the profile is not ``sim``, or a value makes no sense.
    """
    require_simulation(system)
    key_name = "arena-" + re.sub(r"[^a-z0-9]+", "-", new.name.lower()).strip("-")
    wallet = address_of(system, key_name)
    venues = system.settings.venues if new.venue is Venue.MULTI else (new.venue,)

    def accounts(deployment_id: UUID) -> list[VenueAccount]:
        return [open_account(system, venue, deployment_id, key_name) for venue in venues]

    model = add_model(system, now, replace(new, wallet=wallet), accounts)
    with system.engine.begin() as conn:
        deployments = deployment_store.deployments(conn, [model.agent_id])
    for deployment in deployments:
        ensure_funds(system, deployment, now)
