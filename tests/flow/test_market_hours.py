"""Market hours through the whole path: the euro on a Saturday is refused, and everybody is told until when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.reasons import Reason
from agentwhere_flow.demo import create_demo
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.markets import sync_markets
from agentwhere_flow.routing import explain_route
from agentwhere_flow.setup import setup
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.scenes import place_signal
from tests.flow.world import open_system, rows, utc_now

VENUES = (Venue.HYPERLIQUID, Venue.OSTIUM)
FRIDAY = "2026-11-20T15:00:00+00:00"
SATURDAY = "2026-11-21T12:00:00+00:00"
# The foreign exchange opens on Sunday at 17:00 in New York, which is 22:00 UTC in winter.
UNTIL_IT_OPENS = timedelta(hours=34)
SUNDAY_EVENING = "2026-11-22T22:05:00+00:00"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Simulator]:
    """A world with real market hours, in the folder where the command line looks for it."""
    simulator = Simulator(tmp_path / "home" / "sim")
    simulator.control("hours", mode="real")
    yield simulator
    simulator.stop()


@pytest.fixture
def home(world: Simulator, database_url: str, tmp_path: Path) -> Iterator[System]:
    """The demonstration in that world, without the venue that trades the euro round the clock."""
    with closing(open_system(world, database_url, tmp_path / "home", venues=VENUES)) as system:
        setup(system, utc_now())
        create_demo(system, utc_now())
        yield system


def go_to(system: System, world: Simulator, moment: str) -> datetime:
    """Move the venue's clock, read its list again, and return when that was by ours."""
    world.control("clock", now=moment)
    synced_at = utc_now()
    for venue in system.settings.venues:
        sync_markets(system, synced_at, venue=venue)
    return synced_at


def cli(system: System, *arguments: str) -> str:
    url = system.settings.database_url
    assert url is not None
    environment = os.environ | {
        "DATABASE_URL": url.get_secret_value(),
        "AGENTWHERE_HOME": str(system.settings.home),
        "AGENTWHERE_SIM_PORT": str(system.settings.sim_port),
        "AGENTWHERE_VENUES": ",".join(VENUES),
    }
    answer = subprocess.run(
        [sys.executable, "-m", "agentwhere_app", *arguments],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_the_euro_on_a_saturday_is_refused_with_the_time_it_opens(
    home: System, world: Simulator
) -> None:
    opens_at = go_to(home, world, SATURDAY) + UNTIL_IT_OPENS
    until = f"closed until {opens_at:%Y-%m-%d %H:}"

    decision = explain_route(home, utc_now(), "EUR")
    assert decision.selected_venue is None
    ostium = next(check for check in decision.checked if check.venue is Venue.OSTIUM)
    assert (ostium.reason, until in ostium.detail) == (Reason.MARKET_CLOSED, True)

    told = cli(home, "route", "EUR", "--explain")
    assert until in told
    assert "MARKET_CLOSED" in told
    as_json = json.loads(cli(home, "route", "EUR/USD", "--json"))
    reasons = {one["venue"]: one["reason"] for one in as_json["venue_availability"]}
    assert reasons["OSTIUM"] == "MARKET_CLOSED"

    place_signal(home, "EUR", deployment="bold", venue=Venue.OSTIUM)
    history = "SELECT selected_venue, routing_reason, story FROM agentwhere.venue_routing_history"
    [(selected, reason, story)] = rows(home, history)
    assert (selected, reason) == (None, "MARKET_CLOSED")
    assert until in story
    assert execute_orders(home, utc_now()).rows_in == 0


def test_a_signal_that_was_routed_in_time_waits_for_the_market_to_open(
    home: System, world: Simulator
) -> None:
    go_to(home, world, FRIDAY)
    place_signal(home, "EUR", deployment="bold")
    world.control("clock", now=SATURDAY)

    assert execute_orders(home, utc_now()).refusals == {"MARKET_CLOSED": 1}
    assert rows(home, "SELECT count(*) FROM agentwhere.orders") == [(0,)]

    world.control("clock", now=SUNDAY_EVENING)
    assert execute_orders(home, utc_now()).rows_out == 1
    assert explain_route(home, utc_now(), "EUR").selected_venue is Venue.OSTIUM
