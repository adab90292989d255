"""Whatever happens to a position outside: one tick brings our state to the venue's, with an event that says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from agentwhere_core.domain.enums import OrderPurpose, Side, Venue
from agentwhere_flow.alerts import open_alerts
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.outside import Outsider, outsider
from tests.flow.scenes import allow_unprotected, place_signal
from tests.flow.world import rows, utc_now

pytestmark = pytest.mark.timeout(120)

STOP, TARGET = OrderPurpose.STOP_LOSS, OrderPurpose.TAKE_PROFIT


@dataclass(frozen=True)
class Scene:
    """One venue, the token that is traded there and its price, and another token to open by hand."""

    venue: Venue
    token: str
    price: int
    other: str

    def move(self, sim: Simulator, factor: str) -> None:
        """Set the token's price to a multiple of the one that it began with."""
        sim.control("prices", **{self.token: str(self.price * Decimal(factor))})


SCENES = [
    Scene(Venue.HYPERLIQUID, "BTC", 100_000, "ETH"),
    Scene(Venue.LIGHTER, "BTC", 100_000, "ETH"),
    Scene(Venue.OSTIUM, "XAU", 4_000, "EUR"),
]
VENUES = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.venue.value)


def close(scene: Scene, sim: Simulator, hand: Outsider) -> None:
    hand.trade(-hand.held(), closes=True)


def halve(scene: Scene, sim: Simulator, hand: Outsider) -> None:
    half = (hand.held() / 2).quantize(Decimal("0.0001"))
    hand.trade(-half, closes=True)


def reach_the_target(scene: Scene, sim: Simulator, hand: Outsider) -> None:
    scene.move(sim, "1.11")
    hand.wait_until(lambda: hand.held() == 0)


def lose_the_stop(scene: Scene, sim: Simulator, hand: Outsider) -> None:
    hand.cancel(STOP)


def liquidate(scene: Scene, sim: Simulator, hand: Outsider) -> None:
    scene.move(sim, "3.2")
    hand.wait_until(lambda: hand.held() == 0)


def open_another(scene: Scene, sim: Simulator, hand: Outsider) -> None:
    other = outsider(hand.system, scene.venue, scene.other)
    quote = other.adapter.quotes([other.market], utc_now())[scene.other]
    size, _ = other.adapter.entry(
        other.market, Side.LONG.opening, Decimal(500), quote, Decimal(100)
    )
    other.trade(size, closes=False)


def hold_for_hours(scene: Scene, sim: Simulator, hand: Outsider) -> None:
    sim.control("clock", advance_s=3 * 3600)
    if scene.venue is Venue.OSTIUM:
        # The cost of holding is paid there when something is closed.
        halve(scene, sim, hand)


@dataclass(frozen=True)
class Case:
    """What is done outside, and the events that one tick must write about it."""

    act: Callable[[Scene, Simulator, Outsider], None]
    events: tuple[str, ...]
    is_open: bool
    signal: dict[str, Any]


PLAIN: dict[str, Any] = {}
BARE_SHORT = {
    "side": Side.SHORT,
    "fund_percentage": "25",
    "stop_loss_pct": None,
    "take_profit_pct": None,
}
CASES = {
    "closed outside": Case(close, ("CLOSED_OUTSIDE",), False, PLAIN),
    "liquidated": Case(liquidate, ("LIQUIDATED",), False, BARE_SHORT),
    "half closed outside": Case(halve, ("REDUCED_OUTSIDE",), True, PLAIN),
    "opened outside": Case(open_another, ("OPENED_OUTSIDE",), True, PLAIN),
    "target hit at the venue": Case(reach_the_target, ("CLOSED_TAKE_PROFIT",), False, PLAIN),
    "stop lost at the venue": Case(
        lose_the_stop, ("PROTECTION_MISSING", "PROTECTION_PLACED"), True, PLAIN
    ),
    "funding paid": Case(hold_for_hours, ("FUNDING_BOOKED",), True, PLAIN),
}


@VENUES
@pytest.mark.parametrize("name", CASES)
def test_one_tick_brings_our_state_to_the_venues(
    desk: System, sim: Simulator, scene: Scene, name: str
) -> None:
    case = CASES[name]
    scene.move(sim, "1")
    sim.control("prices", ETH="4000", EUR="1.1")
    allow_unprotected(desk, "bold")
    place_signal(desk, scene.token, deployment="bold", venue=scene.venue, **case.signal)
    hand = enter(desk, scene)
    case.act(scene, sim, hand)

    report = monitor_positions(desk, utc_now())

    assert report.problems == ()
    told = dict(rows(desk, "SELECT kind, evidence FROM agentwhere.position_events"))
    for event in case.events:
        assert told[event], told
    assert positions(desk) == {
        (p.token, p.size * p.side.sign)
        for p in hand.adapter.account_state(hand.account, utc_now()).positions
    }
    assert (hand.held() != 0) == case.is_open
    resting = hand.resting()
    assert set(resting) == ({STOP, TARGET} if case.is_open else set())
    for order in resting.values():
        assert order.size in {None, abs(hand.held())}
    # What was repaired needs no repair, and nothing is told twice.
    before = rows(desk, "SELECT count(*) FROM agentwhere.position_events")
    assert monitor_positions(desk, utc_now()).problems == ()
    assert rows(desk, "SELECT count(*) FROM agentwhere.position_events") == before


@pytest.mark.parametrize("scene", SCENES[:2], ids=lambda scene: scene.venue.value)
def test_the_protection_of_a_position_that_was_added_to_outside_covers_all_of_it(
    desk: System, sim: Simulator, scene: Scene
) -> None:
    scene.move(sim, "1")
    place_signal(desk, scene.token, deployment="bold", venue=scene.venue)
    hand = enter(desk, scene)
    before = hand.held()
    hand.trade((before / 2).quantize(Decimal("0.001")), closes=False)

    assert monitor_positions(desk, utc_now()).problems == ()

    assert hand.held() > before
    assert positions(desk) == {(scene.token, hand.held())}
    assert ("INCREASED_OUTSIDE",) in rows(desk, "SELECT kind FROM agentwhere.position_events")
    resting = hand.resting()
    assert set(resting) == {STOP, TARGET}
    assert {order.size for order in resting.values()} <= {None, hand.held()}
    scene.move(sim, "0.94")
    hand.wait_until(lambda: hand.held() == 0)
    monitor_positions(desk, utc_now())
    assert positions(desk) == set()


def test_a_trade_added_outside_at_ostium_is_put_before_a_human(
    desk: System, sim: Simulator
) -> None:
    scene = SCENES[2]
    scene.move(sim, "1")
    place_signal(desk, scene.token, deployment="bold", venue=scene.venue)
    hand = enter(desk, scene)
    before = hand.held()
    hand.trade(before / 2, closes=False)

    report = monitor_positions(desk, utc_now())

    assert positions(desk) == {(scene.token, hand.held())}
    assert ("INCREASED_OUTSIDE",) in rows(desk, "SELECT kind FROM agentwhere.position_events")
    assert any("close that one by hand" in problem for problem in report.problems)
    assert [alert.title for alert in open_alerts(desk)] == ["XAU on OSTIUM is unprotected"]


def enter(system: System, scene: Scene) -> Outsider:
    """Carry out the signal, and wait until its position is ours and protected, or has waived that."""
    hand = outsider(system, scene.venue, scene.token)
    execute_orders(system, utc_now())
    hand.wait_until(lambda: hand.held() != 0)
    monitor_positions(system, utc_now())
    [(state,)] = rows(system, "SELECT protection FROM agentwhere.positions")
    assert state in {"PROTECTED", "WAIVED"}
    return hand


def positions(system: System) -> set[tuple[str, Decimal]]:
    """Return token and signed size of what we hold open."""
    query = """SELECT token_symbol, CASE side WHEN 'LONG' THEN size ELSE -size END
               FROM agentwhere.positions WHERE status = 'OPEN'"""
    return set(rows(system, query))
