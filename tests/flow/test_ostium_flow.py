"""Trades on Ostium through routing, ledger and monitor: settled later, killed anywhere, reclaimed if never settled."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentwhere_core.domain.enums import Venue
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.markets import sync_markets
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.profiles import endpoints
from agentwhere_flow.report import StepReport
from agentwhere_flow.settings import Profile, Settings
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.scenes import place_signal
from tests.flow.test_crashes import (
    CRASHES,
    Place,
    kill_at,
)
from tests.flow.world import rows, utc_now

pytestmark = pytest.mark.timeout(180)

BROADCAST = "eth_sendRawTransaction"
OSTIUM = Place(Venue.OSTIUM, "ostium", BROADCAST)


@pytest.fixture
def gold(desk: System, sim: Simulator) -> System:
    """A system whose bold deployment may spend its dollars at Ostium, and has a signal for gold."""
    sim.control("prices", XAU="4000", EUR="1.1")
    place_signal(desk, "EUR", deployment="bold", venue=Venue.OSTIUM, fund_percentage="1")
    execute_orders(desk, utc_now())
    place_signal(desk, "XAU", deployment="bold")
    return desk


def states(system: System, purpose: str = "ENTRY", token: str = "XAU") -> list[tuple[Any, ...]]:
    query = (
        "SELECT state, attempt FROM agentwhere.orders WHERE purpose = :purpose AND token_symbol = :token "
        "ORDER BY attempt"
    )
    return rows(system, query, purpose=purpose, token=token)


def at_venue(sim: Simulator, action: str = "Open", pair: int = 5) -> list[dict[str, Any]]:
    found = sim.http.get("/control/orders?venue=OSTIUM").json()["orders"]
    return [order for order in found if (order["action"], order["pair"]) == (action, pair)]


def position(system: System) -> tuple[Any, ...]:
    query = "SELECT side, size, status, exit_reason FROM agentwhere.positions WHERE token_symbol = 'XAU'"
    [found] = rows(system, query)
    return found


def test_gold_is_routed_to_ostium_and_filled_with_its_protection(
    gold: System, sim: Simulator
) -> None:
    assert execute_orders(gold, utc_now()).rows_out == 1
    assert states(gold) == [("FILLED", 1)]
    assert states(gold, "STOP_LOSS") == [("ACKED", 1)]
    assert monitor_positions(gold, utc_now()).problems == ()
    side, size, status, _ = position(gold)
    assert (side, status) == ("LONG", "OPEN")
    assert size == Decimal(at_venue(sim)[0]["size"]) / 10**18


def test_a_stop_that_fired_at_the_venue_closes_the_position(gold: System, sim: Simulator) -> None:
    execute_orders(gold, utc_now())
    sim.control("prices", XAU="3700")
    monitor_positions(gold, utc_now())
    monitor_positions(gold, utc_now())
    _, size, status, _ = position(gold)
    assert (size, status) == (0, "CLOSED")
    assert states(gold, "STOP_LOSS") == [("FILLED", 1)]
    assert states(gold, "TAKE_PROFIT") == [("CANCELLED", 1)]


@pytest.mark.parametrize("name", CRASHES)
def test_an_entry_killed_anywhere_ends_as_one_trade(
    gold: System, sim: Simulator, tmp_path: Path, name: str
) -> None:
    kill_at(CRASHES[name], gold, sim, OSTIUM, ("execution", "execute_orders"))
    settle(gold)
    monitor_positions(gold, utc_now())
    assert states(gold) == [("FILLED", 1)]
    assert len(at_venue(sim)) == 1
    assert position(gold)[1] == Decimal(at_venue(sim)[0]["size"]) / 10**18


@pytest.mark.parametrize("name", CRASHES)
def test_an_exit_killed_anywhere_closes_once(
    desk: System, sim: Simulator, tmp_path: Path, name: str
) -> None:
    sim.control("prices", XAU="4000")
    place_signal(
        desk, "XAU", deployment="bold", stop_loss_pct=None, take_profit_pct=None, max_holding_h="0"
    )
    execute_orders(desk, utc_now())
    kill_at(CRASHES[name], desk, sim, OSTIUM, ("positions", "monitor_positions"))
    await_settlement(desk, "EXIT", monitor_positions)
    monitor_positions(desk, utc_now())
    assert states(desk, "EXIT") == [("FILLED", 1)]
    assert len(at_venue(sim, "Close")) == 1
    assert position(desk)[1:] == (0, "CLOSED", "MAX_HOLDING_TIME")


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "5xx", "malformed", "duplicate"])
def test_whatever_the_wire_does_there_is_one_trade(gold: System, sim: Simulator, kind: str) -> None:
    sim.fault("ostium", kind, match=BROADCAST)
    execute_orders(gold, utc_now())
    settle(gold)
    assert states(gold) == [("FILLED", 1)]
    assert len(at_venue(sim)) == 1


def settle(system: System) -> None:
    """Run the ticks that follow an entry until the keeper has had its moment."""
    await_settlement(system, "ENTRY", execute_orders)


def await_settlement(
    system: System, purpose: str, tick: Callable[[System, datetime], StepReport]
) -> None:
    """Run ticks until the keeper has settled the order of this purpose."""
    for _ in range(25):
        tick(system, utc_now())
        if states(system, purpose)[0][0] != "ACKED":
            return
        time.sleep(0.2)


def hasty(system: System) -> System:
    """A system that gives an order up after a second."""
    settings = {"order_deadline_s": 1, "order_absence_margin_s": 0}
    return System(system.settings.model_copy(update=settings))


def test_a_transaction_without_a_block_is_made_void_before_another_attempt(
    gold: System, sim: Simulator
) -> None:
    system = hasty(gold)
    sim.fault("ostium", "stuck")
    execute_orders(system, utc_now())
    assert states(gold) == [("REJECTED", 1)]
    execute_orders(system, utc_now())
    assert states(gold) == [("REJECTED", 1), ("FILLED", 2)]
    assert len(at_venue(sim)) == 1
    system.close()


def test_an_entry_that_the_keeper_left_is_reclaimed(gold: System, sim: Simulator) -> None:
    system = hasty(gold)
    sim.fault("ostium", "keeper_dead")
    execute_orders(system, utc_now())
    assert states(gold) == [("ACKED", 1)]
    sim.control("clock", advance_s=30)
    time.sleep(1.2)
    execute_orders(system, utc_now())
    execute_orders(system, utc_now())
    assert states(gold)[0] == ("CANCELLED", 1)
    assert at_venue(sim)[0]["state"] == "timed out"
    system.close()


def test_eurusd_on_a_saturday_is_refused_and_says_when_it_opens(
    desk: System, sim: Simulator
) -> None:
    sim.control("clock", now="2026-11-21T12:00:00+00:00")
    sim.control("hours", mode="real")
    synced_at = utc_now()
    sync_markets(desk, synced_at, venue=Venue.OSTIUM)
    place_signal(desk, "EUR", deployment="bold")
    [(availability,)] = rows(
        desk, "SELECT venue_availability FROM agentwhere.venue_routing_history"
    )
    ostium = next(check for check in availability if check["venue"] == "OSTIUM")
    assert ostium["reason"] == "MARKET_CLOSED"
    # From Saturday noon in London to Sunday 17:00 in New York it is 34 hours.
    assert f"until {synced_at + timedelta(hours=34):%Y-%m-%d %H:}" in ostium["detail"]


def test_mainnet_stays_off_until_it_is_switched_on(tmp_path: Path) -> None:
    live = Settings(home=tmp_path, profile=Profile.LIVE)
    assert endpoints(live).ostium_chain is None
    switched_on = endpoints(live.model_copy(update={"ostium_mainnet": "yes"})).ostium_chain
    assert switched_on is not None
    assert switched_on.chain_id == 42_161
    for profile, chain_id in ((Profile.TESTNET, 421_614), (Profile.PAPER, 412_346)):
        chain = endpoints(live.model_copy(update={"profile": profile})).ostium_chain
        assert chain is not None
        assert chain.chain_id == chain_id
