"""Kill switches: what is stopped, what is closed, and what stays on record."""

from __future__ import annotations

from typing import Any

import pytest

from agentwhere_core.domain.enums import KillScope, Side, Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_flow import kill_switches
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.report import StepReport
from agentwhere_flow.routing import route_signals
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.scenes import place_signal
from tests.flow.venue import hand_of
from tests.flow.world import rows, utc_now

SCOPES = [
    (KillScope.GLOBAL, ""),
    (KillScope.AGENT, "Demo Desk"),
    (KillScope.DEPLOYMENT, "bold"),
    (KillScope.DEPLOYMENT, "Demo Desk/bold"),
    (KillScope.VENUE, "hyperliquid"),
]
IN_ANY_SCOPE = pytest.mark.parametrize(("scope", "target"), SCOPES)

PATIENCE = 50
POSITIONS = """
    SELECT d.name, p.venue, p.token_symbol, p.status, p.exit_reason FROM agentwhere.positions p
    JOIN agentwhere.deployments d ON d.id = p.deployment_id ORDER BY 1, 2, 3
"""
EXITS = "SELECT state, attempt FROM agentwhere.orders WHERE purpose = 'EXIT' ORDER BY 2"


def engage(
    system: System,
    scope: KillScope = KillScope.GLOBAL,
    target: str = "",
    *,
    close_all: bool = False,
    by: str = "olga",
) -> StepReport:
    return kill_switches.engage(
        system, utc_now(), scope, target, reason="prices look wrong", by=by, close_all=close_all
    )


def release(system: System, scope: KillScope = KillScope.GLOBAL, target: str = "") -> StepReport:
    return kill_switches.release(
        system, utc_now(), scope, target, reason="prices are right again", by="pete"
    )


def positions(system: System) -> list[tuple[Any, ...]]:
    return rows(system, POSITIONS)


@pytest.fixture
def trading(desk: System, sim: Simulator) -> System:
    """A system that holds three positions: two of bold's at two venues, and one of careful's."""
    sim.control("hours", mode="open")
    place_signal(desk, "BTC", deployment="bold", venue=Venue.HYPERLIQUID)
    place_signal(desk, "ETH", deployment="bold", side=Side.SHORT, venue=Venue.LIGHTER)
    place_signal(desk, "BTC", deployment="careful", venue=Venue.HYPERLIQUID)
    execute_orders(desk, utc_now())
    monitor_positions(desk, utc_now())
    assert [row[3] for row in positions(desk)] == ["OPEN"] * 3
    return desk


@IN_ANY_SCOPE
def test_an_entry_that_was_routed_before_waits_for_the_release(
    desk: System, sim: Simulator, scope: KillScope, target: str
) -> None:
    place_signal(desk, "BTC", deployment="bold", venue=Venue.HYPERLIQUID)
    engage(desk, scope, target)

    assert execute_orders(desk, utc_now()).refusals == {"KILL_SWITCH": 1}
    assert hand_of(desk, sim, "bold").accepted("BTC") == []

    release(desk, scope, target)
    assert execute_orders(desk, utc_now()).rows_out == 1


def test_one_switch_released_leaves_the_others_engaged(desk: System, sim: Simulator) -> None:
    place_signal(desk, "BTC", deployment="bold", venue=Venue.HYPERLIQUID)
    engage(desk)
    engage(desk, KillScope.VENUE, "HYPERLIQUID")
    release(desk)

    assert execute_orders(desk, utc_now()).refusals == {"KILL_SWITCH": 1}


def test_a_switch_engaged_after_the_decision_still_stops_the_sending(
    desk: System, sim: Simulator
) -> None:
    """The order is planned and signed; the switch comes before its bytes leave."""
    place_signal(desk, "BTC", deployment="bold", venue=Venue.HYPERLIQUID)
    with desk.engine.begin() as conn:
        conn.exec_driver_sql(
            """
            CREATE FUNCTION agentwhere.engage_meanwhile() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO agentwhere.kill_switches (id, scope, target, reason, author, engaged_at)
                VALUES (gen_random_uuid(), 'VENUE', 'HYPERLIQUID', 'meanwhile', 'olga', now());
                RETURN NULL;
            END $$;
            CREATE TRIGGER meanwhile AFTER INSERT ON agentwhere.submissions
                FOR EACH STATEMENT EXECUTE FUNCTION agentwhere.engage_meanwhile();
            """
        )

    execute_orders(desk, utc_now())

    assert hand_of(desk, sim, "bold").accepted("BTC") == []
    states = rows(desk, "SELECT DISTINCT state, reason, sent_at FROM agentwhere.orders")
    assert states == [("CANCELLED", "NEVER_SENT", None)]
    with desk.engine.begin() as conn:
        conn.exec_driver_sql("DROP FUNCTION agentwhere.engage_meanwhile CASCADE")
    release(desk, KillScope.VENUE, "HYPERLIQUID")
    assert execute_orders(desk, utc_now()).rows_out == 1, "its second attempt"


@pytest.mark.parametrize(
    ("scope", "target", "left"),
    [
        (KillScope.GLOBAL, "", []),
        (KillScope.DEPLOYMENT, "bold", [("careful", "HYPERLIQUID")]),
        (KillScope.VENUE, "HYPERLIQUID", [("bold", "LIGHTER")]),
    ],
)
def test_closing_all_closes_what_the_switch_reaches_and_nothing_else(
    trading: System,
    sim: Simulator,
    scope: KillScope,
    target: str,
    left: list[tuple[str, str]],
) -> None:
    report = engage(trading, scope, target, close_all=True)

    assert (report.rows_in, report.rows_out) == (3 - len(left), 3 - len(left))
    assert report.problems == ()
    found = positions(trading)
    assert [(row[0], row[1]) for row in found if row[3] == "OPEN"] == left
    assert {row[4] for row in found if row[3] == "CLOSED"} == {"KILL_SWITCH"}
    if ("bold", "HYPERLIQUID") not in left:
        assert hand_of(trading, sim, "bold").size("BTC") == 0
        assert hand_of(trading, sim, "bold").resting("BTC") == []


def test_engaging_twice_is_engaging_once(trading: System) -> None:
    assert engage(trading, close_all=True).details["engaged"]
    record = kill_switches.list_switches(trading)
    exits = rows(trading, EXITS)

    again = engage(trading, close_all=True, by="pete")

    assert not again.details["engaged"]
    assert kill_switches.list_switches(trading) == record
    assert rows(trading, EXITS) == exits


def test_what_could_not_be_closed_is_closed_by_the_monitor(trading: System, sim: Simulator) -> None:
    sim.fault("hyperliquid.exchange", "down", count=None)
    report = engage(trading, close_all=True)
    assert report.details["still_open"] >= 1
    assert "still open" in report.problems[-1]
    sim.http.delete("/control/faults").raise_for_status()

    monitor_positions(trading, utc_now())
    monitor_positions(trading, utc_now())

    assert {(row[3], row[4]) for row in positions(trading)} == {("CLOSED", "KILL_SWITCH")}
    assert hand_of(trading, sim, "bold").size("BTC") == 0


def test_a_position_whose_venue_settles_later_is_closed_once(desk: System, sim: Simulator) -> None:
    sim.control("hours", mode="open")
    place_signal(desk, "XAU", deployment="bold", venue=Venue.OSTIUM)
    execute_orders(desk, utc_now())
    ticks = 0
    while not positions(desk):
        monitor_positions(desk, utc_now())
        assert (ticks := ticks + 1) < PATIENCE

    engage(desk, KillScope.VENUE, "OSTIUM", close_all=True)
    while positions(desk)[0][3] == "OPEN":
        monitor_positions(desk, utc_now())
        assert (ticks := ticks + 1) < PATIENCE

    assert positions(desk)[0][4] == "KILL_SWITCH"
    assert rows(desk, EXITS) == [("FILLED", 1)]


def test_a_switch_outlives_the_process_that_engaged_it(trading: System, sim: Simulator) -> None:
    """It is a row: another process stops and closes by it, though the first died before it closed anything."""
    with trading.engine.begin() as conn:
        conn.exec_driver_sql(
            "INSERT INTO agentwhere.kill_switches (id, scope, target, reason, author, closes_all, engaged_at) "
            "VALUES (gen_random_uuid(), 'GLOBAL', '', 'died here', 'olga', true, now())"
        )
    later = System(trading.settings)
    place_signal(later, "SOL", deployment="bold", route=False)
    route_signals(later, utc_now())

    monitor_positions(later, utc_now())

    assert {row[3] for row in positions(later)} == {"CLOSED"}
    assert execute_orders(later, utc_now()).rows_out == 0
    later.close()


def test_the_record_says_who_did_what_when_and_why(desk: System) -> None:
    engage(desk)
    engage(desk, close_all=True, by="pete")
    release(desk)
    release(desk)

    assert kill_switches.list_switches(desk) == []
    closing, stopping = kill_switches.list_switches(desk, include_released=True)
    assert (stopping.author, stopping.closes_all, stopping.released_by) == ("olga", False, "pete")
    assert (closing.author, closing.closes_all, closing.reason) == (
        "pete",
        True,
        "prices look wrong",
    )
    assert (closing.released_by, closing.release_reason) == ("pete", "prices are right again")
    assert closing.released_at is not None
    assert closing.released_at > closing.engaged_at


@pytest.mark.parametrize(
    ("scope", "target"),
    [
        (KillScope.GLOBAL, "bold"),
        (KillScope.VENUE, "MULTI"),
        (KillScope.VENUE, "NASDAQ"),
        (KillScope.AGENT, "nobody"),
        (KillScope.DEPLOYMENT, ""),
        (KillScope.DEPLOYMENT, "00000000-0000-0000-0000-000000000000"),
    ],
)
def test_a_target_that_is_not_there_engages_nothing(
    desk: System, scope: KillScope, target: str
) -> None:
    with pytest.raises(ConfigurationError):
        engage(desk, scope, target)
    assert kill_switches.list_switches(desk) == []


def test_a_switch_without_a_reason_is_refused(desk: System) -> None:
    with pytest.raises(ConfigurationError, match="reason"):
        kill_switches.engage(desk, utc_now(), KillScope.GLOBAL, reason=" ", by="olga")
