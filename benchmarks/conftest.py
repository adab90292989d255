"""What all benchmarks share: a PostgreSQL server that flushes to disk, and a sheet of figures at the end.

The server is the embedded one with its production settings, on a real disk: a figure without fsync would be a promise
that a power cut breaks. Settings of the caller's environment are dropped.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine

from agentwhere_flow.settings import Settings
from agentwhere_flow.system import System
from agentwhere_store.embedded import EmbeddedPostgres, ServerAddress
from benchmarks.sheet import Sheet

SETTINGS = ("AGENTWHERE_", "DAGSTER_", "DATABASE_URL", "OPENAI_", "PG")
THE_SHEET = Sheet()
numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> None:
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        del os.environ[name]


@pytest.fixture(scope="session")
def sheet() -> Sheet:
    """Where figures are written, with what they are compared with."""
    return THE_SHEET


@pytest.fixture(scope="session")
def server(clean_environment: None) -> Iterator[ServerAddress]:
    """Address of a durable server of this run's own."""
    folder = Path(tempfile.mkdtemp(prefix="agentwhere-bench-"))
    # Started by root, the server runs under another account, which must be able to pass through.
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder, durable=True)
    try:
        with postgres.running() as address:
            yield address
    finally:
        postgres.destroy()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def system(server: ServerAddress, tmp_path: Path) -> Iterator[System]:
    """Give a system on a fresh, migrated, empty database."""
    from agentwhere_store.migrate import migrate

    name = f"bench_{next(numbers)}"
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as administration:
        administration.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        migrate(server.url(name))
        system = System(Settings(DATABASE_URL=server.url(name), home=tmp_path / "home"))
        yield system
        system.close()
        drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
        administration.execute(drop)


@pytest.fixture
def engine(system: System) -> Engine:
    """Return the system's database."""
    return system.engine


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the sheet."""
    for line in THE_SHEET.lines():
        terminalreporter.write_line(line)
