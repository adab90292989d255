"""A signal whose time has passed ends on record, wherever it was waiting (R5)."""

from __future__ import annotations

from datetime import timedelta

from agentwhere_flow.execution import execute_orders
from agentwhere_flow.policy import apply_policies
from agentwhere_flow.replays import replay_decision
from agentwhere_flow.routing import route_signals
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.scenes import place_signal
from tests.flow.world import rows, utc_now

LATER = timedelta(hours=7)


def test_a_signal_that_expires_before_its_policy_looked_is_refused_on_record(desk: System) -> None:
    """Every deployment that was there in time says why it did nothing; nothing is traded."""
    place_signal(desk, "BTC", deployment="bold")
    apply_policies(desk, utc_now() + LATER)

    decided = rows(
        desk,
        "SELECT d.name, p.outcome, p.reasons FROM agentwhere.policy_decisions p "
        "JOIN agentwhere.deployments d ON d.id = p.deployment_id ORDER BY 1",
    )
    assert decided[1] == ("careful", "REFUSED", ["SIGNAL_EXPIRED"])
    assert decided[0][:2] == ("bold", "PASSED")


def test_a_signal_that_expires_before_it_is_routed_is_skipped_on_record(desk: System) -> None:
    """The history says SIGNAL_EXPIRED, and the decision can be recomputed from its row."""
    place_signal(desk, "BTC", deployment="bold", route=False)
    report = route_signals(desk, utc_now() + LATER)

    assert report.refusals == {"SIGNAL_EXPIRED": 1}
    history = rows(
        desk,
        "SELECT selected_venue, routing_reason, id FROM agentwhere.venue_routing_history",
    )
    assert len(history) == 1
    selected, reason, routing_id = history[0]
    assert (selected, reason) == (None, "SIGNAL_EXPIRED")
    assert replay_decision(desk, routing_id).is_equal
    assert route_signals(desk, utc_now() + LATER).rows_in == 0


def test_a_signal_that_expires_before_it_is_placed_is_cancelled_on_record(
    desk: System, sim: Simulator
) -> None:
    """The ledger says SIGNAL_EXPIRED once; nothing was sent."""
    place_signal(desk, "BTC", deployment="bold")
    report = execute_orders(desk, utc_now() + LATER)

    assert report.refusals == {"SIGNAL_EXPIRED": 1}
    orders = "SELECT state, reason, submission_id FROM agentwhere.orders"
    assert rows(desk, orders) == [("CANCELLED", "SIGNAL_EXPIRED", None)]
    assert execute_orders(desk, utc_now() + LATER).rows_in == 0
    assert rows(desk, orders) == [("CANCELLED", "SIGNAL_EXPIRED", None)]
    assert sim.http.get("/control/orders").json()["orders"] == []
