"""The position monitor: whatever happens at the venue or is due here ends in the tables, explained, and only once."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentwhere_core.domain.enums import OrderSide, Side
from agentwhere_flow.alerts import open_alerts
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.scenes import allow_unprotected, place_signal
from tests.flow.venue import Hand, hand_of
from tests.flow.world import contents, rows, utc_now

CAPITAL = Decimal(10_000)
CENT = Decimal("0.01")

STEP = """
import sys
from agentwhere_core.domain.time import utc_now
from agentwhere_flow.settings import Settings
from agentwhere_flow.system import System
from {module} import {function} as step
step(System(Settings()), utc_now())
"""


@pytest.fixture(autouse=True)
def pinned(sim: Simulator) -> None:
    """Hold the prices still until a test moves them."""
    sim.control("prices", BTC="100000", ETH="4000", SOL="200")


@pytest.fixture
def bold(desk: System, sim: Simulator) -> Hand:
    return hand_of(desk, sim, "bold")


def enter(system: System, token: str = "BTC", deployment: str = "bold", **signal: Any) -> None:
    """Open a position by a signal."""
    place_signal(system, token, deployment=deployment, **signal)
    assert execute_orders(system, utc_now()).rows_out == 1


def position(system: System, token: str = "BTC") -> dict[str, Any]:
    """Return the only position in a token."""
    names = (
        "status, side, size, entry_price, current_price, exit_price, exit_reason, realized_pnl_usd, "
        "unrealized_pnl_usd, fees_usd, funding_usd, liquidation_price, signal_id, best_price"
    )
    query = f"SELECT {names} FROM agentwhere.positions WHERE token_symbol = :token"
    found = rows(system, query, token=token)
    assert len(found) == 1, found
    return dict(zip(names.split(", "), found[0], strict=True))


def protection(system: System, token: str = "BTC") -> dict[str, str]:
    """Return the state of the protective orders by purpose."""
    query = """SELECT purpose, state FROM agentwhere.orders
               WHERE token_symbol = :token AND purpose IN ('TAKE_PROFIT', 'STOP_LOSS')"""
    return dict(rows(system, query, token=token))


def exits(system: System) -> list[tuple[Any, ...]]:
    """Return token, state and attempt of the orders that closed something."""
    query = "SELECT token_symbol, state, attempt FROM agentwhere.orders WHERE purpose = 'EXIT' ORDER BY 1, 3"
    return rows(system, query)


def story(system: System) -> list[str]:
    """Return the kinds of all events, in order."""
    return [
        row[0] for row in rows(system, "SELECT kind FROM agentwhere.position_events ORDER BY id")
    ]


def assert_money_adds_up(hand: Hand) -> None:
    """What we say that a deployment earned is what the venue's account gained, to the cent."""
    query = """SELECT sum(realized_pnl_usd + unrealized_pnl_usd - fees_usd + funding_usd)
               FROM agentwhere.positions WHERE account_id = :id"""
    earned = rows(hand.system, query, id=hand.account.id)[0][0]
    assert abs(CAPITAL + earned - hand.equity()) < CENT


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("hit", ["TAKE_PROFIT", "STOP_LOSS"])
def test_a_stop_that_the_venue_filled_closes_the_position_and_its_sibling_is_gone(
    desk: System, sim: Simulator, bold: Hand, side: Side, hit: str
) -> None:
    left = {"TAKE_PROFIT": "STOP_LOSS", "STOP_LOSS": "TAKE_PROFIT"}[hit]
    move_pct = 11 if hit == "TAKE_PROFIT" else -6
    enter(desk, side=side)
    assert bold.resting("BTC") == ["Stop Market", "Take Profit Market"]
    sim.control("prices", BTC=str(100_000 + 1_000 * move_pct * side.sign))

    report = monitor_positions(desk, utc_now())

    assert report.problems == ()
    closed = position(desk)
    assert (closed["status"], closed["size"], closed["exit_reason"]) == ("CLOSED", 0, hit)
    assert (closed["realized_pnl_usd"] > 0) == (move_pct > 0)
    assert closed["unrealized_pnl_usd"] == 0
    assert protection(desk) == {hit: "FILLED", left: "CANCELLED"}
    assert bold.resting("BTC") == []
    assert exits(desk) == [], "the venue's own order closed it"
    assert bold.size("BTC") == 0
    assert_money_adds_up(bold)


def test_a_position_is_marked_as_the_venue_marks_it(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    enter(desk, side=Side.SHORT)
    sim.control("prices", BTC="101000")

    report = monitor_positions(desk, utc_now())

    there, ours = bold.position("BTC"), position(desk)
    assert there is not None
    assert (report.rows_in, report.rows_out) == (1, 1)
    assert (ours["side"], ours["size"]) == ("SHORT", -Decimal(there["szi"]))
    assert ours["current_price"] == Decimal(101_000)
    assert ours["unrealized_pnl_usd"] == (ours["entry_price"] - 101_000) * ours["size"] < 0
    assert abs(ours["unrealized_pnl_usd"] - Decimal(there["unrealizedPnl"])) < CENT
    assert ours["liquidation_price"] == Decimal(there["liquidationPx"])
    assert ours["fees_usd"] > 0
    assert_money_adds_up(bold)


def test_a_trailing_stop_follows_the_best_price_and_closes_through_the_ledger(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    signal = place_signal(desk, "BTC", deployment="bold")
    query = """UPDATE agentwhere.signals SET trailing_activation_pct = 4, trailing_distance_pct = 2
               WHERE id = :id RETURNING 1"""
    rows(desk, query, id=signal.id)
    execute_orders(desk, utc_now())

    for price, best in (("103000", 103_000), ("106000", 106_000), ("104500", 106_000)):
        sim.control("prices", BTC=price)
        monitor_positions(desk, utc_now())
        assert (position(desk)["status"], position(desk)["best_price"]) == ("OPEN", best)
    sim.control("prices", BTC="103800")
    monitor_positions(desk, utc_now())

    assert (position(desk)["status"], position(desk)["exit_reason"]) == ("CLOSED", "TRAILING_STOP")
    assert exits(desk) == [("BTC", "FILLED", 1)]
    assert set(protection(desk).values()) == {"CANCELLED"}
    assert bold.resting("BTC") == []
    assert story(desk) == ["OPENED", "EXIT_DECIDED", "CLOSED_TRAILING_STOP"]
    assert_money_adds_up(bold)


def test_the_longest_holding_time_closes_through_the_ledger(desk: System, bold: Hand) -> None:
    enter(desk, max_holding_h="0")

    report = monitor_positions(desk, utc_now())

    assert report.details["exits_sent"] == 1
    assert position(desk)["exit_reason"] == "MAX_HOLDING_TIME"
    assert exits(desk) == [("BTC", "FILLED", 1)]
    assert bold.resting("BTC") == []
    assert bold.size("BTC") == 0
    assert_money_adds_up(bold)


def test_a_position_that_closes_while_it_is_marked_is_not_closed_again(
    desk: System, bold: Hand
) -> None:
    """An exit is due by what was read; by the time that the mark is written, the position is gone."""
    enter(desk, max_holding_h="0")
    with desk.engine.begin() as conn:
        conn.exec_driver_sql(
            """
            CREATE FUNCTION agentwhere.close_meanwhile() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                NEW.status = 'CLOSED';
                NEW.closed_at = now();
                RETURN NEW;
            END $$;
            CREATE TRIGGER meanwhile BEFORE UPDATE OF last_marked ON agentwhere.positions
                FOR EACH ROW EXECUTE FUNCTION agentwhere.close_meanwhile();
            """
        )

    report = monitor_positions(desk, utc_now())

    assert (report.details["exits_decided"], report.details["open_after"]) == (0, 0)
    assert exits(desk) == []
    assert "EXIT_DECIDED" not in story(desk)


def test_an_exit_that_finds_no_price_is_tried_again_until_it_is_done(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    enter(desk, max_holding_h="0")
    sim.fault("hyperliquid.exchange", "reject", match='"type":"order"')

    monitor_positions(desk, utc_now())
    assert exits(desk) == [("BTC", "REJECTED", 1)]
    assert position(desk)["status"] == "OPEN"

    monitor_positions(desk, utc_now())
    assert exits(desk) == [("BTC", "REJECTED", 1), ("BTC", "FILLED", 2)]
    assert position(desk)["status"] == "CLOSED"
    assert bold.size("BTC") == 0


def test_a_position_closed_by_hand_is_seen_and_its_stops_are_cleared(
    desk: System, bold: Hand
) -> None:
    enter(desk)
    bold.trade("BTC", OrderSide.SELL, bold.size("BTC"))

    monitor_positions(desk, utc_now())

    assert (position(desk)["status"], position(desk)["exit_reason"]) == ("CLOSED", "CLOSED_OUTSIDE")
    assert set(protection(desk).values()) == {"CANCELLED"}
    assert story(desk) == ["OPENED", "CLOSED_OUTSIDE"]
    assert_money_adds_up(bold)


def test_a_position_reduced_by_hand_goes_on_with_what_is_left(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    enter(desk)
    whole = bold.size("BTC")
    part = (whole / 4).quantize(Decimal("0.00001"))
    sim.control("prices", BTC="102000")
    bold.trade("BTC", OrderSide.SELL, part)

    monitor_positions(desk, utc_now())

    left = position(desk)
    assert (left["status"], left["size"]) == ("OPEN", whole - part)
    assert left["realized_pnl_usd"] > 0
    assert bold.resting("BTC") == ["Stop Market", "Take Profit Market"]
    assert story(desk) == ["OPENED", "REDUCED_OUTSIDE", "PROTECTION_RESIZED"]
    assert_money_adds_up(bold)
    sim.control("prices", BTC="94000")
    monitor_positions(desk, utc_now())
    assert position(desk)["exit_reason"] == "STOP_LOSS"
    assert bold.size("BTC") == 0
    assert_money_adds_up(bold)


def test_a_position_turned_round_by_hand_is_one_closed_and_one_opened(
    desk: System, bold: Hand
) -> None:
    enter(desk)
    size = bold.size("BTC")
    bold.trade("BTC", OrderSide.SELL, 2 * size)

    monitor_positions(desk, utc_now())

    query = "SELECT side, status, size, exit_reason, signal_id IS NULL FROM agentwhere.positions ORDER BY opened_at, id"
    assert rows(desk, query) == [
        ("LONG", "CLOSED", 0, "CLOSED_OUTSIDE", False),
        ("SHORT", "OPEN", size, None, True),
    ]
    assert bold.size("BTC") == -size
    assert bold.resting("BTC") == [], "stops of the closed position must not add to the new one"
    assert_money_adds_up(bold)


def test_a_position_opened_by_hand_is_shown_and_marked_but_not_managed(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    enter(desk)
    bold.trade("SOL", OrderSide.BUY, Decimal(3))
    sim.control("prices", SOL="100")

    report = monitor_positions(desk, utc_now())

    found = position(desk, "SOL")
    assert (found["status"], found["side"], found["size"]) == ("OPEN", "LONG", 3)
    assert found["signal_id"] is None
    assert found["unrealized_pnl_usd"] < -290
    assert story(desk) == ["OPENED", "OPENED_OUTSIDE"]
    assert report.problems == ()
    assert exits(desk) == []
    assert_money_adds_up(bold)


def test_an_entry_does_not_meet_a_position_opened_by_hand(desk: System, bold: Hand) -> None:
    """Between routing and execution somebody sells the token short: a LONG entry would close it."""
    signal = place_signal(desk, "SOL", deployment="bold")
    bold.trade("SOL", OrderSide.SELL, Decimal(3))

    execute_orders(desk, utc_now())

    query = "SELECT state, reason FROM agentwhere.orders WHERE signal_id = :id"
    assert rows(desk, query, id=signal.id) == [("CANCELLED", "POSITION_EXISTS")]
    assert bold.size("SOL") == -3


def test_a_liquidation_is_told_as_one(desk: System, sim: Simulator, bold: Hand) -> None:
    allow_unprotected(desk, "bold")
    enter(desk, side=Side.SHORT, fund_percentage="25", stop_loss_pct=None, take_profit_pct=None)
    sim.control("prices", BTC="320000")

    monitor_positions(desk, utc_now())

    assert (position(desk)["status"], position(desk)["exit_reason"]) == ("CLOSED", "LIQUIDATED")
    assert position(desk)["realized_pnl_usd"] < -9_000
    assert bold.size("BTC") == 0
    assert_money_adds_up(bold)


def test_a_position_is_closed_before_the_venue_liquidates_it(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    allow_unprotected(desk, "bold")
    enter(desk, side=Side.SHORT, fund_percentage="25", stop_loss_pct=None, take_profit_pct=None)
    there = bold.position("BTC")
    assert there is not None
    sim.control("prices", BTC=str(int(Decimal(there["liquidationPx"]) * Decimal("0.99"))))

    monitor_positions(desk, utc_now())

    assert position(desk)["exit_reason"] == "LIQUIDATION_DISTANCE"
    assert exits(desk) == [("BTC", "FILLED", 1)]
    assert_money_adds_up(bold)


def test_a_deposit_moves_the_liquidation_price_before_anything_is_closed(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    """What the venue said five minutes ago must not close a position that was rescued since."""
    allow_unprotected(desk, "bold")
    enter(desk, side=Side.SHORT, fund_percentage="25", stop_loss_pct=None, take_profit_pct=None)
    monitor_positions(desk, utc_now())
    near = position(desk)["liquidation_price"]
    sim.control("accounts", venue="HYPERLIQUID", address=bold.account.address, usdc="30000")
    sim.control("prices", BTC=str(int(near * Decimal("0.99"))))

    monitor_positions(desk, utc_now())

    assert position(desk)["status"] == "OPEN"
    assert position(desk)["liquidation_price"] > near * 2


def test_funding_is_booked_to_its_position_with_the_venues_sign(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    enter(desk)
    sim.control("clock", advance_s=3 * 3600)

    monitor_positions(desk, utc_now())

    there = bold.position("BTC")
    assert there is not None
    paid = Decimal(there["cumFunding"]["sinceOpen"])
    assert paid != 0
    assert abs(position(desk)["funding_usd"] + paid) < Decimal("0.00001")
    kinds = dict(rows(desk, "SELECT kind, count(*) FROM agentwhere.cash_flows GROUP BY kind"))
    assert kinds["FUNDING"] == 3
    assert_money_adds_up(bold)


def test_funding_paid_just_before_a_close_still_counts(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    enter(desk)
    sim.control("clock", advance_s=3600)
    bold.trade("BTC", OrderSide.SELL, bold.size("BTC"))

    monitor_positions(desk, utc_now())

    assert position(desk)["status"] == "CLOSED"
    assert position(desk)["funding_usd"] != 0
    assert_money_adds_up(bold)


def test_running_the_monitor_twice_changes_nothing(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    enter(desk)
    enter(desk, "ETH", "careful", side=Side.SHORT)
    bold.trade("SOL", OrderSide.BUY, Decimal(3))
    sim.control("prices", ETH="3500")
    sim.control("clock", advance_s=3600)
    monitor_positions(desk, utc_now())
    tables = ("orders", "order_events", "submissions", "fills", "cash_flows", "position_events")
    before, marked = contents(desk, *tables), positions_without_times(desk)

    report = monitor_positions(desk, utc_now())

    assert contents(desk, *tables) == before
    assert positions_without_times(desk) == marked
    assert report.details["changed_by_fills"] == 0
    assert report.problems == ()


def positions_without_times(system: System) -> list[tuple[Any, ...]]:
    """Return all positions, without the time of their last mark."""
    query = "SELECT (to_jsonb(p) - 'last_marked' - 'updated_at')::text FROM agentwhere.positions p ORDER BY id"
    return rows(system, query)


def test_one_token_on_two_accounts_is_two_positions_that_do_not_meet(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    careful = hand_of(desk, sim, "careful")
    enter(desk, side=Side.LONG)
    enter(desk, deployment="careful", side=Side.SHORT)
    sim.control("prices", BTC="112000")

    monitor_positions(desk, utc_now())

    query = """SELECT d.name, p.side, p.exit_reason, p.realized_pnl_usd > 0 FROM agentwhere.positions p
               JOIN agentwhere.deployments d ON d.id = p.deployment_id ORDER BY d.name"""
    assert rows(desk, query) == [
        ("bold", "LONG", "TAKE_PROFIT", True),
        ("careful", "SHORT", "STOP_LOSS", False),
    ]
    for hand in (bold, careful):
        assert_money_adds_up(hand)
        assert hand.resting("BTC") == []


def test_an_account_without_its_key_stops_nobody_elses_exit(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    careful = hand_of(desk, sim, "careful")
    enter(desk, max_holding_h="0")
    enter(desk, deployment="careful", max_holding_h="0")
    key = desk.settings.home / "secrets" / bold.account.key_name
    kept = key.read_text()
    key.unlink()

    report = monitor_positions(desk, utc_now())

    assert careful.size("BTC") == 0
    assert bold.size("BTC") > 0
    assert len(report.problems) == 1
    assert bold.account.key_name in report.problems[0]
    key.write_text(kept)
    key.chmod(0o600)
    monitor_positions(desk, utc_now())
    assert bold.size("BTC") == 0


def test_an_account_that_was_switched_off_is_looked_after_until_it_is_flat(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    enter(desk)
    query = "UPDATE agentwhere.venue_accounts SET is_enabled = false WHERE id = :id RETURNING 1"
    rows(desk, query, id=bold.account.id)
    sim.control("prices", BTC="112000")

    monitor_positions(desk, utc_now())

    assert position(desk)["exit_reason"] == "TAKE_PROFIT"


def test_a_difference_is_told_once_alerted_and_closed_when_it_is_gone(
    desk: System, bold: Hand
) -> None:
    enter(desk)
    change = "UPDATE agentwhere.positions SET size = size * :factor RETURNING 1"
    rows(desk, change, factor=2)

    reports = [monitor_positions(desk, utc_now()) for _ in range(2)]

    for report in reports:
        assert len(report.problems) == 1
        assert "our fills say" in report.problems[0]
    assert story(desk) == ["OPENED", "DIFFERS_FROM_VENUE"]
    assert [alert.title for alert in open_alerts(desk)] == ["BTC differs from the venue"]
    rows(desk, change, factor=Decimal("0.5"))
    monitor_positions(desk, utc_now())
    assert open_alerts(desk) == []


@pytest.mark.parametrize("state", ["ACKED", "PARTIAL"])
def test_an_entry_that_seems_to_rest_is_looked_up_and_frees_its_token(
    desk: System, bold: Hand, state: str
) -> None:
    enter(desk)
    query = "UPDATE agentwhere.orders SET state = :state, filled_size = 0 WHERE purpose = 'ENTRY' RETURNING 1"
    rows(desk, query, state=state)

    monitor_positions(desk, utc_now())

    found = rows(desk, "SELECT state, filled_size FROM agentwhere.orders WHERE purpose = 'ENTRY'")
    assert found == [("FILLED", bold.size("BTC"))]


def test_two_processes_that_execute_at_once_make_one_order(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    place_signal(desk, "BTC", deployment="bold")
    sim.fault("hyperliquid.exchange", "slow", count=None, seconds=0.5)

    assert run_at_once(desk, "agentwhere_flow.execution", "execute_orders") == [0, 0]

    assert len(bold.entries("BTC")) == 1
    assert rows(desk, "SELECT state, attempt FROM agentwhere.orders WHERE purpose = 'ENTRY'") == [
        ("FILLED", 1)
    ]
    assert bold.resting("BTC") == ["Stop Market", "Take Profit Market"]


def test_two_monitors_at_once_close_once(desk: System, sim: Simulator, bold: Hand) -> None:
    enter(desk, max_holding_h="0")
    sim.fault("hyperliquid.exchange", "slow", count=None, seconds=0.5)

    assert run_at_once(desk, "agentwhere_flow.positions", "monitor_positions") == [0, 0]

    assert exits(desk) == [("BTC", "FILLED", 1)]
    assert bold.size("BTC") == 0
    assert position(desk)["exit_reason"] == "MAX_HOLDING_TIME"


def run_at_once(system: System, module: str, function: str) -> list[int]:
    """Run a step in two processes at the same time, and return how they ended."""
    url = system.settings.database_url
    assert url is not None
    environment = os.environ | {
        "DATABASE_URL": url.get_secret_value(),
        "AGENTWHERE_HOME": str(system.settings.home),
        "AGENTWHERE_SIM_PORT": str(system.settings.sim_port),
    }
    code = STEP.format(module=module, function=function)
    root = Path(__file__).parents[2]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=root, env=environment, stdout=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    return [process.wait(timeout=120) for process in running]
