"""An API over a real database; ``traded`` has everything in it that a day of trading leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentwhere_flow.execution import execute_orders
from agentwhere_flow.health import report_health
from agentwhere_flow.metrics import update_metrics
from agentwhere_flow.settings import Settings
from agentwhere_flow.setup import setup
from agentwhere_flow.system import System
from tests.app.api.served import Served, serving
from tests.flow.conftest import desk, own_sim, sim, simulator_process, system
from tests.flow.scenes import place_signal
from tests.flow.world import utc_now

__all__ = ["desk", "own_sim", "sim", "simulator_process", "system"]


@pytest.fixture
def empty(database_url: str, tmp_path: Path) -> Iterator[System]:
    """A system that was set up, and holds nothing yet."""
    system = System(Settings(DATABASE_URL=database_url, home=tmp_path / "home"))
    setup(system, utc_now())
    yield system
    system.close()


@pytest.fixture
def api(empty: System) -> Iterator[Served]:
    """The API of an empty system, without keys, on the loopback interface."""
    with serving(empty) as served:
        yield served


@pytest.fixture
def traded(desk: System) -> System:
    """A system whose demonstration agent has routed, and traded."""
    place_signal(desk, "BTC", deployment="bold")
    place_signal(desk, "XAU", deployment="bold")
    place_signal(desk, "NOSUCHTOKEN", deployment="bold")
    execute_orders(desk, utc_now())
    update_metrics(desk, utc_now())
    report_health(desk, utc_now())
    return desk
