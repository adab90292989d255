"""Helpers of the flow's tests: a system on a simulator and a database, and questions to that database."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from agentwhere_flow.settings import Settings
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator


def open_system(simulator: Simulator, database_url: str, home: Path, **settings: Any) -> System:
    """Return a system of the profile ``sim`` on this simulator and database."""
    port = int(simulator.url.rsplit(":", 1)[1])
    given = {"http_timeout_s": 5, "llm_timeout_s": 5, **settings}
    return System(Settings(DATABASE_URL=database_url, home=home, sim_port=port, **given))


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def rows(system: System, query: str, **values: Any) -> list[tuple[Any, ...]]:
    """Return what a query answers."""
    with system.engine.begin() as conn:
        return [tuple(row) for row in conn.execute(text(query), values)]


def contents(system: System, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the tables, to be compared with a later look."""
    return {
        table: sorted(rows(system, f"SELECT * FROM agentwhere.{table}"), key=str)
        for table in tables
    }
