"""Setting a server up: programs, data directory, settings, guardian."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_store.embedded import guardian
from agentwhere_store.embedded.account import Account, can_run, give, keep_owner, run_as
from agentwhere_store.embedded.binaries import Binaries, copy_binaries, find_binaries
from agentwhere_store.embedded.record import HOST, ServerRecord

USER = "agentwhere"
LOG_LIMIT_BYTES = 16 * 1024 * 1024
FIXED_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %d ",
    "log_checkpoints": "off",
}
# A crash of the machine may lose everything: for databases that live as long as a test run.
UNDURABLE_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "256MB",
}
# Nothing of ours may reach the server: PGPORT, PGDATA, LD_LIBRARY_PATH, the locale.
CLEAN_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def launch(record: ServerRecord, account: Account | None, folder: Path, log_file: Path) -> None:
    """Start a guardian with the server, making its data directory if there is none.

    Parameters
    ----------
    record
        The server.
    account
        Account that runs it; None for this process's own.
    folder
        Folder of the lock files.
    log_file
        File that takes what server and guardian say.

    Raises
    ------
    ConfigurationError
        When no fitting program is found, or `initdb` fails.
    """
    binaries = find_binaries(record.data if record.data.exists() else None)
    if not all(can_run(account, binaries.folder / name) for name in ("initdb", "postgres")):
        binaries = copy_binaries(binaries, Path(record.area))
    if not record.data.exists():
        initialise(record, binaries, account)
    if log_file.exists() and log_file.stat().st_size > LOG_LIMIT_BYTES:
        log_file.replace(log_file.with_suffix(".log.1"))
    log = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        keep_owner(log_file, folder.parent)
        specification = describe(record, binaries, account, folder).to_json()
        # Returns as soon as the guardian holds its lock.
        subprocess.run(
            [sys.executable, "-I", "-S", guardian.__file__, specification],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=CLEAN_ENVIRONMENT,
            check=True,
        )
    finally:
        os.close(log)


def describe(
    record: ServerRecord, binaries: Binaries, account: Account | None, folder: Path
) -> guardian.Spec:
    """Return what the guardian is told."""
    settings = {**FIXED_SETTINGS, "port": str(record.port), "cluster_name": record.marker}
    if not record.durable:
        settings |= UNDURABLE_SETTINGS
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return guardian.Spec(
        command=[str(binaries.folder / "postgres"), "-D", str(record.data), *options],
        data=str(record.data),
        marker=record.marker,
        users_lock=str(folder / "users.lock"),
        guardian_lock=str(folder / "guardian.lock"),
        uid=account.uid if account is not None else None,
        gid=account.gid if account is not None else None,
    )


def initialise(record: ServerRecord, binaries: Binaries, account: Account | None) -> None:
    """Make the data directory; one that was begun and not finished is begun anew."""
    fresh = record.data.with_name("data.new")
    password_file = Path(record.area, "password.new")
    shutil.rmtree(fresh, ignore_errors=True)
    password_file.unlink(missing_ok=True)
    fresh.mkdir(mode=0o700)
    password_file.touch(mode=0o600)
    password_file.write_text(record.password)
    for path in (fresh, password_file):
        give(path, account)
    command = [str(binaries.folder / "initdb"), "-D", str(fresh), "-U", USER]
    command += ["--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8"]
    command += ["--locale=C", "--no-instructions", *([] if record.durable else ["--no-sync"])]
    try:
        outcome = run_as(account, command, CLEAN_ENVIRONMENT)
    finally:
        password_file.unlink()
    if outcome.returncode != 0:
        raise ConfigurationError(
            f"initdb could not make a database in {fresh}: {outcome.stderr.strip()}. "
            "Check the disk's space and permissions."
        )
    fresh.replace(record.data)
