"""The flow as tests meet it: a real database, a real simulator process, and the clients that production uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentwhere_flow.demo import create_demo
from agentwhere_flow.markets import sync_markets
from agentwhere_flow.setup import setup
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator, own_sim, sim, simulator_process
from tests.flow.world import open_system, utc_now

__all__ = ["own_sim", "sim", "simulator_process"]


@pytest.fixture
def system(sim: Simulator, database_url: str, tmp_path: Path) -> Iterator[System]:
    """A system whose database has tables and no rows."""
    system = open_system(sim, database_url, tmp_path / "home")
    yield system
    system.close()


@pytest.fixture
def desk(system: System) -> System:
    """A system with the default routing, the demonstration's agent, and every venue synced."""
    setup(system, utc_now())
    create_demo(system, utc_now())
    for venue in system.settings.venues:
        sync_markets(system, utc_now(), venue=venue)
    return system
