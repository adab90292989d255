"""What a home remembers of its server: where it listens, its password, where its data are."""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_store.embedded.account import Account, can_enter, keep_owner

HOST = "127.0.0.1"
# Below the ranges that kernels take outgoing connections' ports from.
PORTS = range(20_000, 32_000)
# Where root puts the data of a home that the borrowed account cannot enter.
COMMON_PLACES = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """A home's server, as its ``server.json`` (mode 0600) keeps it.

    Parameters
    ----------
    key
        Random name of this server, made once; part of its processes' titles.
    home
        The home it was made for.
    area
        Folder of the data directory, which the server's account can enter.
    port
        Its port on the loopback interface.
    password
        Password of its one role.
    durable
        Whether commits are flushed to disk.
    """

    key: str
    home: str
    area: str
    port: int
    password: str
    durable: bool

    @property
    def marker(self) -> str:
        """Cluster name, which PostgreSQL shows in the title of each of its processes."""
        return f"agentwhere-{self.key}"

    @property
    def data(self) -> Path:
        """Data directory."""
        return Path(self.area, "data")


def load_record(folder: Path) -> ServerRecord | None:
    """Return the record in a home's server folder, None where there is none yet.

    Raises
    ------
    ConfigurationError
        When the file cannot be read, or belongs to a home that was copied and still exists.
    """
    file = folder / "server.json"
    try:
        record = ServerRecord(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"cannot read {file} ({error}). Run as the user who made this home; if the file is "
            "damaged, restore it: it holds the only password of the database beside it."
        ) from error
    return record if record.home == str(folder.parent) else _rehomed(record, folder)


def new_record(folder: Path, account: Account | None, *, durable: bool) -> ServerRecord:
    """Choose a key, a port, a password and a place for the data of a home's new server."""
    key = secrets.token_hex(6)
    area = folder
    if account is not None and not can_enter(account, folder):
        common = next((place for place in COMMON_PLACES if can_enter(account, place)), None)
        if common is None:
            raise ConfigurationError(
                f"the account {account.name} can enter neither {folder} nor "
                f"{' nor '.join(map(str, COMMON_PLACES))}. Set AGENTWHERE_HOME to a folder that "
                "every account can enter."
            )
        area = common / f"agentwhere-{key}"
        area.mkdir()
        area.chmod(0o711)
    return ServerRecord(
        key=key,
        home=str(folder.parent),
        area=str(area),
        port=free_port(),
        password=secrets.token_urlsafe(24),
        durable=durable,
    )


def save_record(folder: Path, record: ServerRecord) -> None:
    """Write the record in one step, readable by its owner only."""
    file = folder / "server.json"
    partial = file.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(json.dumps(asdict(record), indent=2) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    keep_owner(partial, folder.parent)
    partial.replace(file)


def free_port() -> int:
    """Return a port of the loopback interface that nothing listens on now."""
    while True:
        port = PORTS[secrets.randbelow(len(PORTS))]
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _rehomed(record: ServerRecord, folder: Path) -> ServerRecord:
    """Return the record of a home that was moved or copied here: two homes never share a server."""
    here = replace(record, home=str(folder.parent))
    if Path(record.area) == Path(record.home, folder.name):
        # The data travelled along. A new key and port keep a copy apart from its original.
        return replace(here, area=str(folder), key=secrets.token_hex(6), port=free_port())
    if Path(record.home, folder.name, "server.json").exists():
        raise ConfigurationError(
            f"{folder.parent} is a copy of {record.home}, and both name the database in "
            f"{record.area}. Remove {folder} to begin with an empty database here, and restore a "
            "dump of the original into it."
        )
    return here
