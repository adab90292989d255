"""An entry that a thin book fills in part: the rest is gone, and what was filled is a position like any other.

Ostium has no book: an order there is carried out whole, or cancelled whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from agentwhere_core.domain.enums import OrderPurpose, Venue
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.outside import Outsider, outsider
from tests.flow.scenes import place_signal
from tests.flow.world import rows, utc_now

pytestmark = pytest.mark.timeout(120)

THIN = "MEGA"
STOP, TARGET = OrderPurpose.STOP_LOSS, OrderPurpose.TAKE_PROFIT
BOOKS = pytest.mark.parametrize("venue", [Venue.HYPERLIQUID, Venue.LIGHTER])


@pytest.fixture
def narrow(desk: System) -> Iterator[System]:
    """A system that takes no more of a book than its first prices."""
    system = System(desk.settings.model_copy(update={"max_slippage_bps": Decimal(5)}))
    yield system
    system.close()


def enter(system: System, venue: Venue) -> Outsider:
    """Let a signal meet a book that is too thin for it."""
    place_signal(system, THIN, deployment="bold", venue=venue, fund_percentage="25")
    hand = outsider(system, venue, THIN)
    execute_orders(system, utc_now())
    hand.wait_until(lambda: hand.held() != 0)
    return hand


@BOOKS
def test_what_was_filled_is_protected_and_the_rest_is_gone(
    narrow: System, sim: Simulator, venue: Venue
) -> None:
    sim.control("prices", MEGA="0.2")
    hand = enter(narrow, venue)

    for _ in range(2):
        assert monitor_positions(narrow, utc_now()).problems == ()

    [(state, size, filled)] = rows(
        narrow, "SELECT state, size, filled_size FROM agentwhere.orders WHERE purpose = 'ENTRY'"
    )
    assert 0 < filled < size
    assert state in {"FILLED", "CANCELLED"}
    held = hand.held()
    assert held == filled
    query = "SELECT size, status, protection FROM agentwhere.positions"
    assert rows(narrow, query) == [(held, "OPEN", "PROTECTED")]
    resting = hand.resting()
    assert set(resting) == {STOP, TARGET}
    assert {order.size for order in resting.values()} <= {None, held}


@BOOKS
def test_the_rest_is_never_bought_later(narrow: System, sim: Simulator, venue: Venue) -> None:
    sim.control("prices", MEGA="0.2")
    hand = enter(narrow, venue)
    held = hand.held()

    for _ in range(2):
        execute_orders(narrow, utc_now())
        monitor_positions(narrow, utc_now())

    assert hand.held() == held
    count = "SELECT count(*) FROM agentwhere.orders WHERE purpose = 'ENTRY'"
    assert rows(narrow, count) == [(1,)]


@BOOKS
def test_the_stop_of_a_part_closes_all_of_it(narrow: System, sim: Simulator, venue: Venue) -> None:
    sim.control("prices", MEGA="0.2")
    hand = enter(narrow, venue)
    monitor_positions(narrow, utc_now())
    sim.control("prices", MEGA="0.189")
    hand.wait_until(lambda: hand.held() == 0)

    monitor_positions(narrow, utc_now())

    query = "SELECT size, status, exit_reason FROM agentwhere.positions"
    assert rows(narrow, query) == [(0, "CLOSED", "STOP_LOSS")]
    monitor_positions(narrow, utc_now())
    assert hand.resting() == {}
