"""A venue goes away and comes back: every view of health agrees, and people hear of each once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Self

import dagster as dg
import pytest

from agentwhere_core.domain.enums import Venue
from agentwhere_flow.health import judge
from agentwhere_flow.markets import sync_markets
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.app.api.served import PATIENCE_S, Served, serving
from tests.app.browser import chromium, open_view, running
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


@pytest.fixture
def api(system: System) -> Iterator[Served]:
    with serving(system) as served:
        yield served


class Overview:
    """The overview in a browser, opened once and never loaded again.

    All calls are made in one thread of their own, since the browser's tools keep an event loop in theirs.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._end = ExitStack()

    def __enter__(self) -> Self:
        self._thread.submit(self._open).result()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(self._end.close).result()
        self._thread.shutdown()

    def wait(self, venue: str, incidents: int) -> None:
        """Wait until it says so of Hyperliquid, and shows as many incidents."""
        self._thread.submit(self._wait, venue, incidents).result()

    def _open(self) -> None:
        self._page = self._end.enter_context(running()).new_page()
        self._page.set_default_timeout(PATIENCE_S * 1000)
        open_view(self._page, self._url)
        self._page.wait_for_selector("text=Live")

    def _wait(self, venue: str, incidents: int) -> None:
        page = self._page
        page.wait_for_selector(f".components li:has-text('Hyperliquid') .pill:has-text('{venue}')")
        told = ".incidents li:has-text('hyperliquid_markets: check is_reachable failed')"
        page.wait_for_selector(told if incidents else "text=Nothing is wrong")
        assert page.locator(".incidents li").count() == incidents


@pytest.fixture
def page(api: Served) -> Iterator[Overview | None]:
    """None on a machine without Chromium."""
    if chromium() is None:
        yield None
        return
    with Overview(api.url) as overview:
        yield overview


def wait_for_api(api: Served, venue_status: str) -> dict[str, Any]:
    """Return the answer of ``/api/monitoring/health`` as soon as it says so of Hyperliquid."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        said: dict[str, Any] = api.get("/api/monitoring/health")
        if said["venues"]["hyperliquid"]["status"] == venue_status:
            return said
        assert time.monotonic() < deadline, said["venues"]["hyperliquid"]
        time.sleep(0.2)


def test_a_venue_that_goes_away_is_told_once_and_its_return_once(  # noqa: PLR0917 - one wire each
    system: System,
    sim: Simulator,
    receiver: Receiver,
    instance: dg.DagsterInstance,
    api: Served,
    page: Overview | None,
) -> None:
    for venue in system.settings.venues:
        sync_markets(system, utc_now(), venue=venue)
    monitor_positions(system, utc_now())
    daemon = Daemon(instance)
    assert all(tick(daemon).values())
    assert receiver.titles == []
    wait_for_api(api, "healthy")
    if page is not None:
        page.wait("Healthy", incidents=0)

    for service in ("hyperliquid.info", "hyperliquid.exchange"):
        sim.fault(service, "down")
    for _ in range(2):
        assert tick(daemon) == {
            "hyperliquid_markets": False,
            "lighter_markets": True,
            "ostium_markets": True,
        }
    now = utc_now()
    report = judge(system, now)
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
    told = wait_for_api(api, "critical")
    assert (told["status"], told["venues"]["lighter"]["status"]) == ("degraded", "healthy")
    if page is not None:
        page.wait("Critical", incidents=1)

    sim.http.delete("/control/faults").raise_for_status()
    assert all(tick(daemon).values())
    assert receiver.titles[1:] == ["[RECOVERED] hyperliquid_markets: check is_reachable failed"]
    assert cli_status()["alerts"] == []
    wait_for_api(api, "healthy")
    if page is not None:
        page.wait("Healthy", incidents=0)
