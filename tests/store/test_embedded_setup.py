"""What the embedded server finds at its start, and who may see and use it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_store.embedded import EmbeddedPostgres, ServerAddress
from agentwhere_store.embedded.account import Account, can_run, run_as
from agentwhere_store.embedded.record import load_record
from tests.store.servers import (
    REPO,
    USE_UNTIL_TOLD,
    ask,
    eventually,
    pid,
    processes,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, and these tests run without")


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
