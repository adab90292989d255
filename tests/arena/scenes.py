"""Helpers of the arena's tests: models with funded accounts, and questions to their rows."""

from __future__ import annotations

from copy import copy
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from agentwhere_core.arena.values import TraderModel
from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.trade import VenueAccount
from agentwhere_flow.arena.registry import NewModel, add_model
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.world import rows, utc_now

CAPITAL = Decimal(10_000)


def enter(
    system: System,
    sim: Simulator,
    name: str,
    openrouter_model: str,
    *,
    markets: tuple[str, ...] = ("BTC", "ETH"),
    **options: Any,
) -> TraderModel:
    """Add a model with an account on the simulated Hyperliquid that holds its capital."""
    from eth_account import Account

    key = Account.create()
    system.secrets.put(f"arena-{name}", key.key.to_0x_hex())
    address = str(key.address).lower()
    sim.control("accounts", venue="HYPERLIQUID", address=address, usdc=str(CAPITAL))

    def accounts(deployment_id: UUID) -> list[VenueAccount]:
        return [
            VenueAccount(
                new_id(), deployment_id, Venue.HYPERLIQUID, address, address, f"arena-{name}"
            )
        ]

    given: dict[str, Any] = {
        "venue": Venue.HYPERLIQUID,
        "interval_s": 60,
        "leverage": {token: Decimal(3) for token in markets},
        **options,
    }
    new = NewModel(name, openrouter_model, markets, CAPITAL, **given)
    return add_model(system, utc_now(), new, accounts)


def calls(system: System, name: str) -> list[tuple[Any, ...]]:
    """Return (type, status, reason) of every tool call of a model, in order."""
    return rows(
        system,
        "SELECT c.tool_call_type, c.status, c.reason FROM agentwhere.tool_calls c "
        "JOIN agentwhere.invocations i ON i.id = c.invocation_id "
        "JOIN agentwhere.models m ON m.id = i.model_id WHERE m.name = :name "
        "ORDER BY i.number, c.ordinal",
        name=name,
    )


def states(system: System, name: str) -> list[tuple[Any, ...]]:
    """Return (state, reason) of every invocation of a model, in order."""
    return rows(
        system,
        "SELECT i.state, i.reason FROM agentwhere.invocations i "
        "JOIN agentwhere.models m ON m.id = i.model_id WHERE m.name = :name ORDER BY i.number",
        name=name,
    )


def later(system: System, minutes: float) -> System:
    """Return the same system some minutes later, by its own clock."""
    shift = timedelta(minutes=minutes)
    moved = copy(system)
    moved.clock = lambda: utc_now() + shift
    return moved
