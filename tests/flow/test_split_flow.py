"""A trade that is split has a leg at each venue: orders, protection and positions of its own (R3, SPLIT)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from agentwhere_core.domain.enums import RoutingStrategy, Venue
from agentwhere_core.domain.trade import RoutingConfig
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.regret import compute_regret
from agentwhere_flow.replays import replay_sample
from agentwhere_flow.routing import route_signals
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from agentwhere_store import routing as routing_store
from tests.flow.scenes import place_signal
from tests.flow.world import rows, utc_now

ENTRIES = """SELECT leg, venue, state, size * average_price, attempt, client_id, mid_price FROM agentwhere.orders
             WHERE purpose = 'ENTRY' AND signal_id = :id ORDER BY leg, attempt"""


@pytest.fixture(autouse=True)
def open_hours(sim: Simulator) -> None:
    """Keep every market open, whatever day the tests run on."""
    sim.control("hours", mode="open")


@pytest.fixture
def splitting(desk: System) -> System:
    """A system that splits between two order books, and whose accounts cannot bear the whole trade alone."""
    config = RoutingConfig((Venue.HYPERLIQUID, Venue.LIGHTER), RoutingStrategy.SPLIT, True)
    with desk.engine.begin() as conn:
        routing_store.put_routing_config(conn, None, config, utc_now(), author="a test")
    return desk


def bind_most(system: System, sim: Simulator) -> None:
    """Use up a part of each account, so that a trade of a quarter of the capital fits into none."""
    for token, share in (("ETH", "24.9"), ("SOL", "24.9"), ("DOGE", "24.9"), ("LINK", "10")):
        for venue in (Venue.HYPERLIQUID, Venue.LIGHTER):
            place_signal(
                system, token, deployment="bold", venue=venue, fund_percentage=share, route=False
            )
    route_signals(system, utc_now())
    execute_orders(system, utc_now())


def test_each_leg_is_sent_filled_protected_and_closed_by_itself(
    splitting: System, sim: Simulator
) -> None:
    bind_most(splitting, sim)
    signal = place_signal(splitting, "BTC", deployment="bold", fund_percentage="25")
    (decided,) = rows(
        splitting,
        """SELECT id, selected_venue, story FROM agentwhere.venue_routing_history WHERE signal_id = :id""",
        id=signal.id,
    )
    legs = rows(
        splitting,
        "SELECT leg, venue, share FROM agentwhere.routing_legs WHERE routing_id = :id ORDER BY leg",
        id=decided[0],
    )
    assert len(legs) == 2, decided
    assert sum(share for _, _, share in legs) == 1
    assert legs[0][1] == decided[1]
    assert all(found.is_equal for found in replay_sample(splitting, utc_now()))

    execute_orders(splitting, utc_now())

    entries = rows(splitting, ENTRIES, id=signal.id)
    assert [(leg, venue, state) for leg, venue, state, *_ in entries] == [
        (leg, venue, "FILLED") for leg, venue, _ in legs
    ]
    assert len({client_id for *_, client_id, _ in entries}) == 2
    total = sum(usd for _, _, _, usd, *_ in entries)
    for (_, _, share), (_, _, _, usd, *_) in zip(legs, entries, strict=True):
        assert usd / total == pytest.approx(share, abs=Decimal("0.01"))
    assert all(mid > 0 for *_, mid in entries)
    protected = rows(
        splitting,
        "SELECT leg, count(*) FROM agentwhere.orders WHERE signal_id = :id AND purpose <> 'ENTRY' "
        "GROUP BY leg ORDER BY leg",
        id=signal.id,
    )
    assert protected == [(0, 2), (1, 2)]
    assert positions(splitting, signal.id) == {(venue, "OPEN") for _, venue, _ in legs}
    assert execute_orders(splitting, utc_now()).rows_in == 0, "nothing is left to place"

    sim.control("prices", BTC=str(price_of(splitting, signal.id) * Decimal("0.9")))
    for _ in range(3):
        monitor_positions(splitting, utc_now())
    assert positions(splitting, signal.id) == {(venue, "CLOSED") for _, venue, _ in legs}
    compute_regret(splitting, utc_now())
    kept = rows(
        splitting,
        """SELECT r.venue FROM agentwhere.routing_regret r JOIN agentwhere.positions p ON p.id = r.position_id
           WHERE p.signal_id = :id AND r.was_selected ORDER BY 1""",
        id=signal.id,
    )
    assert kept == sorted((venue,) for _, venue, _ in legs)


def test_a_leg_that_its_venue_rejects_leaves_the_other_as_it_is(
    splitting: System, sim: Simulator
) -> None:
    """It is not taken elsewhere: the other leg's venue holds its own part already."""
    bind_most(splitting, sim)
    signal = place_signal(splitting, "BTC", deployment="bold", fund_percentage="25")
    sim.fault("hyperliquid.exchange", "reject", match='"type":"order"')
    for _ in range(2):
        execute_orders(splitting, utc_now())
    ended = {venue: state for _, venue, state, *_ in rows(splitting, ENTRIES, id=signal.id)}
    assert ended == {"HYPERLIQUID": "REJECTED", "LIGHTER": "FILLED"}
    assert positions(splitting, signal.id) == {("LIGHTER", "OPEN")}


def test_the_ledger_refuses_a_second_entry_of_one_leg(splitting: System, sim: Simulator) -> None:
    bind_most(splitting, sim)
    signal = place_signal(splitting, "BTC", deployment="bold", fund_percentage="25")
    execute_orders(splitting, utc_now())
    with pytest.raises(IntegrityError, match="signal_id_leg_purpose"):
        rows(
            splitting,
            """UPDATE agentwhere.orders SET leg = 0 WHERE purpose = 'ENTRY' AND signal_id = :id RETURNING id""",
            id=signal.id,
        )


def positions(system: System, signal_id: Any) -> set[tuple[str, str]]:
    """Return venue and status of a signal's positions."""
    query = "SELECT venue, status FROM agentwhere.positions WHERE signal_id = :id"
    return {(venue, status) for venue, status in rows(system, query, id=signal_id)}


def price_of(system: System, signal_id: Any) -> Decimal:
    """Return the entry price of one of a signal's positions."""
    query = "SELECT entry_price FROM agentwhere.positions WHERE signal_id = :id"
    price: Decimal = rows(system, query, id=signal_id)[0][0]
    return price
