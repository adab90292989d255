"""What leaves the machine, by profile: nothing in sim, questions in paper, orders only by three keys (X7)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.http import HttpClient
from agentwhere_flow.demo import create_demo
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.markets import sync_markets
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.profiles import endpoints
from agentwhere_flow.settings import Profile, Settings
from agentwhere_flow.setup import setup
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.scenes import place_signal
from tests.flow.venue import hand_of
from tests.flow.world import open_system, rows, utc_now

VENUES = ("hyperliquid", "lighter", "ostium")
LOOPBACK = {"127.0.0.1", "localhost", "::1", None}
# Named here once more, so that an edit of the profiles cannot allow itself another host.
MAY_BE_ASKED_IN_PAPER = {
    "api.hyperliquid.xyz": "HYPERLIQUID",
    "metadata-backend.ostium.io": "OSTIUM",
    "subgraph.satsuma-prod.com": "OSTIUM",
    "mainnet.zklighter.elliot.ai": "LIGHTER",
    "api.x.com": "X",
    "openrouter.ai": "model",
}
WHOLE_CYCLE = """
import json, sys
from contextlib import suppress

asked = set()

def watch(event, args):
    if event == "socket.connect":
        host = args[1][0] if isinstance(args[1], tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0].decode() if isinstance(args[0], bytes) else args[0]
    else:
        return
    asked.add((event, host))
    if host not in ("127.0.0.1", "localhost", None):
        raise OSError("this test has no network")

sys.addaudithook(watch)

from agentwhere_core.domain.errors import AgentWhereError
from agentwhere_core.domain.time import utc_now
from agentwhere_flow import classify, execution, health, markets, metrics, policy, positions
from agentwhere_flow import posts, routing, signals
from agentwhere_flow.settings import Settings
from agentwhere_flow.system import System

system = System(Settings())
steps = [lambda s, now, v=v: markets.sync_markets(s, now, venue=v) for v in system.settings.venues]
steps += [posts.ingest_posts, classify.classify_posts, signals.generate_signals, policy.apply_policies]
steps += [routing.route_signals, execution.execute_orders, positions.monitor_positions, metrics.update_metrics]
steps += [health.report_health]
worked = 0
for step in steps:
    with suppress(AgentWhereError):
        step(system, utc_now())
        worked += 1
system.close()
print("RESULT", json.dumps({"asked": sorted(asked, key=str), "steps": len(steps), "worked": worked}))
"""


def run_cycle(system: System, **environment: str) -> dict[str, Any]:
    """Run every step in a process whose every connection is watched; return whom it asked for."""
    url = system.settings.database_url
    assert url is not None
    settings = {
        "DATABASE_URL": url.get_secret_value(),
        "AGENTWHERE_HOME": str(system.settings.home),
        "AGENTWHERE_SIM_PORT": str(system.settings.sim_port),
    }
    answer = subprocess.run(
        [sys.executable, "-c", WHOLE_CYCLE],
        cwd=Path(__file__).parents[2],
        env=os.environ | settings | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    told = next(line for line in answer.stdout.splitlines() if line.startswith("RESULT "))
    result: dict[str, Any] = json.loads(told.removeprefix("RESULT "))
    return result


def test_in_sim_no_socket_opens_beyond_this_machine(desk: System) -> None:
    place_signal(desk, "BTC", deployment="bold")
    place_signal(desk, "XAU", deployment="bold")
    place_signal(desk, "ETH", deployment="bold", venue=Venue.LIGHTER)
    said = run_cycle(desk)
    assert said["worked"] == said["steps"]
    assert {host for _, host in said["asked"]} <= LOOPBACK
    filled = "SELECT DISTINCT venue FROM agentwhere.orders WHERE state = 'FILLED' ORDER BY 1"
    assert rows(desk, filled) == [("HYPERLIQUID",), ("LIGHTER",), ("OSTIUM",)]


def test_in_paper_only_public_data_is_asked_for(desk: System) -> None:
    """With no network: whom the whole cycle would have asked, holding a position and with entries to place."""
    place_signal(desk, "ETH", deployment="bold", venue=Venue.LIGHTER)
    execute_orders(desk, utc_now())
    place_signal(desk, "BTC", deployment="bold")
    place_signal(desk, "XAU", deployment="bold")
    said = run_cycle(
        desk,
        AGENTWHERE_PROFILE="paper",
        AGENTWHERE_LIVE="yes",
        AGENTWHERE_X_BEARER_TOKEN="none",
        AGENTWHERE_LLM_API_KEY="none",
    )
    outside = {host for _, host in said["asked"]} - LOOPBACK
    assert {"HYPERLIQUID", "LIGHTER"} <= {MAY_BE_ASKED_IN_PAPER.get(host) for host in outside}
    assert outside <= MAY_BE_ASKED_IN_PAPER.keys()
    entries = "SELECT count(*) FROM agentwhere.orders WHERE token_symbol IN ('BTC', 'XAU')"
    assert rows(desk, entries) == [(0,)], "without prices nothing is traded"


@pytest.mark.parametrize("profile", list(Profile))
def test_orders_go_where_the_profile_says_and_are_signed_for_no_other_chain(
    profile: Profile,
) -> None:
    wild = {"ostium_rpc_url": "https://arb1.example/rpc", "ostium_mainnet": "yes", "live": "yes"}
    wild |= {
        "hyperliquid_data_url": "https://data.example",
        "lighter_data_url": "https://d.example",
    }
    found = endpoints(Settings(profile=profile, **wild))
    chain = found.ostium_chain
    assert chain is not None
    is_live = profile is Profile.LIVE
    assert found.hyperliquid_is_mainnet is is_live
    assert found.lighter_is_mainnet is is_live
    assert (chain.chain_id == 42_161) is is_live
    if profile in {Profile.SIM, Profile.PAPER}:
        assert found.trade_hosts == {"127.0.0.1"}
    else:
        assert "127.0.0.1" not in found.trade_hosts
    assert not {"data.example", "d.example"} & found.trade_hosts


def test_what_may_only_be_read_from_is_never_written_to() -> None:
    http = HttpClient(
        "lighter", allowed_hosts=frozenset({"public.example"}), writable_hosts=frozenset()
    )
    with pytest.raises(ConfigurationError, match="nothing was sent"):
        http.write("https://public.example/api/v1/sendTx", b"{}")
    http.close()


@pytest.mark.parametrize("profile", [Profile.TESTNET, Profile.LIVE])
@pytest.mark.parametrize("missing", ["switch", "key", "nothing"])
def test_an_order_leaves_only_with_profile_switch_and_key(
    desk: System, sim: Simulator, profile: Profile, missing: str
) -> None:
    """The venues' own addresses are exchanged for the simulator's: what would leave arrives there."""
    place_signal(desk, "BTC", deployment="bold", venue=Venue.HYPERLIQUID)
    bold = hand_of(desk, sim, "bold")
    keys = desk.settings.home / "secrets" / bold.account.key_name
    if missing == "key":
        keys.rename(keys.with_name("elsewhere"))
    live = "" if missing == "switch" else "yes"
    changed = {"profile": profile, "live": live}
    with closing(System(desk.settings.model_copy(update=changed))) as system:
        system.endpoints = desk.endpoints
        report = execute_orders(system, utc_now())

    assert len(bold.entries("BTC")) == (1 if missing == "nothing" else 0)
    if missing == "switch":
        assert report.refusals == {"LIVE_TRADING_OFF": 1}
    if missing == "key":
        assert bold.account.key_name in report.problems[0]


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Simulator]:
    """What stands for the real venues: they must never see an order."""
    simulator = Simulator(tmp_path / "real", seed=99)
    yield simulator
    simulator.stop()


@pytest.fixture
def paper(real: Simulator, tmp_path: Path, database_url: str) -> Iterator[tuple[System, Simulator]]:
    """A system of the profile paper, and the simulator that it trades in."""
    follower = Simulator(tmp_path / "follower", follow={v: f"{real.url}/{v}" for v in VENUES})
    home = tmp_path / "home"
    with closing(open_system(follower, database_url, home)) as simulated:
        setup(simulated, utc_now())
        create_demo(simulated, utc_now())
    system = open_system(
        follower,
        database_url,
        home,
        profile=Profile.PAPER,
        hyperliquid_data_url=f"{real.url}/hyperliquid",
        ostium_data_url=f"{real.url}/ostium",
        ostium_data_subgraph_url=f"{real.url}/ostium/subgraph",
        lighter_data_url=f"{real.url}/lighter",
    )
    yield system, follower
    system.close()
    follower.stop()


def test_paper_trades_at_the_public_prices_and_sends_nothing_there(
    paper: tuple[System, Simulator], real: Simulator
) -> None:
    system, follower = paper
    real.control("prices", BTC="91000")
    await_price(follower, Decimal(91000))
    for venue in system.settings.venues:
        sync_markets(system, utc_now(), venue=venue)
    place_signal(system, "BTC", deployment="bold", take_profit_pct="2")
    assert execute_orders(system, utc_now()).rows_out == 1

    [(entry, target)] = rows(
        system, "SELECT entry_price, take_profit_price FROM agentwhere.positions"
    )
    assert abs(entry - 91000) < 91
    real.control("prices", BTC=str(target + 200))
    await_price(follower, target + 200)
    monitor_positions(system, utc_now())

    ended = rows(system, "SELECT status, exit_reason FROM agentwhere.positions")
    assert ended == [("CLOSED", "TAKE_PROFIT")]
    for venue in ("HYPERLIQUID", "LIGHTER", "OSTIUM"):
        reply = real.http.get("/control/orders", params={"venue": venue, "all": "1"})
        assert reply.json()["orders"] == []


def await_price(simulator: Simulator, price: Decimal) -> None:
    """Wait until the simulator's bitcoin costs ``price``."""
    deadline = time.monotonic() + 60
    while True:
        mids = simulator.http.post("/hyperliquid/info", json={"type": "allMids"}).json()
        if abs(Decimal(mids["BTC"]) - price) < price / 10_000:
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)
