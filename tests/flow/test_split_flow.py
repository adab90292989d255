"""A trade that is split has a leg at each venue: orders, protection and positions of its own (R3, SPLIT)."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from agentwhere_core.domain.enums import RoutingStrategy, Venue
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.routing import RoutingConfig
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.regret import compute_regret
from agentwhere_flow.replays import replay_sample
from agentwhere_flow.routing import route_signals
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from agentwhere_store import routing as routing_store
from tests.flow.scenes import place_signal
from tests.flow.test_crashes import CRASHES, HYPERLIQUID, LIGHTER, kill_at, release
from tests.flow.world import rows, utc_now

BOOKS = (Venue.HYPERLIQUID, Venue.LIGHTER)
ORDER = HYPERLIQUID.order
ENTRIES = """SELECT leg, venue, state, size * average_price, attempt, client_id, mid_price FROM agentwhere.orders
             WHERE purpose = 'ENTRY' AND signal_id = :id ORDER BY leg, attempt"""


@pytest.fixture(autouse=True)
def open_hours(sim: Simulator) -> None:
    """Keep every market open, whatever day the tests run on."""
    sim.control("hours", mode="open")


@pytest.fixture
def splitting(desk: System) -> System:
    """A system that splits between two order books, and whose accounts cannot bear the whole trade alone."""
    config = RoutingConfig(BOOKS, RoutingStrategy.SPLIT, True)
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
    filled = "SELECT count(*) FROM agentwhere.orders WHERE purpose = 'ENTRY' AND state = 'FILLED'"
    for _ in range(5):
        execute_orders(system, utc_now())
        if rows(system, filled) == [(8,)]:
            return
    raise AssertionError("the accounts' money could not be bound")


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


def split(system: System, sim: Simulator, *more: Venue) -> Signal:
    """Return a signal that is split over two order books; only then do ``more`` venues come into question."""
    bind_most(system, sim)
    signal = place_signal(system, "BTC", deployment="bold", fund_percentage="25")
    config = RoutingConfig((*BOOKS, *more), RoutingStrategy.SPLIT, True)
    with system.engine.begin() as conn:
        routing_store.put_routing_config(conn, None, config, utc_now(), author="a test")
    return signal


def entries(system: System, signal: Signal) -> list[tuple[int, str, str, int]]:
    """Return leg, venue, state and attempt of a signal's entries, when no venue has any more to say."""
    for _ in range(25):
        found = [
            (leg, venue, state, n)
            for leg, venue, state, _, n, *_ in rows(system, ENTRIES, id=signal.id)
        ]
        if all(state != "ACKED" for _, _, state, _ in found):
            return found
        time.sleep(0.2)
        execute_orders(system, utc_now())
    return found


def legs_now(system: System, signal: Signal) -> list[tuple[str, str | None]]:
    """Return the venue that each leg was decided for, and the one that it was moved to."""
    query = """SELECT l.venue, l.failover_venue FROM agentwhere.routing_legs l
               JOIN agentwhere.venue_routing_history h ON h.id = l.routing_id WHERE h.signal_id = :id ORDER BY l.leg"""
    return [tuple(row) for row in rows(system, query, id=signal.id)]


def attempts(system: System, signal: Signal) -> list[dict[str, Any]]:
    query = "SELECT attempts FROM agentwhere.venue_routing_history WHERE signal_id = :id"
    found: list[dict[str, Any]] = rows(system, query, id=signal.id)[0][0]
    return found


def test_a_leg_that_no_other_venue_can_take_ends_and_leaves_the_other_as_it_is(
    splitting: System, sim: Simulator
) -> None:
    """The other leg's venue holds its own part already: it is not asked to take both."""
    signal = split(splitting, sim)
    sim.fault("hyperliquid.exchange", "reject", match=ORDER)
    for _ in range(2):
        execute_orders(splitting, utc_now())
    ended = {venue: state for _, venue, state, _ in entries(splitting, signal)}
    assert ended == {"HYPERLIQUID": "REJECTED", "LIGHTER": "FILLED"}
    assert positions(splitting, signal.id) == {("LIGHTER", "OPEN")}
    (attempt,) = attempts(splitting, signal)
    assert (attempt["venue"], attempt["next_venue"]) == ("HYPERLIQUID", None)


def test_a_rejected_leg_goes_to_a_venue_that_holds_no_other_with_its_own_share(
    splitting: System, sim: Simulator
) -> None:
    signal = split(splitting, sim, Venue.OSTIUM)
    sim.fault("hyperliquid.exchange", "reject", match=ORDER)

    execute_orders(splitting, utc_now())

    leg = [venue for venue, _ in legs_now(splitting, signal)].index("HYPERLIQUID")
    assert sorted(entries(splitting, signal), key=lambda entry: entry[3]) == [
        *sorted([(leg, "HYPERLIQUID", "REJECTED", 1), (1 - leg, "LIGHTER", "FILLED", 1)]),
        (leg, "OSTIUM", "FILLED", 2),
    ]
    assert dict(legs_now(splitting, signal)) == {"HYPERLIQUID": "OSTIUM", "LIGHTER": None}
    (attempt,) = attempts(splitting, signal)
    assert (attempt["leg"], attempt["venue"], attempt["next_venue"]) == (
        leg,
        "HYPERLIQUID",
        "OSTIUM",
    )
    monitor_positions(splitting, utc_now())
    assert positions(splitting, signal.id) == {("LIGHTER", "OPEN"), ("OSTIUM", "OPEN")}
    (share,) = rows(
        splitting,
        """SELECT l.share FROM agentwhere.routing_legs l JOIN agentwhere.venue_routing_history h
           ON h.id = l.routing_id WHERE h.signal_id = :id AND l.leg = :leg""",
        id=signal.id,
        leg=leg,
    )[0]
    worth = {venue: usd for _, venue, _, usd, *_ in rows(splitting, ENTRIES, id=signal.id) if usd}
    assert worth["OSTIUM"] / sum(worth.values()) == pytest.approx(share, abs=Decimal("0.02"))
    assert all(found.is_equal for found in replay_sample(splitting, utc_now()))
    assert execute_orders(splitting, utc_now()).rows_in == 0, "nothing is left to place"


def test_two_rejected_legs_never_meet_at_one_venue(splitting: System, sim: Simulator) -> None:
    signal = split(splitting, sim, Venue.OSTIUM)
    sim.fault("hyperliquid.exchange", "reject", match=ORDER, count=None)
    sim.fault("lighter", "reject", match=LIGHTER.order, count=None)
    for _ in range(3):
        execute_orders(splitting, utc_now())
    found = sorted((venue, state) for _, venue, state, _ in entries(splitting, signal))
    assert found == [("HYPERLIQUID", "REJECTED"), ("LIGHTER", "REJECTED"), ("OSTIUM", "FILLED")]
    assert sorted(moved for _, moved in legs_now(splitting, signal) if moved) == ["OSTIUM"]
    assert len(attempts(splitting, signal)) == 2


def test_a_leg_in_doubt_is_never_taken_elsewhere(splitting: System, sim: Simulator) -> None:
    signal = split(splitting, sim, Venue.OSTIUM)
    sim.fault("hyperliquid.exchange", "drop_after", match=ORDER, count=None)
    sim.fault("hyperliquid.info", "5xx", match="orderStatus", count=None)
    for _ in range(2):
        execute_orders(splitting, utc_now())
    found = {venue: state for _, venue, state, _ in entries(splitting, signal)}
    assert found == {"HYPERLIQUID": "UNKNOWN", "LIGHTER": "FILLED"}
    assert attempts(splitting, signal) == []


def test_a_death_between_the_record_and_the_legs_second_order_places_it_once(
    splitting: System, sim: Simulator
) -> None:
    """The leg was moved, nothing was sent: kill the process at the planning of the second order."""
    signal = split(splitting, sim, Venue.OSTIUM)
    pause_failover(splitting, is_on=False)
    sim.fault("hyperliquid.exchange", "reject", match=ORDER)
    execute_orders(splitting, utc_now())
    pause_failover(splitting, is_on=True)
    boundary = CRASHES["after the intent commits"]
    kill_at(boundary, splitting, sim, HYPERLIQUID, ("execution", "execute_orders"))
    release(splitting, sim)
    assert dict(legs_now(splitting, signal)) == {"HYPERLIQUID": "OSTIUM", "LIGHTER": None}

    for _ in range(2):
        execute_orders(splitting, utc_now())

    filled = [venue for _, venue, state, _ in entries(splitting, signal) if state == "FILLED"]
    assert sorted(filled) == ["LIGHTER", "OSTIUM"]
    assert len(attempts(splitting, signal)) == 1


def test_the_database_keeps_two_legs_from_one_venue(splitting: System, sim: Simulator) -> None:
    split(splitting, sim)
    with pytest.raises(IntegrityError, match="uq_routing_legs_venue_now"):
        rows(
            splitting,
            """UPDATE agentwhere.routing_legs SET failover_venue = 'LIGHTER'
               WHERE venue = 'HYPERLIQUID' RETURNING leg""",
        )


def pause_failover(system: System, *, is_on: bool) -> None:
    config = RoutingConfig((*BOOKS, Venue.OSTIUM), RoutingStrategy.SPLIT, is_on)
    with system.engine.begin() as conn:
        routing_store.put_routing_config(conn, None, config, utc_now(), author="a test")


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
