"""Venues that fail: a step says so and what to do, its neighbours go on, nothing is wiped, the next tick recovers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from agentwhere_core.domain.enums import KillScope, OrderSide, Side, Venue
from agentwhere_core.domain.errors import RemoteError
from agentwhere_flow import kill_switches
from agentwhere_flow.alerts import open_alerts
from agentwhere_flow.demo import create_demo
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.markets import sync_markets
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.routing import route_signals
from agentwhere_flow.settings import Profile
from agentwhere_flow.setup import setup
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.scenes import place_signal
from tests.flow.venue import Hand, hand_of
from tests.flow.world import contents, open_system, rows, utc_now

INFO = "hyperliquid.info"
ORDER = '"type":"order"'
FAILURES = ("429", "5xx", "malformed", "down")
ADVICE = (
    "next tick",
    "check",
    "tried again",
    "looked up",
    "run `",
    "if it repeats",
    "blocks its token",
)
MONEY = ("orders", "submissions", "fills", "cash_flows", "position_events")


@pytest.fixture(autouse=True)
def pinned(sim: Simulator) -> None:
    """Hold the prices still until a test moves them."""
    sim.control("prices", BTC="100000", ETH="4000", SOL="200")


@pytest.fixture
def bold(desk: System, sim: Simulator) -> Hand:
    return hand_of(desk, sim, "bold")


@pytest.fixture
def careful(desk: System, sim: Simulator) -> Hand:
    return hand_of(desk, sim, "careful")


@contextmanager
def failing(sim: Simulator, kind: str, match: str) -> Iterator[None]:
    """Let Hyperliquid fail every question that contains ``match``."""
    sim.fault(INFO, kind, count=None, match=match)
    yield
    sim.http.delete("/control/faults").raise_for_status()


def says_what_to_do(message: str) -> bool:
    """Whether a message tells its reader who failed and what happens or helps."""
    lowered = message.lower()
    return any(advice in lowered for advice in ADVICE)


def positions(system: System) -> list[tuple[Any, ...]]:
    """Return all positions in full, the time of the last mark included."""
    return contents(system, "positions")["positions"]


def entry_states(system: System) -> list[tuple[Any, ...]]:
    """Return token, state and attempt of all entries."""
    query = "SELECT token_symbol, state, attempt FROM agentwhere.orders WHERE purpose = 'ENTRY' ORDER BY 1, 3"
    return rows(system, query)


def test_a_market_list_that_fails_wipes_nothing_and_hides_no_neighbour(
    desk: System, sim: Simulator
) -> None:
    before = contents(desk, "venue_markets")
    with failing(sim, "down", ""):
        with pytest.raises(RemoteError) as failure:
            sync_markets(desk, utc_now(), venue=Venue.HYPERLIQUID)
        assert says_what_to_do(str(failure.value)), failure.value
        assert contents(desk, "venue_markets") == before
        for neighbour in (Venue.OSTIUM, Venue.LIGHTER):
            assert sync_markets(desk, utc_now(), venue=neighbour).problems == ()
    assert sync_markets(desk, utc_now(), venue=Venue.HYPERLIQUID).rows_out > 0


def test_entries_wait_for_quotes_that_fail(desk: System, sim: Simulator, bold: Hand) -> None:
    place_signal(desk, "BTC", deployment="bold")
    for kind in FAILURES:
        with failing(sim, kind, "metaAndAssetCtxs"):
            report = execute_orders(desk, utc_now())
        assert report.refusals == {"PRICE_UNAVAILABLE": 1}
        assert len(report.problems) == 1
        assert says_what_to_do(report.problems[0])
        assert contents(desk, "orders")["orders"] == []
    assert execute_orders(desk, utc_now()).rows_out == 1
    assert len(bold.entries("BTC")) == 1


def test_positions_keep_their_old_marks_while_quotes_fail(desk: System, sim: Simulator) -> None:
    place_signal(desk, "BTC", deployment="bold", max_holding_h="0")
    execute_orders(desk, utc_now())
    before = positions(desk)
    sim.control("prices", BTC="101000")
    for kind in FAILURES:
        with failing(sim, kind, "metaAndAssetCtxs"):
            report = monitor_positions(desk, utc_now())
        assert (report.rows_in, report.rows_out) == (1, 0)
        assert any("keep their old marks" in problem for problem in report.problems)
        assert positions(desk) == before, "nobody closes at a price that is not known"

    monitor_positions(desk, utc_now())

    assert rows(desk, "SELECT status, exit_reason FROM agentwhere.positions") == [
        ("CLOSED", "MAX_HOLDING_TIME")
    ]


def test_a_deployment_whose_account_cannot_be_read_waits_and_the_other_trades(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    state_of_bold = f'"clearinghouseState", "user": "{bold.account.address}"'
    query = """SELECT d.name FROM agentwhere.venue_routing_history h
               JOIN agentwhere.deployments d ON d.id = h.deployment_id ORDER BY h.id"""
    with failing(sim, FAILURES[0], state_of_bold):
        place_signal(desk, "BTC", deployment="bold")
        place_signal(desk, "BTC", deployment="careful")
    for kind in FAILURES[1:]:
        with failing(sim, kind, state_of_bold):
            report = route_signals(desk, utc_now())
        assert (report.rows_in, report.rows_out) == (1, 0)
        assert len(report.problems) == 1
        assert says_what_to_do(report.problems[0])
        assert rows(desk, query) == [("careful",)], "unreadable is no reason to go elsewhere"

    route_signals(desk, utc_now())

    assert rows(desk, query) == [("careful",), ("bold",)]
    assert execute_orders(desk, utc_now()).rows_out == 2


def test_an_entry_waits_for_an_account_that_cannot_be_read(
    desk: System, sim: Simulator, bold: Hand, careful: Hand
) -> None:
    place_signal(desk, "BTC", deployment="bold")
    place_signal(desk, "BTC", deployment="careful")
    state_of_bold = f'"clearinghouseState", "user": "{bold.account.address}"'

    with failing(sim, "5xx", state_of_bold):
        report = execute_orders(desk, utc_now())

    assert report.rows_out == 1
    assert len(report.problems) == 1
    assert "BTC for bold" in report.problems[0]
    assert (len(bold.accepted("BTC")), len(careful.entries("BTC"))) == (0, 1)
    assert execute_orders(desk, utc_now()).rows_out == 1
    assert len(bold.entries("BTC")) == 1


@pytest.mark.parametrize("question", ["clearinghouseState", "userFillsByTime"])
def test_a_failed_query_is_never_read_as_flat(
    desk: System, sim: Simulator, bold: Hand, careful: Hand, question: str
) -> None:
    """One account cannot be read: it stays as it was, marked by prices; the other is reconciled."""
    for name in ("bold", "careful"):
        place_signal(desk, "BTC", deployment=name)
    execute_orders(desk, utc_now())
    monitor_positions(desk, utc_now())
    careful.trade("BTC", OrderSide.SELL, careful.size("BTC"))
    before = contents(desk, *MONEY)
    sizes = """SELECT d.name, p.status, p.size FROM agentwhere.positions p
               JOIN agentwhere.deployments d ON d.id = p.deployment_id ORDER BY 1"""
    for number, kind in enumerate(FAILURES):
        with failing(sim, kind, f'"{question}", "user": "{bold.account.address}"'):
            report = monitor_positions(desk, utc_now())
        assert rows(desk, sizes) == [
            ("bold", "OPEN", bold.size("BTC")),
            ("careful", "CLOSED", Decimal(0)),
        ]
        assert len(report.problems) == 1
        assert bold.account.address in report.problems[0]
        assert says_what_to_do(report.problems[0])
        if number == 0:
            before = contents(desk, *MONEY)
        assert contents(desk, *MONEY) == before
    assert open_alerts(desk) == []
    assert bold.resting("BTC") == ["Stop Market", "Take Profit Market"]

    assert monitor_positions(desk, utc_now()).problems == ()


def test_fills_that_fail_after_an_entry_follow_with_the_next_tick(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    place_signal(desk, "BTC", deployment="bold")
    with failing(sim, "5xx", "userFillsByTime"):
        report = execute_orders(desk, utc_now())
    assert report.rows_out == 1
    assert len(report.problems) == 1
    assert "next tick" in report.problems[0]
    assert positions(desk) == []

    assert execute_orders(desk, utc_now()).rows_in == 0, (
        "the order is known, though its fills are not"
    )
    monitor_positions(desk, utc_now())

    assert len(bold.entries("BTC")) == 1
    assert rows(desk, "SELECT status, size FROM agentwhere.positions") == [
        ("OPEN", bold.size("BTC"))
    ]


def test_a_stop_that_filled_while_fills_fail_never_turns_the_position_round(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    """The venue has closed it, we do not know yet and close it too: reduce-only keeps the account flat."""
    place_signal(desk, "BTC", deployment="bold")
    execute_orders(desk, utc_now())
    sim.control("prices", BTC="94000")
    with failing(sim, "5xx", "userFillsByTime"):
        monitor_positions(desk, utc_now())
    assert bold.size("BTC") == 0
    assert rows(desk, "SELECT status FROM agentwhere.positions") == [("OPEN",)]

    monitor_positions(desk, utc_now())

    closed = rows(desk, "SELECT status, exit_reason FROM agentwhere.positions")
    assert closed == [("CLOSED", "STOP_LOSS")]
    assert bold.size("BTC") == 0
    assert rows(desk, "SELECT DISTINCT state FROM agentwhere.orders WHERE purpose = 'EXIT'") == [
        ("REJECTED",)
    ]


def test_funding_that_fails_is_booked_by_the_next_tick(desk: System, sim: Simulator) -> None:
    place_signal(desk, "BTC", deployment="bold")
    execute_orders(desk, utc_now())
    sim.control("clock", advance_s=3600)
    for kind in FAILURES:
        with failing(sim, kind, "userFunding"):
            report = monitor_positions(desk, utc_now())
        assert report.rows_out == 1, "marks do not wait for funding"
        assert len(report.problems) == 1
        assert "not booked yet" in report.problems[0]
    assert rows(desk, "SELECT funding_usd FROM agentwhere.positions") == [(0,)]

    assert monitor_positions(desk, utc_now()).problems == ()

    assert rows(desk, "SELECT funding_usd <> 0 FROM agentwhere.positions") == [(True,)]


def test_an_order_that_cannot_be_looked_up_stays_in_doubt_and_blocks_nobody_else(
    desk: System, sim: Simulator, bold: Hand, careful: Hand
) -> None:
    place_signal(desk, "BTC", deployment="bold")
    sim.fault("hyperliquid.exchange", "drop_after", match=ORDER)
    status_of_bold = f'"orderStatus", "user": "{bold.account.address}"'
    with failing(sim, "5xx", status_of_bold):
        execute_orders(desk, utc_now())
    place_signal(desk, "ETH", deployment="careful")
    for number, kind in enumerate(FAILURES):
        with failing(sim, kind, status_of_bold):
            report = execute_orders(desk, utc_now())
        assert any(says_what_to_do(problem) for problem in report.problems)
        assert report.rows_out == (1 if number == 0 else 0)
        assert entry_states(desk) == [("BTC", "UNKNOWN", 1), ("ETH", "FILLED", 1)]
    assert len(bold.entries("BTC")) == 1

    execute_orders(desk, utc_now())

    assert entry_states(desk) == [("BTC", "FILLED", 1), ("ETH", "FILLED", 1)]
    assert len(bold.entries("BTC")) == 1
    assert rows(desk, "SELECT count(*) FROM agentwhere.positions") == [(2,)]


def test_an_answer_that_another_process_records_meanwhile_stops_nobody(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    place_signal(desk, "BTC", deployment="bold")
    sim.fault("hyperliquid.exchange", "drop_after", match=ORDER)
    with failing(sim, "5xx", f'"orderStatus", "user": "{bold.account.address}"'):
        execute_orders(desk, utc_now())
    recorded: list[str] = []

    def record_elsewhere(*execution: Any) -> None:
        """Let a process that was overtaken write down its answers just after ours has read what is in doubt."""
        statement = execution[2]
        if not recorded and "agentwhere.orders" in statement and "PLANNED" in str(execution[3]):
            recorded.append(statement)
            rows(
                desk,
                "UPDATE agentwhere.orders SET state = CASE purpose WHEN 'ENTRY' THEN 'FILLED' ELSE 'ACKED' END,"
                " filled_size = CASE purpose WHEN 'ENTRY' THEN size ELSE 0 END, average_price = limit_price"
                " WHERE state = 'UNKNOWN' RETURNING id",
            )

    event.listen(desk.engine, "after_cursor_execute", record_elsewhere)
    execute_orders(desk, utc_now())

    assert recorded
    assert entry_states(desk) == [("BTC", "FILLED", 1)]
    assert len(bold.entries("BTC")) == 1


@pytest.mark.parametrize("kind", ["429", "5xx", "malformed", "down"])
def test_a_leverage_that_is_not_confirmed_sends_no_entry(
    desk: System, sim: Simulator, bold: Hand, kind: str
) -> None:
    place_signal(desk, "BTC", deployment="bold")
    sim.fault("hyperliquid.exchange", kind, count=1, match="updateLeverage")

    report = execute_orders(desk, utc_now())

    assert len(report.problems) == 1
    assert bold.accepted("BTC") == []
    assert execute_orders(desk, utc_now()).rows_out == 1


def test_stray_stops_that_cannot_be_cancelled_are_cancelled_by_the_next_tick(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    place_signal(desk, "BTC", deployment="bold", max_holding_h="0")
    execute_orders(desk, utc_now())
    with failing(sim, "5xx", "orderStatus"):
        report = monitor_positions(desk, utc_now())
    assert len(report.problems) == 1
    assert "may still rest" in report.problems[0]
    assert bold.size("BTC") == 0

    assert monitor_positions(desk, utc_now()).problems == ()

    states = (
        "SELECT DISTINCT state FROM agentwhere.orders WHERE purpose IN ('STOP_LOSS', 'TAKE_PROFIT')"
    )
    assert rows(desk, states) == [("CANCELLED",)]
    assert bold.resting("BTC") == []


def test_a_kill_switch_holds_back_bytes_that_were_to_be_sent_again(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    hasty = System(
        desk.settings.model_copy(update={"order_deadline_s": 2, "order_absence_margin_s": 0})
    )
    place_signal(desk, "BTC", deployment="bold")
    sim.fault("hyperliquid.exchange", "drop_before", match=ORDER, count=2)
    execute_orders(hasty, utc_now())
    kill_switches.engage(desk, utc_now(), KillScope.GLOBAL, reason="a test", by="a test")

    execute_orders(hasty, utc_now())
    assert entry_states(desk) == [("BTC", "UNKNOWN", 1)]
    assert bold.accepted("BTC") == []
    wait_for_deadline(desk)
    assert execute_orders(hasty, utc_now()).refusals == {"KILL_SWITCH": 1}
    assert entry_states(desk) == [("BTC", "REJECTED", 1)]

    kill_switches.release(desk, utc_now(), KillScope.GLOBAL, reason="a test", by="a test")
    execute_orders(hasty, utc_now())
    assert entry_states(desk) == [("BTC", "REJECTED", 1), ("BTC", "FILLED", 2)]
    assert len(bold.entries("BTC")) == 1
    hasty.close()


def test_without_the_live_switch_nothing_leaves_whoever_planned_it(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    """An order in doubt, an exit and stray stops all wait: looking is allowed, sending is not."""
    place_signal(desk, "ETH", deployment="bold", max_holding_h="0")
    execute_orders(desk, utc_now())
    place_signal(desk, "BTC", deployment="bold")
    sim.fault("hyperliquid.exchange", "drop_before", match=ORDER, count=2)
    execute_orders(desk, utc_now())
    place_signal(desk, "SOL", deployment="bold")
    sent = sim.http.get("/control/faults").json()["faults"][0]["fired"]
    assert sent == 2
    sim.fault("hyperliquid.exchange", "reject", count=None)
    with closing(System(desk.settings.model_copy(update={"profile": Profile.LIVE}))) as timid:
        timid.endpoints = desk.endpoints
        entries, exits = execute_orders(timid, utc_now()), monitor_positions(timid, utc_now())

    assert any("AGENTWHERE_LIVE=yes" in problem for problem in entries.problems)
    assert entries.refusals == {"LIVE_TRADING_OFF": 1}
    assert exits.refusals == {"LIVE_TRADING_OFF": 1}
    faults = sim.http.get("/control/faults").json()["faults"]
    assert [fault["fired"] for fault in faults if fault["kind"] == "reject"] == [0]
    assert bold.size("ETH") > 0


def test_a_paused_deployment_enters_nothing_and_still_exits(
    desk: System, sim: Simulator, bold: Hand
) -> None:
    place_signal(desk, "ETH", deployment="bold", max_holding_h="0")
    execute_orders(desk, utc_now())
    place_signal(desk, "BTC", deployment="bold")
    rows(desk, "UPDATE agentwhere.deployments SET status = 'PAUSED' RETURNING 1")

    assert execute_orders(desk, utc_now()).refusals == {"DEPLOYMENT_INACTIVE": 1}
    monitor_positions(desk, utc_now())

    assert bold.accepted("BTC") == []
    assert bold.size("ETH") == 0
    rows(desk, "UPDATE agentwhere.deployments SET status = 'ACTIVE' RETURNING 1")
    assert execute_orders(desk, utc_now()).rows_out == 1


def test_a_world_that_stops_loses_nothing_and_goes_on_when_it_is_back(
    own_sim: Simulator, database_url: str, tmp_path: Path
) -> None:
    """Power cut of everything outside, positions open and an entry waiting; then it returns with its memory."""
    own_sim.control("prices", BTC="100000", ETH="4000")
    system = open_system(own_sim, database_url, tmp_path / "home")
    setup(system, utc_now())
    create_demo(system, utc_now())
    for venue in system.settings.venues:
        sync_markets(system, utc_now(), venue=venue)
    place_signal(system, "BTC", deployment="bold")
    execute_orders(system, utc_now())
    place_signal(system, "ETH", deployment="careful", side=Side.SHORT)
    tables = ("venue_markets", "positions", *MONEY)
    before = contents(system, *tables)
    own_sim.kill()

    for venue in system.settings.venues:
        with pytest.raises(RemoteError, match="Check that it is up"):
            sync_markets(system, utc_now(), venue=venue)
    entries, marks = execute_orders(system, utc_now()), monitor_positions(system, utc_now())

    assert entries.refusals == {"PRICE_UNAVAILABLE": 1}
    for report in (entries, marks):
        assert report.problems
        assert all(says_what_to_do(problem) for problem in report.problems)
    assert contents(system, *tables) == before

    own_sim.start()
    for venue in system.settings.venues:
        sync_markets(system, utc_now(), venue=venue)
    assert execute_orders(system, utc_now()).rows_out == 1
    assert monitor_positions(system, utc_now()).problems == ()
    assert rows(system, "SELECT status, side FROM agentwhere.positions ORDER BY id") == [
        ("OPEN", "LONG"),
        ("OPEN", "SHORT"),
    ]
    assert len(hand_of(system, own_sim, "bold").entries("BTC")) == 1
    system.close()


def wait_for_deadline(system: System) -> None:
    """Wait, in the database, until the last submission's bytes are refused by the venue."""
    rows(
        system,
        "SELECT pg_sleep(GREATEST(0, EXTRACT(EPOCH FROM max(deadline) - now()) + 0.2)) FROM agentwhere.submissions",
    )
