"""A PostgreSQL server of the home's own, that runs while somebody uses it.

``EmbeddedPostgres(home).ensure_running()`` makes this process a *user* of the home's server. The
first user sets it up and starts its guardian (see `guardian`); the others find it running. It ends,
by a fast shutdown, when the last user has gone, whether by `release`, by its end or by ``kill -9``.
A server that is killed is started again by the guardian; a guardian that is killed takes its server
along, and the next `ensure_running` of any user starts both.

What it leaves on the machine: ``<home>/postgres`` (record with port and password, locks, data) and
``<home>/logs/postgres.log``. Started by root, the server runs as the home's owner, ``postgres`` or
``nobody``, and the data belong to that account. Where it cannot enter the home (a home below
``/root``, for example), the data live in ``/var/lib/agentwhere-<key>``, named in the record; where it
cannot run the wheel's programs, they are copied there once. `destroy` removes all of it.

It listens on the loopback interface only, and asks for its password; there is no Unix socket.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from agentwhere_core.domain.errors import ConfigurationError, UnreachableError
from agentwhere_store.embedded import guardian
from agentwhere_store.embedded.account import keep_owner, server_account
from agentwhere_store.embedded.launch import USER, launch
from agentwhere_store.embedded.record import (
    HOST,
    ServerRecord,
    free_port,
    is_free,
    load_record,
    new_record,
    save_record,
)

DATABASE = "agentwhere"
SERVICE = "embedded PostgreSQL"
PORT_PATIENCE_S = 2.0
STARTS_ALLOWED = 3


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server listens and how to enter it."""

    port: int
    password: str = field(repr=False)
    host: str = HOST
    user: str = USER

    def url(self, database: str = DATABASE) -> str:
        """Return the SQLAlchemy URL (psycopg 3) of one of its databases."""
        return (
            f"postgresql+psycopg://{self.user}:{self.password}@{self.host}:{self.port}/{database}"
        )

    def conninfo(self, database: str = DATABASE) -> str:
        """Return the libpq URL of one of its databases."""
        return self.url(database).replace("postgresql+psycopg:", "postgresql:")


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What is known of a home's server.

    Parameters
    ----------
    running
        Whether it answers.
    address, data_directory
        None before the first start.
    guardian_pid, server_pid, version, started_at
        None while it does not run.
    log_file
        Log of the server and its guardian.
    """

    running: bool
    address: ServerAddress | None
    data_directory: Path | None
    guardian_pid: int | None
    server_pid: int | None
    version: str | None
    started_at: datetime | None
    log_file: Path


class EmbeddedPostgres:
    """A home's own PostgreSQL server.

    Parameters
    ----------
    home
        AGENTWHERE_HOME. Each home has its own server; all processes of a home share it.
    durable
        Flush commits to disk. Switch off for databases that need not survive the machine's crash.
    """

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self._home = Path(home).absolute()
        self._folder = self._home / "postgres"
        self._durable = durable
        self._use: int | None = None

    @property
    def log_file(self) -> Path:
        """Log of the server and its guardian."""
        return self._home / "logs/postgres.log"

    def ensure_running(self, *, timeout_s: float = 120.0) -> ServerAddress:
        """Become a user of the server, starting it if need be, and return its address.

        Cheap when it runs (one connection): call it again whenever the server may have gone.
        May be called from any thread.

        Raises
        ------
        ConfigurationError
            When the machine offers no server program or account, or the home cannot be written.
        UnreachableError
            When the server does not come up in time; the message shows the end of its log.
        """
        self._open_folder()
        newly = self._join()
        try:
            with self._lock("start.lock"):
                return self._ensure_answering(timeout_s)
        except BaseException:
            if newly:
                self._leave()
            raise

    def release(self, *, timeout_s: float = 40.0) -> None:
        """Cease to use the server; if this was its last user, wait until it has shut down."""
        if self._leave():
            self._await_end(timeout_s)

    def stop(self, *, timeout_s: float = 40.0) -> None:
        """Shut the server down now, whoever uses it, and wait for its end.

        Raises
        ------
        UnreachableError
            When it does not end in time.
        """
        self._leave()
        deadline = time.monotonic() + timeout_s
        while self._is_guarded():
            pid = self._guardian_pid()
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            if time.monotonic() > deadline:
                raise UnreachableError(
                    SERVICE, f"guardian {pid} did not end its server. See {self.log_file}."
                )
            time.sleep(0.05)

    @contextmanager
    def running(self) -> Iterator[ServerAddress]:
        """Use the server for the length of a block."""
        address = self.ensure_running()
        try:
            yield address
        finally:
            self.release()

    def url(self, database: str = DATABASE) -> str:
        """Return the SQLAlchemy URL of one of its databases, whether it runs now or not.

        Raises
        ------
        ConfigurationError
            Before the first start, when there is no address yet.
        """
        record = load_record(self._folder)
        if record is None:
            raise ConfigurationError(
                f"{self._home} has no database yet. Run `agentwhere setup` or `agentwhere up`."
            )
        return _address(record).url(database)

    def status(self) -> ServerStatus:
        """Return what is known of the server, asking it without becoming its user."""
        record = load_record(self._folder)
        guardian_pid = self._guardian_pid()
        version = started_at = None
        if record is not None and guardian_pid is not None:
            with suppress(psycopg.Error), _connect(record) as connection:
                row = connection.execute(
                    "SELECT current_setting('server_version'), pg_postmaster_start_time()"
                ).fetchone()
                version, started_at = row if row is not None else (None, None)
        running = version is not None
        pid = guardian.read_pid(record.data / "postmaster.pid") if record and running else 0
        return ServerStatus(
            running=running,
            address=_address(record) if record is not None else None,
            data_directory=record.data if record is not None else None,
            guardian_pid=guardian_pid,
            server_pid=pid or None,
            version=version,
            started_at=started_at,
            log_file=self.log_file,
        )

    def destroy(self) -> None:
        """Shut the server down and remove its data, its record and everything it left."""
        self.stop()
        record = load_record(self._folder)
        if record is not None and Path(record.area) != self._folder:
            shutil.rmtree(record.area)
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- users ------------------------------------------------------------------------------------

    def _open_folder(self) -> None:
        """Make the server's folder: entered by its account, read by nobody else."""
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            for folder, mode in ((self._folder, 0o711), (self.log_file.parent, 0o755)):
                if not folder.exists():
                    folder.mkdir(exist_ok=True)
                    folder.chmod(mode)
                    keep_owner(folder, self._home)
        except OSError as error:
            raise ConfigurationError(
                f"cannot make {self._folder} ({error.strerror}). "
                "Set AGENTWHERE_HOME to a folder that you can write to."
            ) from error

    def _open_lock(self, name: str) -> int:
        """Open a lock file. A plain descriptor: a forgotten object must not let go of its lock."""
        path = self._folder / name
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"cannot open {path} ({error.strerror}). Run as the user who made {self._home}."
            ) from error
        keep_owner(path, self._home)
        return handle

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        handle = self._open_lock(name)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _join(self) -> bool:
        """Become a user, after the end of a shutdown under way; tell whether it was not one yet."""
        if self._use is not None:
            return False
        handle = self._open_lock("users.lock")
        fcntl.flock(handle, fcntl.LOCK_SH)
        self._use = handle
        return True

    def _leave(self) -> bool:
        """Cease to be a user; tell whether nobody else is one."""
        if self._use is None:
            return False
        handle, self._use = self._use, None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(handle)
        return True

    # --- guardian ---------------------------------------------------------------------------------

    def _is_guarded(self) -> bool:
        """Tell whether a guardian lives, which its lock shows."""
        try:
            handle = os.open(self._folder / "guardian.lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def _guardian_pid(self) -> int | None:
        """Return the living guardian's pid."""
        if not self._is_guarded():
            return None
        return guardian.read_pid(self._folder / "guardian.lock") or None

    def _await_end(self, timeout_s: float) -> bool:
        """Wait until there is no guardian, hence no server; tell whether that came in time."""
        deadline = time.monotonic() + timeout_s
        while self._is_guarded():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _ensure_answering(self, timeout_s: float) -> ServerAddress:
        deadline = time.monotonic() + timeout_s
        starts = 0
        while time.monotonic() < deadline:
            record = load_record(self._folder)
            if record is None or not self._is_guarded():
                if starts == STARTS_ALLOWED:
                    break
                record = self._start(record)
                starts += 1
            if self._durable and not record.durable:
                raise ConfigurationError(
                    f"the server of {self._home} was started without flushing commits to disk, "
                    "and durable ones are wanted. Stop its other users first."
                )
            if _answers(record):
                return _address(record)
            time.sleep(0.03)
        raise UnreachableError(
            SERVICE,
            f"the server of {self._home} does not answer. The end of {self.log_file}:\n"
            f"{self._log_tail()}",
        )

    def _start(self, record: ServerRecord | None) -> ServerRecord:
        """Set up what is not there yet, and start a guardian with the server."""
        data = record.data if record is not None and record.data.exists() else None
        account = server_account(self._home, data)
        if record is None:
            record = new_record(self._folder, account, durable=self._durable)
        elif _is_taken_by_another(record):
            record = replace(record, port=free_port())
        record = replace(record, durable=self._durable)
        save_record(self._folder, record)
        os.close(self._open_lock("guardian.lock"))
        launch(record, account, self._folder, self.log_file)
        return record

    def _log_tail(self) -> str:
        with suppress(OSError):
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-12:])
        return "(no log)"


def _is_taken_by_another(record: ServerRecord) -> bool:
    """Tell whether somebody else listens on the server's port.

    A server that is just dying has no command line any more, and still its socket: it is given time to end, because
    whoever knows the address must find the next server there.
    """
    deadline = time.monotonic() + PORT_PATIENCE_S
    while not is_free(record.port) and not guardian.server_processes(record.marker):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.05)
    return False


def _address(record: ServerRecord) -> ServerAddress:
    return ServerAddress(port=record.port, password=record.password)


def _connect(record: ServerRecord) -> psycopg.Connection[tuple[Any, ...]]:
    conninfo = _address(record).conninfo("postgres")
    return psycopg.connect(conninfo, connect_timeout=5, autocommit=True)


def _answers(record: ServerRecord) -> bool:
    """Tell whether this very server answers; if it does, our database exists afterwards."""
    try:
        with _connect(record) as connection:
            asked = (
                "SELECT current_setting('cluster_name'), %s IN (SELECT datname FROM pg_database)"
            )
            row = connection.execute(asked, [DATABASE]).fetchone()
            if row is None or row[0] != record.marker:
                return False
            if not row[1]:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    except psycopg.OperationalError:
        return False
    return True
