"""Under whose account the server runs, and what that account can reach.

PostgreSQL refuses to run as root. Started by root, the server borrows an account that exists: the
home's owner, else ``postgres``, else ``nobody``. No account is ever added.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agentwhere_core.domain.errors import ConfigurationError

BORROWED = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine that the server runs under."""

    name: str
    uid: int
    gid: int


def server_account(home: Path, data: Path | None = None) -> Account | None:
    """Return the account to borrow, or None when this process is not root and needs none.

    Parameters
    ----------
    home
        AGENTWHERE_HOME; its owner is taken when that is not root.
    data
        The data directory, where there is one: only its owner can go on using it.

    Raises
    ------
    ConfigurationError
        When root finds no account to borrow.
    """
    if os.geteuid() != 0:
        return None
    for folder in (data, home):
        if folder is not None and folder.exists() and folder.stat().st_uid != 0:
            status = folder.stat()
            return Account(f"uid {status.st_uid}", status.st_uid, status.st_gid)
    for name in BORROWED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise ConfigurationError(
        f"PostgreSQL does not run as root, and none of the accounts {', '.join(BORROWED)} exists "
        "to borrow. Run as an ordinary user, or set DATABASE_URL to a server of your own."
    )


def can_enter(account: Account | None, folder: Path) -> bool:
    """Tell whether the account can enter a folder: asked of the kernel, not of modes."""
    command = ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)]
    return run_as(account, command).returncode == 0


def can_run(account: Account | None, program: Path) -> bool:
    """Tell whether the account can execute a program and load its libraries."""
    try:
        return run_as(account, [str(program), "--version"]).returncode == 0
    except PermissionError:
        return False


def run_as(
    account: Account | None, command: list[str], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a short command as the account and return its outcome with what it printed."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        env=environment,
        check=False,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
    )


def give(path: Path, account: Account | None) -> None:
    """Make the account the owner of a file or folder of ours."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def keep_owner(path: Path, home: Path) -> None:
    """Give what root made in a user's home to that user, who must be able to use it later."""
    owner = home.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.chown(path, owner.st_uid, owner.st_gid)
