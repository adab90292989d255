"""Dagster as tests meet it: an instance in memory, over a real database and a real simulator process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from agentwhere_dagster.storage import PooledPostgresStorage
from agentwhere_flow.demo import create_demo
from agentwhere_flow.settings import Settings
from agentwhere_flow.setup import setup
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator, own_sim, sim, simulator_process
from agentwhere_store.engine import dagster_url
from agentwhere_store.migrate import migrate
from tests.flow.receiver import Receiver, receiving
from tests.flow.world import utc_now

__all__ = ["own_sim", "sim", "simulator_process"]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance of this test's own."""
    quiet = {"telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=quiet) as local:
        yield local


@pytest.fixture
def url(database_url: str) -> str:
    """Dagster's URL of a database with a schema for it."""
    migrate(database_url)
    return dagster_url(database_url)


@pytest.fixture
def pooled(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """An instance that is configured as `dagster.yaml` does it."""
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
    storage = {
        "custom": {
            "module": PooledPostgresStorage.__module__,
            "class": PooledPostgresStorage.__name__,
            "config": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}},
        }
    }
    quiet = {"storage": storage, "telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=quiet) as instance:
        yield instance
        for kept in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
            kept._engine.dispose()  # type: ignore[union-attr]


@pytest.fixture
def database_only(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[System]:
    """A system as the environment describes it, for what asks nobody but the database."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("AGENTWHERE_HOME", str(tmp_path / "home"))
    system = System(Settings())
    yield system
    system.close()


@pytest.fixture
def system(
    sim: Simulator, database_only: System, monkeypatch: pytest.MonkeyPatch
) -> Iterator[System]:
    """A system as the environment describes it: set up, with the demonstration's agent."""
    monkeypatch.setenv("AGENTWHERE_SIM_PORT", sim.url.rsplit(":", 1)[1])
    monkeypatch.setenv("AGENTWHERE_HTTP_TIMEOUT_S", "5")
    system = System(Settings())
    setup(system, utc_now())
    create_demo(system, utc_now())
    yield system
    system.close()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """An operator's receiver of alerts, the only target there is."""
    with receiving() as server:
        monkeypatch.setenv("AGENTWHERE_ALERT_TARGETS", "ops")
        monkeypatch.setenv("AGENTWHERE_SECRET_ALERT_OPS", server.address)
        yield server
