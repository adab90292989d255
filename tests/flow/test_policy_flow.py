"""Policies over a batch of signals: room is shared, losses stop the day, every outcome is on record."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from agentwhere_core.domain.enums import Venue
from agentwhere_flow.alerts import open_alerts
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.policy import apply_policies, explain_policy
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.registry import set_policy
from agentwhere_flow.routing import route_signals
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.scenes import place_signal, propose
from tests.flow.world import rows, utc_now

OUTCOMES = (
    "SELECT s.token, p.outcome, p.fund_percentage, p.reasons FROM agentwhere.policy_decisions p "
    "JOIN agentwhere.signals s ON s.id = p.signal_id JOIN agentwhere.deployments d ON d.id = p.deployment_id "
    "WHERE d.name = 'bold' ORDER BY p.fund_percentage DESC, s.token"
)


def rule(desk: System, **rules: Any) -> None:
    set_policy(desk, utc_now(), "bold", {"style_multiplier": 1, **rules})


def test_signals_of_one_batch_share_the_room_the_largest_first(desk: System) -> None:
    rule(desk, max_total_exposure_pct=30)
    propose(desk, "BTC", fund_percentage="8")
    propose(desk, "ETH", fund_percentage="6")
    propose(desk, "SOL", fund_percentage="5")

    report = apply_policies(desk, utc_now())

    assert rows(desk, OUTCOMES) == [
        ("BTC", "PASSED", Decimal("8.00"), []),
        ("ETH", "PASSED", Decimal("6.00"), []),
        ("SOL", "ADJUSTED", Decimal("1.00"), ["TOTAL_EXPOSURE_CAPPED"]),
    ]
    assert report.details["halted_today"] == []
    assert apply_policies(desk, utc_now()).rows_out == 0


def test_a_lost_day_halts_says_so_and_ends_at_midnight(desk: System, sim: Simulator) -> None:
    rule(desk, daily_loss_limit_pct="0.5")
    place_signal(desk, "BTC", deployment="bold", fund_percentage="20", stop_loss_pct=None)
    sim.control("prices", BTC="100000")
    execute_orders(desk, utc_now())
    monitor_positions(desk, utc_now())
    sim.control("prices", BTC="97000")
    monitor_positions(desk, utc_now())
    propose(desk, "ETH")

    report = apply_policies(desk, utc_now())

    assert report.details["halted_today"] == ["bold"]
    assert ("ETH", "REFUSED", 0, ["DAILY_LOSS_LIMIT"]) in rows(desk, OUTCOMES)
    assert [alert.title for alert in open_alerts(desk)] == ["bold reached its daily loss limit"]

    sim.control("prices", BTC="110000")
    monitor_positions(desk, utc_now())
    propose(desk, "SOL")
    apply_policies(desk, utc_now())
    assert ("SOL", "REFUSED", 0, ["DAILY_LOSS_LIMIT"]) in rows(desk, OUTCOMES), "a halt stays"

    tomorrow = utc_now() + timedelta(days=1)
    close_the_day(desk, utc_now())
    propose(desk, "DOGE", now=tomorrow)
    assert apply_policies(desk, tomorrow).details["halted_today"] == []
    assert ("DOGE", "PASSED", Decimal("8.00"), []) in rows(desk, OUTCOMES)
    assert open_alerts(desk) == []


def test_a_token_cools_down_after_its_position(desk: System) -> None:
    rule(desk, cooldown_h=6)
    place_signal(desk, "BTC", deployment="bold", fund_percentage="5")
    execute_orders(desk, utc_now())
    monitor_positions(desk, utc_now())
    propose(desk, "BTC")
    propose(desk, "ETH")
    apply_policies(desk, utc_now())
    found = {token: reasons for token, _, _, reasons in rows(desk, OUTCOMES) if reasons}
    assert found == {"BTC": ["COOLING_DOWN"]}


def test_an_explanation_names_each_rule_and_writes_nothing(desk: System) -> None:
    rule(desk, max_leverage=1, blocked_venues=[Venue.OSTIUM.value])
    signal = propose(desk, "BTC")
    decision, notes = explain_policy(desk, utc_now(), str(signal.id), "bold")
    assert [(note.rule, note.reason) for note in notes if note.reason] == [
        ("cap_the_leverage", "LEVERAGE_CAPPED")
    ]
    assert decision.leverage == 1
    assert rows(desk, OUTCOMES) == []


def close_the_day(system: System, now: datetime) -> None:
    """Leave today's equity as the one from which tomorrow starts."""
    from agentwhere_store.performance import snapshot_equity

    with system.engine.begin() as conn:
        snapshot_equity(conn, now)
        conn.execute(text("SELECT 1"))


def test_a_multi_signal_is_kept_away_from_venues_that_the_policy_bars(desk: System) -> None:
    rule(desk, blocked_venues=["HYPERLIQUID"], max_venue_exposure_pct=25)
    propose(desk, "BTC", fund_percentage="8")
    propose(desk, "ETH", fund_percentage="7")
    apply_policies(desk, utc_now())
    route_signals(desk, utc_now())
    routed = rows(
        desk,
        "SELECT h.token_symbol, h.selected_venue, h.venue_availability->0->>'reason' "
        "FROM agentwhere.venue_routing_history h JOIN agentwhere.deployments d ON d.id = h.deployment_id "
        "WHERE d.name = 'bold' ORDER BY 1",
    )
    venues = {token: venue for token, venue, _ in routed}
    assert {reason for _, _, reason in routed} == {"VENUE_BLOCKED"}
    assert set(venues.values()) == {"OSTIUM", "LIGHTER"}, (
        "16 % and 14 % do not fit into 25 % of one venue"
    )
