"""Where signals go: from the tables, over the simulated venues, into the history and the ledger."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from agentwhere_core.domain.enums import RoutingStrategy, Side, Venue
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.routing import RoutingConfig
from agentwhere_core.where.router import explain
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.replays import replay_decision, replay_sample
from agentwhere_flow.routing import explain_route, route_signals
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from agentwhere_store import agents as agent_store
from agentwhere_store import deployments as deployment_store
from agentwhere_store import routing as routing_store
from tests.flow.scenes import place_signal
from tests.flow.world import contents, rows, utc_now

HISTORY = "agentwhere.venue_routing_history"


@pytest.fixture(autouse=True)
def open_hours(sim: Simulator) -> None:
    """Keep every market open, whatever day the tests run on."""
    sim.control("hours", mode="open")


def decision_row(system: System, signal: Signal) -> dict[str, Any]:
    """Return the one history row of a signal, after a trip of its JSON through text."""
    found = rows(
        system, f"SELECT row_to_json(h)::text FROM {HISTORY} h WHERE signal_id = :id", id=signal.id
    )
    assert len(found) == 1
    row: dict[str, Any] = json.loads(found[0][0])
    return row


def order_ends(system: System, signal: Signal) -> list[tuple[Any, ...]]:
    """Return venue, state, reason and size of the signal's entries."""
    query = "SELECT venue, state, reason, size, submission_id FROM agentwhere.orders WHERE signal_id = :id"
    return rows(system, query, id=signal.id)


def put_config(system: System, **changes: Any) -> None:
    """Write the global routing configuration."""
    given: dict[str, Any] = {
        "venue_priority": (Venue.HYPERLIQUID, Venue.OSTIUM, Venue.LIGHTER),
        "routing_strategy": RoutingStrategy.FIRST_AVAILABLE,
        "failover_enabled": True,
        "token_overrides": {},
    }
    with system.engine.begin() as conn:
        config = RoutingConfig(**given | changes)
        routing_store.put_routing_config(conn, None, config, utc_now(), author="a test")


def test_btc_goes_to_hyperliquid_and_nobody_else_is_asked(desk: System) -> None:
    row = decision_row(desk, place_signal(desk, "BTC", deployment="bold"))

    assert (row["requested_venue"], row["selected_venue"]) == ("MULTI", "HYPERLIQUID")
    assert row["checked_venues"] == ["HYPERLIQUID"]
    assert row["routing_reason"] == Reason.SELECTED
    assert row["routing_strategy"] == RoutingStrategy.FIRST_AVAILABLE
    assert row["config_version"] == 1
    assert Decimal(str(row["routing_duration_ms"])) < 100
    assert Decimal(row["venue_availability"][0]["cost_bps"]["total"]) > 0


def test_gold_goes_to_ostium(desk: System) -> None:
    row = decision_row(desk, place_signal(desk, "XAU", deployment="bold"))
    assert row["selected_venue"] == "OSTIUM"
    assert row["checked_venues"] == ["HYPERLIQUID", "OSTIUM"]
    assert [check["reason"] for check in row["venue_availability"]] == ["NOT_LISTED", "AVAILABLE"]


def test_a_token_that_nobody_lists_is_skipped_with_every_venues_reason(desk: System) -> None:
    signal = place_signal(desk, "WAGMICAT", deployment="bold")

    row = decision_row(desk, signal)

    assert row["selected_venue"] is None
    assert row["routing_reason"] == Reason.NO_VENUE_AVAILABLE
    assert row["checked_venues"] == ["HYPERLIQUID", "OSTIUM", "LIGHTER"]
    assert {check["reason"] for check in row["venue_availability"]} == {"NOT_LISTED"}
    assert "skipped" in row["story"]
    assert execute_orders(desk, utc_now()).rows_in == 0
    assert order_ends(desk, signal) == []


def test_a_signal_that_names_ostium_is_not_rerouted(desk: System) -> None:
    listed = decision_row(desk, place_signal(desk, "BTC", deployment="bold", venue=Venue.OSTIUM))
    assert (listed["requested_venue"], listed["selected_venue"]) == ("OSTIUM", "OSTIUM")
    assert listed["checked_venues"] == ["OSTIUM"]
    assert listed["routing_reason"] == Reason.VENUE_NAMED_BY_SIGNAL

    unlisted = place_signal(desk, "DOGE", deployment="bold", venue=Venue.OSTIUM)
    row = decision_row(desk, unlisted)
    assert row["selected_venue"] is None, "Hyperliquid lists DOGE, but the signal named Ostium"
    assert row["checked_venues"] == ["OSTIUM"]
    assert row["routing_reason"] == Reason.NOT_LISTED
    assert "not rerouted" in row["story"]


@pytest.mark.parametrize("venue", [Venue.SPOT, Venue.GMX])
def test_signals_of_older_agents_pass_untouched_and_end_visibly(desk: System, venue: Venue) -> None:
    signal = place_signal(desk, "BTC", deployment="bold", venue=venue)
    row = decision_row(desk, signal)
    assert (row["requested_venue"], row["selected_venue"]) == (venue.value, venue.value)
    assert row["checked_venues"] == []

    execute_orders(desk, utc_now())

    assert order_ends(desk, signal) == [
        (venue.value, "CANCELLED", "EXECUTION_NOT_AVAILABLE", Decimal(0), None)
    ]


def test_a_token_of_its_own_priority_list_follows_it(desk: System) -> None:
    put_config(desk, token_overrides={"BTC": (Venue.LIGHTER, Venue.HYPERLIQUID)})

    own = decision_row(desk, place_signal(desk, "BTC", deployment="bold"))
    other = decision_row(desk, place_signal(desk, "ETH", deployment="bold"))

    assert (own["selected_venue"], own["checked_venues"]) == ("LIGHTER", ["LIGHTER"])
    assert other["selected_venue"] == "HYPERLIQUID"
    assert {own["config_version"], other["config_version"]} == {2}


def test_an_agents_configuration_stands_over_the_global_one(desk: System) -> None:
    with desk.engine.begin() as conn:
        agent = agent_store.active_agents(conn)[0]
        mine = RoutingConfig((Venue.OSTIUM,), RoutingStrategy.FIRST_AVAILABLE, True)
        routing_store.put_routing_config(conn, agent.id, mine, utc_now())

    row = decision_row(desk, place_signal(desk, "BTC", deployment="bold"))

    assert (row["selected_venue"], row["checked_venues"]) == ("OSTIUM", ["OSTIUM"])


def test_without_failover_only_the_first_venue_is_asked(desk: System) -> None:
    put_config(desk, failover_enabled=False)

    row = decision_row(desk, place_signal(desk, "XAU", deployment="bold"))

    assert row["selected_venue"] is None
    assert row["checked_venues"] == ["HYPERLIQUID"]


def test_an_account_that_already_trades_the_token_is_passed_over(desk: System) -> None:
    place_signal(desk, "BTC", deployment="bold")
    execute_orders(desk, utc_now())

    row = decision_row(desk, place_signal(desk, "BTC", deployment="bold", side=Side.SHORT))
    other = decision_row(desk, place_signal(desk, "BTC", deployment="careful"))

    assert row["venue_availability"][0]["reason"] == Reason.POSITION_EXISTS
    assert row["selected_venue"] == "OSTIUM"
    assert other["selected_venue"] == "HYPERLIQUID", "another account's position is no obstacle"


def test_a_size_that_the_account_cannot_bear_is_passed_over(desk: System) -> None:
    for token in ("BTC", "ETH", "SOL", "DOGE"):
        place_signal(desk, token, deployment="bold", fund_percentage="24.9")
    execute_orders(desk, utc_now())

    row = decision_row(desk, place_signal(desk, "LINK", deployment="bold", fund_percentage="20"))

    assert row["venue_availability"][0]["reason"] == Reason.UNFUNDED
    assert row["selected_venue"] != "HYPERLIQUID"


@pytest.mark.parametrize("scope", ["GLOBAL", "VENUE", "AGENT", "DEPLOYMENT"])
def test_a_kill_switch_routes_nothing_to_what_it_stops(desk: System, scope: str) -> None:
    with desk.engine.begin() as conn:
        bold = next(d for d in deployment_store.deployments(conn) if d.name == "bold")
    targets = {"VENUE": "HYPERLIQUID", "AGENT": str(bold.agent_id), "DEPLOYMENT": str(bold.id)}
    engage(desk, scope, targets.get(scope, ""))

    row = decision_row(desk, place_signal(desk, "BTC", deployment="bold"))

    assert row["venue_availability"][0]["reason"] == Reason.KILL_SWITCH
    assert row["selected_venue"] == ("OSTIUM" if scope == "VENUE" else None)


def test_routing_again_decides_nothing_again(desk: System) -> None:
    place_signal(desk, "BTC", deployment="bold")
    before = contents(desk, "venue_routing_history")

    report = route_signals(desk, utc_now())

    assert (report.rows_in, report.rows_out) == (0, 0)
    assert contents(desk, "venue_routing_history") == before


def test_every_stored_decision_replays_from_its_row_alone(desk: System) -> None:
    """R6: selected venue, reasons, costs, story and inputs come out of ``inputs`` word for word."""
    signals = [place_signal(desk, token, deployment="bold") for token in ("BTC", "XAU", "WAGMICAT")]
    signals += [
        place_signal(desk, token, deployment="careful", side=Side.SHORT, venue=venue)
        for token, venue in (
            ("ETH", Venue.HYPERLIQUID),
            ("BTC", Venue.OSTIUM),
            ("DOGE", Venue.OSTIUM),
            ("BTC", Venue.GMX),
            ("PEPE", Venue.MULTI),
            ("EUR", Venue.MULTI),
        )
    ]
    put_config(desk, token_overrides={"SOL": (Venue.LIGHTER, Venue.OSTIUM)}, failover_enabled=False)
    signals.append(place_signal(desk, "SOL", deployment="bold"))
    engage(desk, "VENUE", "HYPERLIQUID")
    signals.append(place_signal(desk, "LINK", deployment="careful", fund_percentage="0.01"))
    assert len({decision_row(desk, signal)["routing_reason"] for signal in signals}) >= 4

    for signal in signals:
        found = replay_decision(desk, UUID(decision_row(desk, signal)["id"]))
        assert found.differences == ()
    sample = replay_sample(desk, utc_now())
    assert len(sample) == len(signals)
    assert all(found.is_equal for found in sample)


def test_a_replay_says_what_comes_out_differently(desk: System) -> None:
    row = decision_row(desk, place_signal(desk, "BTC", deployment="bold"))
    rows(
        desk,
        f"UPDATE {HISTORY} SET selected_venue = 'LIGHTER', story = 'a lie' WHERE id = :id RETURNING id",
        id=row["id"],
    )
    assert replay_decision(desk, UUID(row["id"])).differences == ("selected_venue", "story")


@pytest.mark.parametrize("table", ["routing_scenes", "routing_config_versions"])
def test_what_decisions_refer_to_is_never_changed(desk: System, table: str) -> None:
    place_signal(desk, "BTC", deployment="bold")
    for change in ("UPDATE agentwhere.{} SET created_at = now()", "DELETE FROM agentwhere.{}"):
        with pytest.raises(DBAPIError, match="kept as they are"):
            rows(desk, change.format(table))


def test_decisions_of_one_token_share_what_they_saw(desk: System) -> None:
    for deployment in ("bold", "careful"):
        place_signal(desk, "BTC", deployment=deployment, route=False)
    route_signals(desk, utc_now())
    kept = rows(desk, f"SELECT count(*), count(DISTINCT scene_id) FROM {HISTORY}")
    assert kept == [(2, 1)]


def test_the_books_of_the_moment_make_the_price(desk: System) -> None:
    row = decision_row(desk, place_signal(desk, "BTC", deployment="bold"))
    (scene,) = rows(
        desk, "SELECT scene FROM agentwhere.routing_scenes WHERE id = :id", id=row["scene_id"]
    )[0]
    for venue in ("HYPERLIQUID", "LIGHTER"):
        seen = scene["sites"][venue]
        bid, ask = Decimal(seen["book"]["bids"][0][0]), Decimal(seen["book"]["asks"][0][0])
        assert len(seen["book"]["bids"]) > 5
        assert Decimal(seen["market"]["price"]) == (bid + ask) / 2
    assert scene["sites"]["OSTIUM"]["book"] is None
    cost = row["venue_availability"][0]["cost_bps"]
    assert Decimal(cost["total"]) == sum(Decimal(v) for k, v in cost.items() if k != "total")


def test_every_configuration_is_kept_with_its_author(desk: System) -> None:
    put_config(desk, failover_enabled=False)
    row = decision_row(desk, place_signal(desk, "BTC", deployment="bold"))
    with desk.engine.begin() as conn:
        versions = routing_store.config_versions(conn, None)
    assert [(item.config.version, item.config.failover_enabled) for item in versions] == [
        (2, False),
        (1, True),
    ]
    assert [item.author for item in versions] == ["a test", "setup"]
    assert row["config_version"] == 2


def test_the_way_of_gold_is_told_in_words(desk: System) -> None:
    before = contents(desk, "venue_routing_history", "orders")

    decision = explain_route(desk, utc_now(), "XAU")

    assert decision.selected_venue is Venue.OSTIUM
    story = "\n".join(explain(decision))
    assert "Hyperliquid does not list XAU" in story
    assert "Ostium lists XAU" in story
    assert "goes to OSTIUM" in story
    assert "bps" in story
    assert contents(desk, "venue_routing_history", "orders") == before


@pytest.mark.parametrize("spelling", ["btc", "BTC-PERP", "BTC/USD"])
def test_a_person_may_ask_by_any_venues_name(desk: System, spelling: str) -> None:
    assert explain_route(desk, utc_now(), spelling).selected_venue is Venue.HYPERLIQUID


def test_asking_for_a_token_that_nobody_lists_says_what_to_do(desk: System) -> None:
    decision = explain_route(desk, utc_now(), "wagmicat")

    assert decision.selected_venue is None
    assert "sync-markets" in "\n".join(explain(decision))


def engage(system: System, scope: str, target: str) -> None:
    """Engage a kill switch."""
    query = """INSERT INTO agentwhere.kill_switches (id, scope, target, reason, author, engaged_at)
               VALUES (:id, :scope, :target, 'a test', 'a test', :now) RETURNING id"""
    rows(system, query, id=new_id(), scope=scope, target=target, now=utc_now())
