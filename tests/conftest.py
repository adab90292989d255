"""What all tests share: a PostgreSQL server of the test run's own, and a database per test.

Nothing of the user's set-up reaches a test: settings are dropped from the environment, and
AGENTWHERE_HOME is a folder of this run. The server is shared by all xdist workers and ends with the
last of them, however they end; see `agentwhere_store.embedded`.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from psycopg import sql

from agentwhere_store.embedded import EmbeddedPostgres, ServerAddress

RUN_FOLDER = "AGENTWHERE_TEST_RUN_FOLDER"
RUN_PREFIX = "agentwhere-test-"
TEMPLATE = "agentwhere_template"
Administration = psycopg.Connection[tuple[Any, ...]]
ROOM_BYTES = 2 * 1024**3
SETTINGS = ("AGENTWHERE_", "DAGSTER_", "DATABASE_URL", "OPENAI_", "PG")

# Speed is no promise of a test; and what fails for one must fail for all.
UNHURRIED: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [hypothesis.HealthCheck.too_slow],
}
hypothesis.settings.register_profile("everywhere", **UNHURRIED)
hypothesis.settings.register_profile("ci", derandomize=True, **UNHURRIED)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "everywhere")


def pytest_configure(config: pytest.Config) -> None:
    """Give the run a folder of its own; workers inherit its name."""
    if hasattr(config, "workerinput"):
        return
    remove_abandoned_folders()
    folder = Path(tempfile.mkdtemp(prefix=RUN_PREFIX, dir=fastest_place()))
    # Started by root, the server runs under another account, which must be able to pass through.
    folder.chmod(0o711)
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        del os.environ[name]
    os.environ |= {RUN_FOLDER: str(folder), "AGENTWHERE_HOME": str(folder / "home")}
    lock = os.open(folder / "run.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)

    def clean_up() -> None:
        with suppress(FileNotFoundError):
            EmbeddedPostgres(folder / "server").destroy()
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)

    config.add_cleanup(clean_up)


def fastest_place() -> Path:
    """Return the folder for the run's files: in memory where that is roomy.

    Copying the template database takes 13 ms there, and up to 270 ms on a disk.
    """
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK):
        room = os.statvfs(memory)
        if room.f_bavail * room.f_frsize > ROOM_BYTES and not room.f_flag & os.ST_NOEXEC:
            return memory
    return Path(tempfile.gettempdir())


def remove_abandoned_folders() -> None:
    """Remove what killed runs left: folders whose lock nobody holds."""
    for folder in fastest_place().glob(f"{RUN_PREFIX}*"):
        with suppress(OSError):
            lock = os.open(folder / "run.lock", os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Let one process of this test run at a time pass."""
    with Path(os.environ[RUN_FOLDER], f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[ServerAddress]:
    """Address of the run's PostgreSQL server, which flushes nothing to disk."""
    server = EmbeddedPostgres(Path(os.environ[RUN_FOLDER], "server"), durable=False)
    with server.running() as address:
        yield address


@pytest.fixture(scope="session")
def administration(postgres_server: ServerAddress) -> Iterator[Administration]:
    """Connection that makes and drops databases."""
    with psycopg.connect(postgres_server.conninfo("postgres"), autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def template_database(postgres_server: ServerAddress, administration: Administration) -> str:
    """Name of a database with the newest schema and no rows, to be copied by `database_url`."""
    from agentwhere_store.migrate import migrate

    known = "SELECT 1 FROM pg_database WHERE datname = %s AND datistemplate"
    with one_at_a_time("template"):
        if administration.execute(known, [TEMPLATE]).fetchone() is None:
            administration.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
            administration.execute(f"CREATE DATABASE {TEMPLATE}")
            migrate(postgres_server.url(TEMPLATE))
            administration.execute(f"ALTER DATABASE {TEMPLATE} IS_TEMPLATE true")
    return TEMPLATE


numbers = itertools.count(1)


@pytest.fixture
def database_url(
    postgres_server: ServerAddress, administration: Administration, template_database: str
) -> Iterator[str]:
    """SQLAlchemy URL of a fresh, migrated, empty database of this test's own."""
    name = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{next(numbers)}"
    # Copying files takes half the time of the default, which writes them to the log as well.
    copy = "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"
    names = sql.Identifier(name), sql.Identifier(template_database)
    administration.execute(sql.SQL(copy).format(*names))
    yield postgres_server.url(name)
    administration.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
