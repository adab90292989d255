"""A home on disk: its folders, the environment that its processes share, and whether ``up`` runs in it."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentwhere_core.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from agentwhere_flow.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Running:
    """An ``up`` that runs in a home, and where its services listen."""

    pid: int
    started_at: str
    profile: str
    sim_port: int | None
    dagster_port: int
    code_server_port: int
    api_port: int

    @property
    def api_url(self) -> str:
        """Address of the API and the dashboard."""
        return f"http://{HOST}:{self.api_port}"

    @property
    def dagster_url(self) -> str:
        """Address of the Dagster UI."""
        return f"http://{HOST}:{self.dagster_port}"

    @property
    def sim_url(self) -> str | None:
        """Address of the simulator, where the profile has one."""
        return None if self.sim_port is None else f"http://{HOST}:{self.sim_port}"


def load_settings() -> Settings:
    """Read the settings; where an ``up`` runs in the home, with the ports that it really uses.

    Raises
    ------
    ConfigurationError
        If a variable holds what it cannot; the message names it.
    """
    from pydantic import ValidationError

    from agentwhere_flow.settings import Settings

    try:
        settings = Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"AGENTWHERE_{str(part['loc'][0]).upper().removeprefix('AGENTWHERE_')}: {part['msg']}"
            for part in error.errors()
        )
        raise ConfigurationError(f"settings cannot be read: {wrong}") from None
    running = find_running(settings.home)
    if running is None:
        remembered = _remembered_sim_port(settings.home)
        if remembered is None or is_explicit("sim_port"):
            return settings
        return settings.model_copy(update={"sim_port": remembered})
    ports = {
        "sim_port": running.sim_port or settings.sim_port,
        "dagster_port": running.dagster_port,
        "code_server_port": running.code_server_port,
        "api_port": running.api_port,
    }
    return settings.model_copy(update=ports)


def is_explicit(setting: str) -> bool:
    """Return whether somebody set ``setting`` in the environment, rather than leaving it to us."""
    return f"AGENTWHERE_{setting.upper()}" in os.environ


def remember_sim_port(home: Path, port: int) -> None:
    """Keep the simulator's port for the next start, so that what people noted down stays true."""
    folder = home / "sim"
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"port.{os.getpid()}"
    partial.write_text(str(port))
    partial.replace(folder / "port")


def _remembered_sim_port(home: Path) -> int | None:
    try:
        return int((home / "sim/port").read_text())
    except (FileNotFoundError, ValueError):
        return None


def find_running(home: Path) -> Running | None:
    """Return the ``up`` that runs in ``home`` now; a killed one leaves a file, but not its lock."""
    try:
        with (home / "run/up.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    except FileNotFoundError:
        return None
    except BlockingIOError:
        pass
    try:
        return Running(**json.loads((home / "run/up.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


@contextmanager
def only_one_up(home: Path) -> Iterator[None]:
    """Hold the home's lock for an ``up``.

    Raises
    ------
    ConfigurationError
        If another one holds it; the message says where it is.
    """
    folder = home / "run"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(_already_running(home)) from None
        try:
            yield
        finally:
            (folder / "up.json").unlink(missing_ok=True)


def record_running(home: Path, running: Running) -> None:
    """Write where the services of an ``up`` listen, whole or not at all."""
    path = home / "run/up.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(running), indent=2))
    partial.replace(path)


def prepare_dagster_home(home: Path) -> Path:
    """Return the home's DAGSTER_HOME, with the repository's ``dagster.yaml`` in it."""
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (REPOSITORY / "dagster.yaml").read_text()
    target = folder / "dagster.yaml"
    if not target.exists() or target.read_text() != wanted:
        partial = target.with_suffix(f".{os.getpid()}")
        partial.write_text(wanted)
        partial.replace(target)
    return folder


def service_environment(settings: Settings, database_url: str) -> dict[str, str]:
    """Return the environment of every process of a home: this one's, with what was decided written out."""
    from agentwhere_store.engine import dagster_url

    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = [str(REPOSITORY), *(p for p in inherited if p and p != str(REPOSITORY))]
    environment = {
        **os.environ,
        "AGENTWHERE_HOME": str(settings.home),
        "AGENTWHERE_PROFILE": settings.profile.value,
        "AGENTWHERE_SIM_PORT": str(settings.sim_port),
        "AGENTWHERE_DAGSTER_PORT": str(settings.dagster_port),
        "AGENTWHERE_CODE_SERVER_PORT": str(settings.code_server_port),
        "AGENTWHERE_API_PORT": str(settings.api_port),
        "AGENTWHERE_API_HOST": settings.api_host,
        "DATABASE_URL": database_url,
        "DAGSTER_HOME": str(prepare_dagster_home(settings.home)),
        "DAGSTER_POSTGRES_URL": dagster_url(database_url),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
    }
    # Without .pyc files every run takes twice as long to reach its first line.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def enter_environment(settings: Settings, database_url: str) -> None:
    """Give this process the environment of the home's services, for Dagster in process."""
    os.environ.update(service_environment(settings, database_url))
    sys.dont_write_bytecode = False


def _already_running(home: Path) -> str:
    running: Any = find_running(home)
    if running is None:
        return (
            f"another `up` is just starting in {home}; wait for it, or use another AGENTWHERE_HOME"
        )
    return (
        f"`up` already runs in {home} (pid {running.pid}): Dagster UI at {running.dagster_url}. "
        "Stop it with Ctrl-C there, or use another AGENTWHERE_HOME"
    )
