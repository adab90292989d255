"""A venue goes away and comes back: every view of health agrees, and people hear of each once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import dagster as dg

from agentwhere_core.domain.enums import Venue
from agentwhere_core.health.rules import assess
from agentwhere_flow.health import measure
from agentwhere_flow.markets import sync_markets
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.dagster.daemon import Daemon
from tests.flow.receiver import Receiver
from tests.flow.world import utc_now

CHECK = "is_reachable"


def tick(daemon: Daemon) -> dict[str, bool]:
    """Let the health job run, then the sensors; return what the reachability checks said."""
    health = daemon.run("health_monitoring")
    assert health.success
    daemon.hear()
    return {
        evaluation.asset_key.to_user_string(): evaluation.passed
        for evaluation in health.get_asset_check_evaluations()
        if evaluation.check_name == CHECK
    }


def cli_status() -> dict[str, Any]:
    command = [sys.executable, "-m", "agentwhere_app", "status", "--json"]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=True)
    state: dict[str, Any] = json.loads(done.stdout)
    return state


def test_a_venue_that_goes_away_is_told_once_and_its_return_once(
    system: System, sim: Simulator, receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    for venue in system.settings.venues:
        sync_markets(system, utc_now(), venue=venue)
    monitor_positions(system, utc_now())
    daemon = Daemon(instance)
    assert all(tick(daemon).values())
    assert receiver.titles == []

    for service in ("hyperliquid.info", "hyperliquid.exchange"):
        sim.fault(service, "down")
    for _ in range(2):
        assert tick(daemon) == {
            "hyperliquid_markets": False,
            "lighter_markets": True,
            "ostium_markets": True,
        }
    now = utc_now()
    report = assess(measure(system, now), now)
    assert report.status.value == "degraded"
    assert report.component(f"venue:{Venue.HYPERLIQUID}").status.value == "critical"
    said = cli_status()
    assert said["health"]["status"] == "degraded"
    assert said["health"]["report"]["venues"]["hyperliquid"]["status"] == "critical"
    assert [alert["title"] for alert in said["alerts"]] == [
        "hyperliquid_markets: check is_reachable failed"
    ]
    assert receiver.titles == ["[CRITICAL] hyperliquid_markets: check is_reachable failed"]
    assert "sync-markets HYPERLIQUID" in receiver.messages[0]["message"]

    sim.http.delete("/control/faults").raise_for_status()
    assert all(tick(daemon).values())
    assert receiver.titles[1:] == ["[RECOVERED] hyperliquid_markets: check is_reachable failed"]
    assert cli_status()["alerts"] == []
