"""The embedded server's promises, each against real processes and real signals."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import psycopg
import pytest

from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_store.embedded import EmbeddedPostgres, ServerAddress
from agentwhere_store.embedded.account import Account, can_run, run_as
from agentwhere_store.embedded.guardian import server_processes
from agentwhere_store.embedded.record import load_record

REPO = Path(__file__).resolve().parents[2]
USE_UNTIL_TOLD = """
import sys
from pathlib import Path
from agentwhere_store.embedded import EmbeddedPostgres
address = EmbeddedPostgres(Path(sys.argv[1]), durable=False).ensure_running()
print(address.port, flush=True)
sys.stdin.read()
"""
on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux's kernel ends a server with its guardian"
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, and these tests run without")


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that every account can enter, with nothing left of its server afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="home-", dir=os.environ["AGENTWHERE_TEST_RUN_FOLDER"]))
    folder.chmod(0o711)
    yield folder
    EmbeddedPostgres(folder).destroy()
    shutil.rmtree(folder)


@pytest.fixture
def server(home: Path) -> EmbeddedPostgres:
    """The home's server, not flushing to disk."""
    return EmbeddedPostgres(home, durable=False)


def ask(address: ServerAddress, query: str) -> object:
    with psycopg.connect(address.conninfo(), autocommit=True, connect_timeout=5) as connection:
        cursor = connection.execute(query)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def processes(home: Path) -> list[int]:
    """All processes of a home's server, as the machine knows them."""
    record = load_record(home / "postgres")
    return [] if record is None else server_processes(record.marker)


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_refused(address: ServerAddress) -> bool:
    try:
        ask(address, "SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def pid(value: int | None) -> int:
    assert value is not None
    return value


@contextmanager
def user_process(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that uses the home's server until its standard input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", USE_UNTIL_TOLD, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    with process:
        try:
            yield process
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(30)


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


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


def parent_of(process: int) -> int:
    listed = subprocess.run(
        ["ps", "-o", "ppid=", "-p", str(process)], capture_output=True, text=True, check=False
    )
    return int(listed.stdout or 0)


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


# --- what it finds at its start -------------------------------------------------------------------


def test_a_stale_pid_file_is_dropped_and_the_process_it_names_is_left_alone(
    home: Path, server: EmbeddedPostgres
) -> None:
    with server.running():
        record = load_record(home / "postgres")
    assert record is not None
    with subprocess.Popen(["sleep", "60"]) as innocent:
        lines = [innocent.pid, record.data, 1, record.port, "", "127.0.0.1", "", "ready"]
        (record.data / "postmaster.pid").write_text("\n".join(map(str, lines)))
        with server.running() as address:
            assert ask(address, "SELECT 1") == 1
            assert innocent.poll() is None
        innocent.kill()


def test_the_pid_file_of_a_dead_server_is_dropped(home: Path, server: EmbeddedPostgres) -> None:
    with server.running():
        record = load_record(home / "postgres")
    assert record is not None
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    (record.data / "postmaster.pid").write_text(f"{ended.pid}\n{record.data}\n")
    with server.running() as address:
        assert ask(address, "SELECT 1") == 1


def test_a_data_directory_that_was_begun_and_not_finished_is_begun_anew(
    home: Path, server: EmbeddedPostgres
) -> None:
    with server.running():
        record = load_record(home / "postgres")
    assert record is not None
    record.data.rename(record.data.with_name("data.new"))
    with server.running() as address:
        assert ask(address, "SELECT 1") == 1


def test_a_port_taken_by_somebody_else_is_exchanged(server: EmbeddedPostgres) -> None:
    with server.running() as first:
        pass
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", first.port))
        stranger.listen()
        with server.running() as second:
            assert second.port != first.port
            assert ask(second, "SELECT 1") == 1
            assert server.url() == second.url()


def test_a_home_that_was_copied_gets_a_server_of_its_own(
    home: Path, server: EmbeddedPostgres
) -> None:
    with server.running() as original:
        ask(original, "CREATE TABLE original AS SELECT 1 AS n")
    copied = home.with_name(f"{home.name}-copy")
    copied.mkdir(mode=0o711)
    subprocess.run(["cp", "-a", f"{home}/.", str(copied)], check=True)
    copy = EmbeddedPostgres(copied, durable=False)
    try:
        with server.running() as address, copy.running() as other:
            assert other.port != address.port
            ask(other, "DROP TABLE original")
            assert ask(address, "SELECT n FROM original") == 1
    finally:
        copy.destroy()
        shutil.rmtree(copied)


def test_a_server_that_does_not_flush_is_not_taken_for_a_durable_one(home: Path) -> None:
    with (
        EmbeddedPostgres(home, durable=False).running(),
        pytest.raises(ConfigurationError, match="without flushing"),
    ):
        EmbeddedPostgres(home).ensure_running()
    with EmbeddedPostgres(home).running() as address:
        assert ask(address, "SHOW fsync") == "on"


# --- who may see and use it -----------------------------------------------------------------------


def test_there_is_no_url_before_the_first_start(home: Path) -> None:
    with pytest.raises(ConfigurationError, match="agentwhere setup"):
        EmbeddedPostgres(home).url()


def test_only_the_owner_reads_the_password_and_only_the_password_opens_it(
    home: Path, server: EmbeddedPostgres
) -> None:
    with server.running() as address:
        for path in (home / "postgres").iterdir():
            if path.is_file():
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert address.password not in repr(address)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            ask(ServerAddress(port=address.port, password="guess"), "SELECT 1")
        assert ask(address, "SHOW listen_addresses") == "127.0.0.1"
        assert ask(address, "SHOW unix_socket_directories") == ""


@as_root
def test_root_borrows_an_account_for_the_server(server: EmbeddedPostgres) -> None:
    with server.running():
        status = server.status()
        owner = Path(f"/proc/{pid(status.server_pid)}").stat().st_uid
        assert owner in {pwd.getpwnam("nobody").pw_uid, account_id("postgres")}
        assert status.data_directory is not None
        assert status.data_directory.stat().st_uid == owner


def account_id(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


@as_root
def test_a_home_that_the_account_cannot_enter_keeps_its_data_elsewhere(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "home", durable=False)
    with server.running() as address:
        assert ask(address, "SELECT 1") == 1
        data = server.status().data_directory
        assert data is not None
        assert not data.is_relative_to(closed)
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    server.destroy()
    assert not data.parent.exists()


@as_root
def test_an_ordinary_user_runs_it_under_the_own_account(home: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    account = Account("nobody", nobody.pw_uid, nobody.pw_gid)
    theirs = home / "theirs"
    theirs.mkdir()
    os.chown(theirs, account.uid, account.gid)
    script = USE_UNTIL_TOLD + f"assert {account.uid} == __import__('os').geteuid()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO), *site_packages()])}
    for python in (sys.executable, "/usr/bin/python3"):
        probe = [python, "-c", "import sys, psycopg, agentwhere_store; print(sys.version_info[:2])"]
        version = f"{sys.version_info[:2]}\n"
        if can_run(account, Path(python)) and run_as(account, probe, environment).stdout == version:
            break
    else:
        pytest.skip("no Python here that the account nobody can run with these packages")
    outcome = run_as(account, [python, "-c", script, str(theirs)], environment)
    assert outcome.returncode == 0, outcome.stderr
    assert eventually(lambda: processes(theirs) == [])
    record = load_record(theirs / "postgres")
    assert record is not None
    assert record.data.is_relative_to(theirs)
    assert record.data.stat().st_uid == account.uid
    with EmbeddedPostgres(theirs, durable=False).running() as address:
        assert ask(address, "SELECT 1") == 1, "root goes on with a user's home"
    made = [path for path in theirs.rglob("*") if path.stat().st_uid != account.uid]
    assert made == [], "and leaves nothing in it that the user cannot use"


def site_packages() -> list[str]:
    return [entry for entry in sys.path if entry.endswith("site-packages")]


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
