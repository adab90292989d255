"""What a crash leaves behind, and what the next tick makes of it: real processes, killed with SIGKILL.

A process is stopped at a boundary from outside: by a trigger in its database that holds a commit back, or by the
simulated venue that holds an answer back. Nothing in the product knows of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentwhere_core.domain.enums import OrderState, Venue
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.scenes import place_signal
from tests.flow.world import rows, utc_now

pytestmark = pytest.mark.timeout(120)

PATIENCE_S = 60.0
SOL_GROUP_AT_LIGHTER = "Orders%22%3A%5B%7B%22MarketIndex%22%3A2%2C"

RUN_STEP = """
import sys
from agentwhere_core.domain.time import utc_now
from agentwhere_flow.{module} import {function} as step
from agentwhere_flow.settings import Settings
from agentwhere_flow.system import System
step(System(Settings()), utc_now())
"""

HOLD = """
CREATE FUNCTION agentwhere.hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$;
CREATE TRIGGER hold BEFORE UPDATE ON agentwhere.orders
    FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION agentwhere.hold();
"""

BEFORE_SENDING = "NEW.state = 'SENDING'"
BEFORE_RECORDING = "OLD.state = 'SENDING'"


@dataclass(frozen=True)
class Place:
    """A venue: the simulated service that takes its orders, and what tells an order from other requests."""

    venue: Venue
    service: str
    order: str


HYPERLIQUID = Place(Venue.HYPERLIQUID, "hyperliquid.exchange", '"type":"order"')
LIGHTER = Place(Venue.LIGHTER, "lighter", "OrderExpiry")
PLACES = pytest.mark.parametrize("place", [HYPERLIQUID, LIGHTER], ids=lambda one: one.venue.value)


@dataclass(frozen=True)
class Crash:
    """Where a process is killed: how it is held there, and how one sees that it arrived."""

    hold: Callable[[System, Simulator, Place], Any]
    arrived: Callable[[System, Simulator], bool]


def hold_commit(condition: str) -> Callable[[System, Simulator, Place], None]:
    """Hold back every update of an order that fits ``condition``."""

    def hold(system: System, _sim: Simulator, _place: Place) -> None:
        with system.engine.begin() as conn:
            conn.exec_driver_sql(HOLD.format(condition=condition))

    return hold


def hold_answer(kind: str) -> Callable[[System, Simulator, Place], None]:
    """Let the venue swallow the request, or hold its answer back."""

    def hold(_system: System, sim: Simulator, place: Place) -> None:
        sim.fault(place.service, kind, seconds=60, match=place.order)

    return hold


def is_sleeping(system: System, _sim: Simulator) -> bool:
    """Whether a process is held in the middle of a transaction."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    return rows(system, query)[0][0] > 0


def fault_fired(_system: System, sim: Simulator) -> bool:
    """Whether the request has reached the venue."""
    faults = sim.http.get("/control/faults").json()["faults"]
    return any(fault["fired"] > 0 for fault in faults)


CRASHES = {
    "after the intent commits": Crash(hold_commit(BEFORE_SENDING), is_sleeping),
    "after sending": Crash(hold_answer("hang_before"), fault_fired),
    "after the venue accepts": Crash(hold_answer("hang_after"), fault_fired),
    "after the reply": Crash(hold_commit(BEFORE_RECORDING), is_sleeping),
}


@PLACES
@pytest.mark.parametrize("name", CRASHES)
def test_an_entry_killed_anywhere_ends_as_one_order_and_one_position(
    desk: System, sim: Simulator, tmp_path: Path, name: str, place: Place
) -> None:
    """Kill the executing process at each boundary; the next tick completes the very same order."""
    place_signal(desk, "BTC", deployment="bold", venue=place.venue)
    kill_at(CRASHES[name], desk, sim, place, ("execution", "execute_orders"))

    execute_orders(desk, utc_now())
    monitor_positions(desk, utc_now())

    entries = entries_at(sim, desk, "BTC")
    assert len(entries) == 1, entries
    states = rows(desk, "SELECT state, attempt FROM agentwhere.orders WHERE purpose = 'ENTRY'")
    assert states == [(OrderState.FILLED.value, 1)]
    assert_position_is_the_venues(desk, sim, "BTC")
    resting = rows(
        desk, "SELECT purpose, state FROM agentwhere.orders WHERE purpose <> 'ENTRY' ORDER BY 1"
    )
    assert resting == [("STOP_LOSS", "ACKED"), ("TAKE_PROFIT", "ACKED")]

    before = rows(desk, "SELECT count(*) FROM agentwhere.orders")
    execute_orders(desk, utc_now())
    assert rows(desk, "SELECT count(*) FROM agentwhere.orders") == before
    assert len(entries_at(sim, desk, "BTC")) == 1


@PLACES
@pytest.mark.parametrize("name", CRASHES)
def test_an_exit_killed_anywhere_closes_once(
    desk: System, sim: Simulator, tmp_path: Path, name: str, place: Place
) -> None:
    """Kill the monitor while it closes; the next tick leaves the account flat and never on the other side."""
    sim.control("prices", BTC="100000")
    place_signal(
        desk,
        "BTC",
        deployment="bold",
        venue=place.venue,
        stop_loss_pct=None,
        take_profit_pct=None,
        max_holding_h="0",
    )
    execute_orders(desk, utc_now())
    kill_at(CRASHES[name], desk, sim, place, ("positions", "monitor_positions"))

    monitor_positions(desk, utc_now())

    closed = rows(desk, "SELECT status, size, exit_reason FROM agentwhere.positions")
    assert closed == [("CLOSED", Decimal(0), "MAX_HOLDING_TIME")]
    assert position_at(sim, desk, "BTC") == 0
    exits = rows(desk, "SELECT state, attempt FROM agentwhere.orders WHERE purpose = 'EXIT'")
    assert exits == [("FILLED", 1)]


LOSSES = ["drop_before", "drop_after", "5xx", "malformed", "duplicate", "429"]


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        *((HYPERLIQUID, kind) for kind in LOSSES),
        *((LIGHTER, kind) for kind in [*LOSSES, "sequencer_drop"]),
    ],
)
def test_a_lost_answer_is_looked_up_in_the_same_tick(
    desk: System, sim: Simulator, place: Place, kind: str
) -> None:
    """Whatever the wire does to the order, the tick ends with one order at the venue and the truth in the ledger."""
    place_signal(desk, "ETH", deployment="careful", venue=place.venue)
    sim.fault(place.service, kind, match=place.order)

    execute_orders(desk, utc_now())
    monitor_positions(desk, utc_now())

    assert len(entries_at(sim, desk, "ETH")) == 1
    assert rows(desk, "SELECT state FROM agentwhere.orders WHERE purpose = 'ENTRY'") == [
        ("FILLED",)
    ]
    assert_position_is_the_venues(desk, sim, "ETH")


def test_an_order_that_never_arrived_is_tried_again_only_after_its_deadline(
    sim: Simulator, desk: System
) -> None:
    """While the deadline is ahead the same bytes go again; a new client id exists only after proof of absence."""
    place_signal(desk, "SOL", deployment="bold")
    hasty = desk.settings.model_copy(update={"order_deadline_s": 1, "order_absence_margin_s": 0})
    system = System(hasty)
    sim.fault("hyperliquid.exchange", "drop_before", match=HYPERLIQUID.order, count=2)
    execute_orders(system, utc_now())
    assert rows(desk, "SELECT state, attempt FROM agentwhere.orders WHERE purpose = 'ENTRY'") == [
        ("UNKNOWN", 1)
    ]
    time.sleep(1.2)

    execute_orders(system, utc_now())

    history = rows(
        desk,
        "SELECT state, attempt, reason FROM agentwhere.orders WHERE purpose = 'ENTRY' ORDER BY attempt",
    )
    assert history == [("REJECTED", 1, "NEVER_ARRIVED"), ("FILLED", 2, None)]
    assert len(entries_at(sim, desk, "SOL")) == 1
    system.close()


def test_an_order_whose_nonce_another_request_used_is_tried_again_at_once(
    sim: Simulator, desk: System
) -> None:
    """At a venue that counts nonces, a request that never arrived is void as soon as another took its number."""
    sim.fault("lighter", "drop_before", match=SOL_GROUP_AT_LIGHTER, count=None)
    place_signal(desk, "SOL", deployment="bold", venue=Venue.LIGHTER)
    execute_orders(desk, utc_now())
    place_signal(desk, "ETH", deployment="bold", venue=Venue.LIGHTER)
    execute_orders(desk, utc_now())
    unclear = rows(desk, "SELECT state FROM agentwhere.orders WHERE token_symbol = 'SOL'")
    assert set(unclear) == {("UNKNOWN",)}
    sim.http.delete("/control/faults").raise_for_status()

    execute_orders(desk, utc_now())

    history = rows(
        desk,
        "SELECT token_symbol, state, attempt, reason FROM agentwhere.orders WHERE purpose = 'ENTRY' ORDER BY 1, 3",
    )
    assert history == [
        ("ETH", "FILLED", 1, None),
        ("SOL", "REJECTED", 1, "NEVER_ARRIVED"),
        ("SOL", "FILLED", 2, None),
    ]
    assert len(entries_at(sim, desk, "SOL")) == 1


def test_a_venue_that_is_down_loses_nothing_and_recovers(desk: System, sim: Simulator) -> None:
    """With the venue down nothing is placed and nothing wiped; the next tick after its return places the order."""
    place_signal(desk, "BTC", deployment="bold")
    for service in ("hyperliquid.info", "hyperliquid.exchange"):
        sim.fault(service, "down", count=None)
    report = execute_orders(desk, utc_now())
    assert report.rows_out == 0
    assert report.problems
    assert "hyperliquid" in report.problems[0].lower()
    sim.http.delete("/control/faults").raise_for_status()

    assert execute_orders(desk, utc_now()).rows_out == 1
    assert len(entries_at(sim, desk, "BTC")) == 1


def kill_at(
    crash: Crash, system: System, sim: Simulator, place: Place, step: tuple[str, str]
) -> None:
    """Run a step in a process of its own, kill it when it is held at the boundary, and let everything go again."""
    module, function = step
    crash.hold(system, sim, place)
    with process(system, RUN_STEP.format(module=module, function=function)) as running:
        deadline = time.monotonic() + PATIENCE_S
        while not crash.arrived(system, sim):
            if running.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the process never came to the boundary: {running.poll()}")
            time.sleep(0.02)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    release(system, sim)


@contextmanager
def process(system: System, code: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python code with the system's settings in its environment."""
    url = system.settings.database_url
    assert url is not None
    environment = os.environ | {
        "DATABASE_URL": url.get_secret_value(),
        "AGENTWHERE_HOME": str(system.settings.home),
        "AGENTWHERE_SIM_PORT": str(system.settings.sim_port),
        "AGENTWHERE_HTTP_TIMEOUT_S": "60",
    }
    root = Path(__file__).parents[2]
    running = subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()


def release(system: System, sim: Simulator) -> None:
    """End what holds processes back: backends of the dead one, the trigger, the venue's faults."""
    with system.engine.begin() as conn:
        conn.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE wait_event = 'PgSleep' AND datname = current_database()"
        )
    with system.engine.begin() as conn:
        conn.exec_driver_sql("DROP FUNCTION IF EXISTS agentwhere.hold CASCADE")
    sim.http.delete("/control/faults").raise_for_status()


def account_of(system: System, token: str) -> tuple[str, str]:
    """Venue and address of the account that trades ``token``."""
    query = (
        "SELECT a.venue, a.address FROM agentwhere.orders o JOIN agentwhere.venue_accounts a ON a.id = o.account_id "
        "WHERE o.token_symbol = :token LIMIT 1"
    )
    venue, address = rows(system, query, token=token)[0]
    return str(venue), str(address)


def entries_at(sim: Simulator, system: System, token: str) -> list[dict[str, Any]]:
    """Return the orders that opened at the venue, as the venue itself remembers them."""
    venue, address = account_of(system, token)
    query = {"venue": venue, "address": address}
    accepted = sim.http.get("/control/orders", params=query).json()["orders"]
    return [order for order in accepted if order["coin"] == token and not order["reduce_only"]]


def position_at(sim: Simulator, system: System, token: str) -> Decimal:
    """Return the signed size that the venue holds for the account."""
    venue, address = account_of(system, token)
    if venue == "LIGHTER":
        asked = {"by": "index", "value": address}
        [account] = sim.http.get("/lighter/api/v1/account", params=asked).json()["accounts"]
        signed = {p["symbol"]: Decimal(p["position"]) * p["sign"] for p in account["positions"]}
        return signed.get(token, Decimal(0))
    body = {"type": "clearinghouseState", "user": address}
    state = sim.http.post("/hyperliquid/info", json=body).json()
    sizes = {p["position"]["coin"]: Decimal(p["position"]["szi"]) for p in state["assetPositions"]}
    return sizes.get(token, Decimal(0))


def assert_position_is_the_venues(system: System, sim: Simulator, token: str) -> None:
    """Our one open position has the size and side that the venue holds."""
    ours = rows(
        system,
        "SELECT side, size FROM agentwhere.positions WHERE token_symbol = :token AND status = 'OPEN'",
        token=token,
    )
    assert len(ours) == 1
    side, size = ours[0]
    assert (size if side == "LONG" else -size) == position_at(sim, system, token)
