"""Parts of a production system as processes: each with an environment of its own, ended with its test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agentwhere_sim.testing import Simulator, own_sim, sim, simulator_process
from agentwhere_store.engine import dagster_url

__all__ = ["own_sim", "sim", "simulator_process"]

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 400.0


@dataclass
class Part:
    """A process in a session of its own, and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """End it, and whatever it started, as a power cut would."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=60)

    def await_saying(self, *words: str) -> None:
        """Wait until its log holds each of ``words``; fail if it ends before."""

        def has_said() -> bool:
            text = self.said()
            assert self.process.poll() is None, f"{self.name} ended:\n{text[-3000:]}"
            return all(word in text for word in words)

        await_until(has_said, lambda: f"{self.name} did not say {words}:\n{self.said()[-3000:]}")

    def finish(self) -> None:
        """Wait for its end, which must be a success."""
        code = self.process.wait(timeout=PATIENCE_S)
        assert code == 0, f"{self.name} ended with {code}:\n{self.said()[-6000:]}"


@dataclass
class Parts:
    """What a test started."""

    folder: Path
    environment: Mapping[str, str]
    started: list[Part] = field(default_factory=list)

    def start(self, name: str, *command: str, **more: str) -> Part:
        log = self.folder / f"{len(self.started)}-{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**self.environment, **more},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        part = Part(name, process, log)
        self.started.append(part)
        return part

    def python(self, name: str, *arguments: str, **more: str) -> Part:
        return self.start(name, sys.executable, *arguments, **more)

    def end(self) -> None:
        for part in reversed(self.started):
            part.kill()


def await_until(
    is_so: Callable[[], bool],
    complaint: Callable[[], str],
    within_s: float = PATIENCE_S,
    pause_s: float = 0.1,
) -> None:
    """Wait until something is so; fail with the complaint."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, complaint()
        time.sleep(pause_s)


def free_ports(count: int) -> Sequence[int]:
    """Return ports that nobody listened on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@pytest.fixture
def environment(
    database_url: str, sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Environment of the whole system: this test's too, so that both read the same settings."""
    dagster_home = tmp_path / "dagster"
    dagster_home.mkdir()
    (dagster_home / "dagster.yaml").write_text((REPOSITORY / "dagster.yaml").read_text())
    settings = {
        "AGENTWHERE_HOME": str(tmp_path / "home"),
        "AGENTWHERE_SIM_PORT": sim.url.rsplit(":", 1)[1],
        "AGENTWHERE_VENUES": "HYPERLIQUID",
        "DATABASE_URL": database_url,
        "DAGSTER_HOME": str(dagster_home),
        "DAGSTER_POSTGRES_URL": dagster_url(database_url),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": search, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def parts(environment: dict[str, str], tmp_path: Path) -> Iterator[Parts]:
    """Processes of this test, all of which end with it."""
    folder = tmp_path / "parts"
    folder.mkdir()
    started = Parts(folder, environment)
    yield started
    started.end()
