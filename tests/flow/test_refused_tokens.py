"""Entries that must not meet what is already there: orders of others, and positions that are not followed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agentwhere_core.domain.enums import OrderPurpose, OrderSide, Venue
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.outside import Outsider, outsider
from tests.flow.scenes import place_signal
from tests.flow.world import rows, utc_now

pytestmark = pytest.mark.timeout(120)

VENUES = pytest.mark.parametrize("venue", [Venue.HYPERLIQUID, Venue.LIGHTER, Venue.OSTIUM])


@pytest.fixture
def still(desk: System, sim: Simulator) -> System:
    """A system whose prices hold still."""
    sim.control("prices", BTC="100000", ETH="4000")
    return desk


def signal(system: System, token: str, venue: Venue) -> None:
    place_signal(system, token, deployment="bold", venue=venue)
    execute_orders(system, utc_now())


def entries(system: System, token: str) -> list[tuple[str, str | None]]:
    query = """SELECT state, reason FROM agentwhere.orders
               WHERE purpose = 'ENTRY' AND token_symbol = :token ORDER BY id"""
    return rows(system, query, token=token)


def hold_since_before_the_registration(system: System, sim: Simulator, venue: Venue) -> Outsider:
    """Open ETH by hand, then let the account be registered, and enter BTC there."""
    hand = outsider(system, venue, "ETH")
    hand.prepare()
    quote = hand.adapter.quotes([hand.market], utc_now())["ETH"]
    size, _ = hand.adapter.entry(hand.market, OrderSide.BUY, Decimal(2000), quote, Decimal(100))
    hand.trade(size, closes=False)
    sim.control("clock", advance_s=3600)
    registered = """UPDATE agentwhere.venue_accounts
                    SET created_at = created_at + interval '50 min' RETURNING 1"""
    rows(system, registered)
    signal(system, "BTC", venue)
    monitor_positions(system, utc_now())
    return hand


def test_no_entry_where_an_order_of_somebody_else_rests(still: System) -> None:
    hand = outsider(still, Venue.HYPERLIQUID, "ETH")
    hand.trade(Decimal(1), closes=False)
    hand.stop(Decimal(1), Decimal(3000))
    hand.trade(-hand.held(), closes=True)
    assert set(hand.resting()) == {OrderPurpose.STOP_LOSS}

    signal(still, "ETH", Venue.HYPERLIQUID)

    assert entries(still, "ETH") == [("CANCELLED", "ORDERS_RESTING")]
    assert hand.held() == 0


@VENUES
def test_a_token_held_since_before_the_registration_is_refused_until_it_was_seen_flat(
    still: System, sim: Simulator, venue: Venue
) -> None:
    hand = hold_since_before_the_registration(still, sim, venue)
    signal(still, "ETH", venue)
    assert entries(still, "ETH") == []
    hand.trade(-hand.held(), closes=True)

    signal(still, "ETH", venue)

    assert entries(still, "ETH") == [("CANCELLED", "TOKEN_NOT_FOLLOWED")]
    assert hand.held() == 0
    monitor_positions(still, utc_now())
    signal(still, "ETH", venue)
    hand.wait_until(lambda: hand.held() != 0)
    assert len(entries(still, "ETH")) == 2
