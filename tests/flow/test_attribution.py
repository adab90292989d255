"""Why a position ended is told by what ended it, however late its fill is listed, and whoever else was at it."""

from __future__ import annotations

from typing import Any

import pytest

from agentwhere_core.domain.enums import Venue
from agentwhere_flow.alerts import open_alerts
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.outside import Outsider, outsider
from tests.flow.scenes import allow_unprotected, place_signal
from tests.flow.world import rows, utc_now

pytestmark = pytest.mark.timeout(120)

FALSE_ALARMS = {
    "PROTECTION_MISSING",
    "PROTECTION_REFUSED",
    "CLOSED_OUTSIDE",
    "REDUCED_OUTSIDE",
    "DIFFERS_FROM_VENUE",
}


@pytest.fixture
def hand(desk: System, sim: Simulator) -> Outsider:
    """The hand at Ostium, where a subgraph tells of fills later than the chain does."""
    sim.control("prices", XAU="4000")
    return outsider(desk, Venue.OSTIUM, "XAU")


def enter(hand: Outsider, **signal: Any) -> None:
    place_signal(hand.system, "XAU", deployment="bold", venue=Venue.OSTIUM, **signal)
    execute_orders(hand.system, utc_now())
    hand.wait_until(lambda: hand.held() != 0)


def let_the_subgraph_stand(hand: Outsider, sim: Simulator) -> None:
    """Stop the subgraph at what it shows now."""
    sim.fault("ostium", "subgraph_late", count=None)
    assert hand.held() != 0


def ended(system: System) -> tuple[Any, ...]:
    [found] = rows(system, "SELECT status, exit_reason FROM agentwhere.positions")
    return found


def told(system: System) -> set[str]:
    return {kind for (kind,) in rows(system, "SELECT kind FROM agentwhere.position_events")}


@pytest.mark.parametrize(
    ("price", "reason"), [("4440", "TAKE_PROFIT"), ("3760", "STOP_LOSS")], ids=["target", "stop"]
)
def test_a_price_that_was_hit_is_the_cause_although_its_fill_is_listed_ticks_later(
    hand: Outsider, sim: Simulator, price: str, reason: str
) -> None:
    enter(hand)
    monitor_positions(hand.system, utc_now())
    let_the_subgraph_stand(hand, sim)
    sim.control("prices", XAU=price)
    for _ in range(2):
        monitor_positions(hand.system, utc_now())
        assert ended(hand.system)[0] == "OPEN"

    sim.http.delete("/control/faults").raise_for_status()
    monitor_positions(hand.system, utc_now())

    assert ended(hand.system) == ("CLOSED", reason)
    assert f"CLOSED_{reason}" in told(hand.system)
    assert not FALSE_ALARMS & told(hand.system)
    assert open_alerts(hand.system) == []


@pytest.mark.parametrize("is_late", [False, True], ids=["in time", "late"])
def test_a_target_that_is_hit_while_our_own_close_waits_is_the_cause(
    hand: Outsider, sim: Simulator, is_late: bool
) -> None:
    enter(hand, max_holding_h="0")
    sim.fault("ostium", "keeper_dead")
    monitor_positions(hand.system, utc_now())
    assert rows(hand.system, "SELECT state FROM agentwhere.orders WHERE purpose = 'EXIT'") == [
        ("ACKED",)
    ]
    if is_late:
        let_the_subgraph_stand(hand, sim)
    sim.control("prices", XAU="4440")
    if is_late:
        monitor_positions(hand.system, utc_now())
        sim.http.delete("/control/faults").raise_for_status()
    monitor_positions(hand.system, utc_now())

    assert ended(hand.system) == ("CLOSED", "TAKE_PROFIT")
    assert not FALSE_ALARMS & told(hand.system)


def test_a_target_that_the_venue_set_by_itself_is_no_close_by_a_stranger(
    hand: Outsider, sim: Simulator
) -> None:
    allow_unprotected(hand.system, "bold")
    enter(hand, stop_loss_pct=None, take_profit_pct=None)
    sim.control("prices", XAU="24000")

    monitor_positions(hand.system, utc_now())

    assert ended(hand.system) == ("CLOSED", "TAKE_PROFIT")


def test_our_own_close_whose_answer_was_lost_is_no_close_by_a_stranger(
    hand: Outsider, sim: Simulator
) -> None:
    enter(hand, max_holding_h="0")
    sim.fault("ostium", "drop_after", match="eth_sendRawTransaction")
    sim.fault("ostium", "5xx", count=None, match="eth_getTransactionReceipt")
    monitor_positions(hand.system, utc_now())
    hand.wait_until(lambda: hand.held() == 0)

    monitor_positions(hand.system, utc_now())

    assert ended(hand.system)[0] == "OPEN"
    sim.http.delete("/control/faults").raise_for_status()
    monitor_positions(hand.system, utc_now())
    assert ended(hand.system) == ("CLOSED", "MAX_HOLDING_TIME")
    assert not FALSE_ALARMS & told(hand.system)
    assert open_alerts(hand.system) == []


def test_a_close_that_filled_is_not_sent_again_while_its_fill_is_not_listed(
    hand: Outsider, sim: Simulator
) -> None:
    enter(hand, max_holding_h="0")
    let_the_subgraph_stand(hand, sim)
    for _ in range(3):
        monitor_positions(hand.system, utc_now())

    orders = "SELECT state, attempt FROM agentwhere.orders WHERE purpose = 'EXIT'"
    assert rows(hand.system, orders) == [("FILLED", 1)]
    sim.http.delete("/control/faults").raise_for_status()
    assert monitor_positions(hand.system, utc_now()).problems == ()
    assert ended(hand.system) == ("CLOSED", "MAX_HOLDING_TIME")
    assert not FALSE_ALARMS & told(hand.system)
