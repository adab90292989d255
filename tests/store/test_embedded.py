"""Who keeps the embedded server alive, and what kill -9 does: real processes, real signals."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import psycopg
import pytest

from agentwhere_store.embedded import EmbeddedPostgres, ServerAddress
from tests.store.servers import (
    REPO,
    ask,
    eventually,
    parent_of,
    pid,
    port_of,
    processes,
    user_process,
)

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux's kernel ends a server with its guardian"
)


# --- who keeps it alive ---------------------------------------------------------------------------


def test_the_first_user_starts_it_and_the_last_one_ends_it(home: Path) -> None:
    first, second = EmbeddedPostgres(home, durable=False), EmbeddedPostgres(home, durable=False)
    address = first.ensure_running()
    assert second.ensure_running() == address
    first.release()
    assert ask(address, "SELECT current_database()") == "agentwhere"
    second.release()
    assert processes(home) == []
    assert not first.status().running


def test_what_was_written_is_there_at_the_next_start(server: EmbeddedPostgres) -> None:
    with server.running() as address:
        ask(address, "CREATE TABLE kept AS SELECT 7 AS n")
    with server.running() as again:
        assert again == address
        assert ask(again, "SELECT n FROM kept") == 7


def test_stop_ends_it_for_everybody_and_a_user_can_start_it_again(home: Path) -> None:
    with user_process(home) as other:
        port = port_of(other)
        EmbeddedPostgres(home, durable=False).stop()
        assert processes(home) == []
        with EmbeddedPostgres(home, durable=False).running() as address:
            assert address.port == port
            assert ask(address, "SELECT 1") == 1


def test_it_outlives_the_thread_that_started_it(server: EmbeddedPostgres) -> None:
    starter = threading.Thread(target=server.ensure_running)
    starter.start()
    starter.join()
    assert ask(server.ensure_running(), "SELECT 1") == 1
    first_pid = server.status().server_pid
    time.sleep(0.6)
    assert server.status().server_pid == first_pid


def test_a_forgotten_object_still_uses_it(home: Path) -> None:
    address = EmbeddedPostgres(home, durable=False).ensure_running()
    time.sleep(0.6)
    assert ask(address, "SELECT 1") == 1


def test_a_killed_user_takes_its_server_along(home: Path) -> None:
    with user_process(home) as user:
        port_of(user)
        assert processes(home)
        user.kill()
        user.wait()
        assert eventually(lambda: processes(home) == [])


def test_a_killed_user_leaves_it_to_the_others(home: Path, server: EmbeddedPostgres) -> None:
    with user_process(home) as first:
        port_of(first)
        address = server.ensure_running()
        first.kill()
        first.wait()
        time.sleep(0.6)
        assert ask(address, "SELECT 1") == 1


def test_twenty_starters_at_once_end_with_one_server(home: Path) -> None:
    users = [user_process(home) for _ in range(20)]
    running = [user.__enter__() for user in users]
    try:
        assert len({port_of(process) for process in running}) == 1
        status = EmbeddedPostgres(home).status()
        postmasters = [
            process for process in processes(home) if parent_of(process) == status.guardian_pid
        ]
        assert postmasters == [status.server_pid]
        assert len({parent_of(process) for process in processes(home)}) == 2
    finally:
        for user in users:
            user.__exit__(None, None, None)
    assert eventually(lambda: processes(home) == [])


# --- kill -9 --------------------------------------------------------------------------------------


class Writer:
    """A client that inserts numbers one by one and remembers which commits were acknowledged."""

    def __init__(self, address: ServerAddress) -> None:
        self._address = address
        self.acknowledged: list[int] = []
        self._thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        with (
            suppress(psycopg.OperationalError),
            psycopg.connect(self._address.conninfo(), autocommit=True) as connection,
        ):
            while True:
                number = len(self.acknowledged)
                connection.execute("INSERT INTO written VALUES (%s)", [number])
                self.acknowledged.append(number)

    def __enter__(self) -> Self:
        self._thread.start()
        assert eventually(lambda: len(self.acknowledged) > 50)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()


def killed_while_writing(home: Path, victim: Callable[[EmbeddedPostgres], int]) -> None:
    server = EmbeddedPostgres(home)
    address = server.ensure_running()
    ask(address, "CREATE TABLE written (n int)")
    with Writer(address) as writer:
        os.kill(victim(server), signal.SIGKILL)
    again = server.ensure_running()
    assert again == address
    with psycopg.connect(again.conninfo()) as connection:
        found = {row[0] for row in connection.execute("SELECT n FROM written")}
    assert found >= set(writer.acknowledged)


def test_acknowledged_commits_survive_a_killed_server(home: Path) -> None:
    killed_while_writing(home, lambda server: pid(server.status().server_pid))


def test_acknowledged_commits_survive_a_killed_backend(home: Path) -> None:
    def backend(server: EmbeddedPostgres) -> int:
        query = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'INSERT INTO written%'"
        found = ask(server.ensure_running(), query)
        assert isinstance(found, int)
        return found

    killed_while_writing(home, backend)


@on_linux
def test_acknowledged_commits_survive_a_killed_guardian(home: Path) -> None:
    killed_while_writing(home, lambda server: pid(server.status().guardian_pid))


def test_a_killed_server_comes_back_by_itself(server: EmbeddedPostgres) -> None:
    address = server.ensure_running()
    killed = pid(server.status().server_pid)
    os.kill(killed, signal.SIGKILL)
    assert eventually(lambda: server.status().server_pid not in (None, killed))
    assert ask(address, "SELECT 1") == 1


@on_linux
def test_a_killed_guardian_takes_its_server_along(home: Path, server: EmbeddedPostgres) -> None:
    server.ensure_running()
    os.kill(pid(server.status().guardian_pid), signal.SIGKILL)
    assert eventually(lambda: processes(home) == [])


def test_a_backend_too_busy_to_notice_its_servers_death_holds_nothing_up(
    home: Path, server: EmbeddedPostgres
) -> None:
    address = server.ensure_running()
    busy = "SELECT count(*) FROM generate_series(1, 1000000000) AS a, generate_series(1, 1000) AS b"

    def count() -> None:
        with suppress(psycopg.OperationalError):
            ask(address, busy)

    client = threading.Thread(target=count)
    client.start()
    found = f"SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query = '{busy}'"
    assert eventually(lambda: ask(address, found) is not None)
    backend = ask(address, found)
    assert isinstance(backend, int)
    time.sleep(0.3)
    os.kill(pid(server.status().server_pid), signal.SIGKILL)
    assert server.ensure_running() == address
    assert ask(address, "SELECT 1") == 1
    assert backend not in processes(home)
    client.join(30)
    assert not client.is_alive()


# --- these tests themselves -----------------------------------------------------------------------

HANGING_TEST = """
import os, pathlib, time

def test_hangs(database_url):
    pathlib.Path(__file__).with_name("hangs").write_text(os.environ["AGENTWHERE_TEST_RUN_FOLDER"])
    time.sleep(120)
"""


@on_linux
def test_a_killed_test_run_leaves_no_server(tmp_path: Path) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGING_TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(tmp_path), "-c", os.devnull, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": f"{REPO / 'tests'}{os.pathsep}{REPO}"}
    told = tmp_path / "hangs"
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as run:
        assert eventually(lambda: told.exists() and told.read_text() != "", within_s=60)
        folder = Path(told.read_text())
        assert processes(folder / "server")
        run.kill()
    assert eventually(lambda: processes(folder / "server") == [])
    shutil.rmtree(folder)
