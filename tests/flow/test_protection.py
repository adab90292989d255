"""No position stays unprotected, nothing of ours is left behind, and what is not ours is left alone."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from agentwhere_core.domain.enums import OrderPurpose, Side, Venue
from agentwhere_flow.alerts import open_alerts
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from agentwhere_flow.views import list_positions
from agentwhere_sim.testing import Simulator
from tests.flow.outside import Outsider, outsider
from tests.flow.scenes import place_signal
from tests.flow.world import rows, utc_now

STOP, TARGET = OrderPurpose.STOP_LOSS, OrderPurpose.TAKE_PROFIT
LATER = timedelta(seconds=300)


@pytest.fixture
def hand(desk: System, sim: Simulator) -> Outsider:
    """The hand at Hyperliquid, where prices hold still."""
    sim.control("prices", BTC="100000", ETH="4000", SOL="200")
    return outsider(desk, Venue.HYPERLIQUID, "BTC")


def enter(system: System, token: str = "BTC", **signal: Any) -> None:
    place_signal(system, token, deployment="bold", **signal)
    assert execute_orders(system, utc_now()).rows_out == 1


def shown(system: System) -> dict[str, Any]:
    """Return what is shown of the only position."""
    [position] = list_positions(system, include_closed=True, limit=9)
    return position


def test_a_position_is_protected_by_the_tick_that_opens_it(desk: System, hand: Outsider) -> None:
    enter(desk)
    found = shown(desk)
    assert (found["protection"], found["protect_by"]) == ("PROTECTED", None)
    assert found["resting_stop_price"] == found["stop_loss_price"] == 95_000
    assert found["resting_target_price"] == found["take_profit_price"] == 110_000


def test_a_missed_deadline_closes_the_position_and_alerts(
    desk: System, sim: Simulator, hand: Outsider
) -> None:
    enter(desk)
    hand.cancel(STOP)
    sim.fault("hyperliquid.exchange", "reject", count=None, match='"trigger"')
    seen_at = utc_now()

    report = monitor_positions(desk, seen_at)

    assert len(report.problems) == 1
    found = shown(desk)
    assert (found["protection"], found["status"]) == ("MISSING", "OPEN")
    assert seen_at < found["protect_by"] < seen_at + LATER
    assert [alert.title for alert in open_alerts(desk)] == ["BTC on HYPERLIQUID is unprotected"]

    monitor_positions(desk, seen_at + LATER)

    found = shown(desk)
    assert (found["status"], found["exit_reason"]) == ("CLOSED", "UNPROTECTED")
    assert hand.held() == 0
    assert hand.resting() == {}
    assert len(open_alerts(desk)) == 1
    monitor_positions(desk, seen_at + 2 * LATER)
    assert open_alerts(desk) == []


def test_not_to_know_what_rests_closes_nothing(
    desk: System, sim: Simulator, hand: Outsider
) -> None:
    enter(desk)
    sim.fault("hyperliquid.info", "5xx", count=None, match="frontendOpenOrders")

    report = monitor_positions(desk, utc_now() + LATER)

    assert len(report.problems) == 1
    assert (shown(desk)["status"], shown(desk)["protection"]) == ("OPEN", "PROTECTED")
    assert rows(desk, "SELECT count(*) FROM agentwhere.orders WHERE purpose = 'EXIT'") == [(0,)]


def test_a_signal_without_a_stop_gets_the_default_one(desk: System, hand: Outsider) -> None:
    enter(desk, stop_loss_pct=None)
    assert shown(desk)["protection"] == "PROTECTED"
    assert hand.resting()[STOP].trigger_price == 90_000


def test_orders_of_others_are_shown_and_left_alone(desk: System, hand: Outsider) -> None:
    enter(desk)
    hand.stop(hand.held(), Decimal(97_000))

    for _ in range(2):
        monitor_positions(desk, utc_now())

    assert [alert.title for alert in open_alerts(desk)] == ["Unknown orders rest in BTC"]
    stops = [o for o in hand.adapter.resting_orders(hand.account) if o.purpose is STOP]
    assert {stop.trigger_price for stop in stops} == {95_000, 97_000}
    kinds = rows(desk, "SELECT kind FROM agentwhere.position_events ORDER BY id")
    assert kinds == [("OPENED",), ("UNKNOWN_ORDERS_REST",)]


def test_a_stop_that_was_lost_in_an_unclear_answer_is_not_placed_twice(
    desk: System, sim: Simulator, hand: Outsider
) -> None:
    enter(desk)
    hand.cancel(STOP)
    sim.fault("hyperliquid.exchange", "drop_after", match='"trigger"')

    monitor_positions(desk, utc_now())
    assert shown(desk)["protection"] == "PENDING"
    monitor_positions(desk, utc_now())

    assert shown(desk)["protection"] == "PROTECTED"
    assert hand.resting().keys() == {STOP, TARGET}


def test_of_two_opposite_signals_one_becomes_a_position(desk: System, hand: Outsider) -> None:
    first = place_signal(desk, "BTC", deployment="bold")
    second = place_signal(desk, "BTC", deployment="bold", side=Side.SHORT)

    for _ in range(2):
        execute_orders(desk, utc_now())

    query = """SELECT signal_id, state, reason FROM agentwhere.orders
               WHERE purpose = 'ENTRY' ORDER BY created_at"""
    assert rows(desk, query) == [
        (first.id, "FILLED", None),
        (second.id, "CANCELLED", "POSITION_EXISTS"),
    ]
    assert shown(desk)["side"] == "LONG"


def test_a_position_older_than_the_registration_is_not_adopted(
    desk: System, sim: Simulator, hand: Outsider
) -> None:
    other = outsider(desk, Venue.HYPERLIQUID, "SOL")
    other.trade(Decimal(5), closes=False)
    sim.control("clock", advance_s=3600)
    change = "UPDATE agentwhere.venue_accounts SET created_at = created_at + interval '50 min' RETURNING 1"
    rows(desk, change)
    enter(desk)

    assert monitor_positions(desk, utc_now()).problems == ()

    assert shown(desk)["token"] == "BTC"
    titles = ["SOL was held before the account was registered"]
    assert [alert.title for alert in open_alerts(desk)] == titles
    signal = place_signal(desk, "SOL", deployment="bold", venue=Venue.HYPERLIQUID, route=False)
    assert signal.token == "SOL"
    other.trade(Decimal(-2), closes=True)
    monitor_positions(desk, utc_now())
    assert [alert.title for alert in open_alerts(desk)] == titles
    other.trade(Decimal(-3), closes=True)
    monitor_positions(desk, utc_now())
    assert open_alerts(desk) == []
    assert shown(desk)["token"] == "BTC"


def test_contradictory_fills_stop_their_token_alone(
    desk: System, sim: Simulator, hand: Outsider
) -> None:
    enter(desk)
    enter(desk, "ETH")
    rename = (
        "UPDATE agentwhere.fills SET market_name = :name WHERE token_symbol = 'BTC' RETURNING 1"
    )
    rows(desk, rename, name="kBTC")
    hand.trade(-(hand.held() / 2).quantize(Decimal("0.0001")), closes=True)
    sim.control("prices", ETH="4500")

    report = monitor_positions(desk, utc_now())

    query = "SELECT token_symbol, status FROM agentwhere.positions ORDER BY 1"
    assert rows(desk, query) == [("BTC", "OPEN"), ("ETH", "CLOSED")]
    assert [alert.title for alert in open_alerts(desk)] == [
        "BTC is not followed: its fills contradict each other"
    ]
    assert any("BTC" in problem for problem in report.problems)
    rows(desk, rename, name="BTC")
    monitor_positions(desk, utc_now())
    assert open_alerts(desk) == []
    [(size,)] = rows(desk, "SELECT size FROM agentwhere.positions WHERE status = 'OPEN'")
    assert size == hand.held()
