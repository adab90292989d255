"""Failover: which rejections lead to another venue, which never do, and what is on record of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from agentwhere_core.domain.enums import RoutingStrategy, Venue
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.routing import RoutingConfig
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.failover import REASONS
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.replays import replay_decision
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from agentwhere_store import failover as failover_store
from agentwhere_store import routing as routing_store
from tests.flow.scenes import place_signal
from tests.flow.test_crashes import CRASHES, HYPERLIQUID, kill_at, release
from tests.flow.world import rows, utc_now

ORDER = HYPERLIQUID.order
PRIORITY = (Venue.HYPERLIQUID, Venue.LIGHTER)


@pytest.fixture
def two_venues(desk: System, sim: Simulator) -> Iterator[System]:
    """A system that looks at Hyperliquid, then at Lighter."""
    sim.control("hours", mode="open")
    configure(desk)
    yield desk
    sim.http.delete("/control/faults").raise_for_status()


def configure(system: System, *, failover: bool = True) -> None:
    config = RoutingConfig(PRIORITY, RoutingStrategy.FIRST_AVAILABLE, failover)
    with system.engine.begin() as conn:
        routing_store.put_routing_config(conn, None, config, utc_now())


def entries(system: System) -> list[tuple[Any, ...]]:
    query = (
        "SELECT venue, state, attempt FROM agentwhere.orders WHERE purpose = 'ENTRY' ORDER BY id"
    )
    return rows(system, query)


def decision(system: System) -> tuple[str, str | None, list[dict[str, Any]], UUID]:
    query = (
        "SELECT selected_venue, failover_venue, attempts, id FROM agentwhere.venue_routing_history"
    )
    [(selected, failover, attempts, id_)] = rows(system, query)
    return selected, failover, attempts, id_


def at_venues(sim: Simulator) -> int:
    """Count the entries that any venue accepted."""
    return sum(
        not order["reduce_only"]
        for venue in PRIORITY
        for order in sim.http.get("/control/orders", params={"venue": venue}).json()["orders"]
    )


def test_a_rejected_entry_goes_to_the_next_venue_in_the_same_tick(
    two_venues: System, sim: Simulator
) -> None:
    sim.fault("hyperliquid.exchange", "reject", match=ORDER)
    place_signal(two_venues, "BTC", deployment="bold")

    report = execute_orders(two_venues, utc_now())

    assert report.rows_out == 1
    assert report.details["failed_over"] == 1
    assert entries(two_venues) == [("HYPERLIQUID", "REJECTED", 1), ("LIGHTER", "FILLED", 2)]
    monitor_positions(two_venues, utc_now())
    held = "SELECT venue, status FROM agentwhere.positions"
    assert rows(two_venues, held) == [("LIGHTER", "OPEN")]
    assert at_venues(sim) == 1


def test_the_decision_keeps_its_choice_and_is_extended_by_the_attempt(
    two_venues: System, sim: Simulator
) -> None:
    sim.fault("hyperliquid.exchange", "reject", match=ORDER)
    place_signal(two_venues, "BTC", deployment="bold")
    execute_orders(two_venues, utc_now())

    selected, failover, attempts, id_ = decision(two_venues)

    assert (selected, failover) == ("HYPERLIQUID", "LIGHTER")
    assert replay_decision(two_venues, id_).is_equal
    [attempt] = attempts
    assert (attempt["venue"], attempt["next_venue"]) == ("HYPERLIQUID", "LIGHTER")
    assert attempt["reason"] == "VENUE_REJECTED"
    assert attempt["detail"]
    assert attempt["at"] < utc_now().isoformat()
    assert [check["venue"] for check in attempt["checked"]] == ["LIGHTER"]


def test_when_every_venue_rejects_the_signal_ends_on_record(
    two_venues: System, sim: Simulator
) -> None:
    sim.fault("hyperliquid.exchange", "reject", match=ORDER, count=None)
    sim.fault("lighter", "reject", match="sendTx", count=None)
    place_signal(two_venues, "BTC", deployment="bold")

    for _ in range(3):
        execute_orders(two_venues, utc_now())

    found = entries(two_venues)
    assert found[0] == ("HYPERLIQUID", "REJECTED", 1)
    assert {state for _, state, _ in found} <= {"REJECTED"}
    assert len(found) <= 2
    assert at_venues(sim) == 0


@pytest.mark.parametrize("kind", ["drop_after", "malformed"])
def test_an_unclear_outcome_never_fails_over(two_venues: System, sim: Simulator, kind: str) -> None:
    """The order may be at its venue; while it is looked up in vain, no other venue is asked."""
    sim.fault("hyperliquid.exchange", kind, match=ORDER, count=None)
    sim.fault("hyperliquid.info", "5xx", match="orderStatus", count=None)
    place_signal(two_venues, "BTC", deployment="bold")

    for _ in range(2):
        execute_orders(two_venues, utc_now())

    assert entries(two_venues) == [("HYPERLIQUID", "UNKNOWN", 1)]
    assert decision(two_venues)[1:3] == (None, [])


def test_a_signal_that_names_its_venue_stays_there(two_venues: System, sim: Simulator) -> None:
    sim.fault("hyperliquid.exchange", "reject", match=ORDER)
    place_signal(two_venues, "BTC", deployment="bold", venue=Venue.HYPERLIQUID)
    execute_orders(two_venues, utc_now())
    execute_orders(two_venues, utc_now())
    assert entries(two_venues) == [("HYPERLIQUID", "REJECTED", 1)]


def test_without_failover_a_rejection_is_the_end(two_venues: System, sim: Simulator) -> None:
    configure(two_venues, failover=False)
    sim.fault("hyperliquid.exchange", "reject", match=ORDER)
    place_signal(two_venues, "BTC", deployment="bold")
    execute_orders(two_venues, utc_now())
    execute_orders(two_venues, utc_now())
    assert entries(two_venues) == [("HYPERLIQUID", "REJECTED", 1)]
    assert decision(two_venues)[2] == []


def test_what_we_refused_ourselves_is_not_tried_elsewhere(
    two_venues: System, sim: Simulator
) -> None:
    """No venue has said anything: the account was switched off by its owner, who may not want the trade at all."""
    place_signal(two_venues, "BTC", deployment="bold")
    with two_venues.engine.begin() as conn:
        conn.exec_driver_sql("UPDATE agentwhere.venue_accounts SET is_enabled = false")
    execute_orders(two_venues, utc_now())
    with two_venues.engine.begin() as conn:
        conn.exec_driver_sql("UPDATE agentwhere.venue_accounts SET is_enabled = true")
    execute_orders(two_venues, utc_now())
    reasons = "SELECT venue, state, reason FROM agentwhere.orders"
    assert rows(two_venues, reasons) == [("HYPERLIQUID", "CANCELLED", "NO_ACCOUNT")]


def rejected_but_not_failed_over(system: System, sim: Simulator) -> Signal:
    """A signal whose entry was rejected by a process that died before it did anything else."""
    configure(system, failover=False)
    sim.fault("hyperliquid.exchange", "reject", match=ORDER)
    signal = place_signal(system, "BTC", deployment="bold")
    execute_orders(system, utc_now())
    configure(system)
    return signal


def test_a_death_between_rejection_and_failover_loses_nothing(
    two_venues: System, sim: Simulator
) -> None:
    rejected_but_not_failed_over(two_venues, sim)
    execute_orders(two_venues, utc_now())
    assert entries(two_venues) == [("HYPERLIQUID", "REJECTED", 1), ("LIGHTER", "FILLED", 2)]


def test_a_death_between_the_record_and_the_second_order_places_it_once(
    two_venues: System, sim: Simulator
) -> None:
    """The decision was moved, nothing was sent: kill the process at the planning of the second order."""
    rejected_but_not_failed_over(two_venues, sim)
    boundary = "after the intent commits"
    kill_at(CRASHES[boundary], two_venues, sim, HYPERLIQUID, ("execution", "execute_orders"))
    release(two_venues, sim)
    assert decision(two_venues)[1] == "LIGHTER"

    execute_orders(two_venues, utc_now())
    execute_orders(two_venues, utc_now())

    placed = [row for row in entries(two_venues) if row[1] == "FILLED"]
    assert [venue for venue, *_ in placed] == ["LIGHTER"]
    assert len(decision(two_venues)[2]) == 1
    assert at_venues(sim) == 1


def test_an_expired_signal_is_not_failed_over(two_venues: System, sim: Simulator) -> None:
    signal = rejected_but_not_failed_over(two_venues, sim)
    with two_venues.engine.begin() as conn:
        late = signal.expires_at + timedelta(seconds=1)
        early = signal.expires_at - timedelta(seconds=1)
        assert failover_store.rejected_entries(conn, late, REASONS) == []
        assert len(failover_store.rejected_entries(conn, early, REASONS)) == 1


def test_an_attempt_is_recorded_once_however_many_record_it(
    two_venues: System, sim: Simulator
) -> None:
    rejected_but_not_failed_over(two_venues, sim)
    with two_venues.engine.begin() as conn:
        [entry] = failover_store.rejected_entries(conn, utc_now(), REASONS)
        attempt = {"venue": "HYPERLIQUID", "order_id": str(entry.order_id)}
        assert failover_store.record_attempt(conn, entry, attempt, Venue.LIGHTER)
        assert not failover_store.record_attempt(conn, entry, attempt, Venue.OSTIUM)
    assert decision(two_venues)[1] == "LIGHTER"
