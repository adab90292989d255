"""``up`` as a person meets it: one command, then everything runs, unattended, until it is told to stop."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentwhere_app.probes import DagsterState, dagster_state

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_S = 240


class Up:
    """A running ``up`` and what it has said."""

    def __init__(self, home: Path, database_url: str) -> None:
        self.home = home
        self.log = home.parent / "said.txt"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AGENTWHERE_")}
        self.environment = {
            **inherited,
            "AGENTWHERE_HOME": str(home),
            "DATABASE_URL": database_url,
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agentwhere_app", "up", "--json"],
                cwd=REPOSITORY,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        told = "".join(iter(self.process.stdout.readline, "}\n")) + "}"
        self.places: dict[str, Any] = json.loads(told)
        self.port = int(self.places["dagster_ui"].rsplit(":", 1)[1])

    def said(self) -> str:
        return self.log.read_text()

    def state(self) -> DagsterState:
        state = dagster_state(self.port)
        assert state is not None
        return state

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "agentwhere_app", *arguments],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def processes(self) -> dict[int, str]:
        """Return the living processes of this home by their command lines."""
        mine = f"AGENTWHERE_HOME={self.home}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mine in (folder / "environ").read_bytes().split(b"\0"):
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if command:
                        found[int(folder.name)] = command
            except OSError:
                continue
        return found

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def wait_for(answer: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not answer():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


@pytest.fixture
def up(tmp_path: Path, database_url: str) -> Iterator[Up]:
    """A system that was started on a fresh home and an empty database."""
    running = Up(tmp_path / "home", database_url)
    yield running
    if running.process.poll() is None:
        running.end()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.timeout(900)
def test_one_command_runs_everything_until_it_is_told_to_stop(up: Up) -> None:
    """The promises of ``up``, in the order in which a person sees them."""
    state = up.state()
    assert state.is_ready
    assert state.schedules_running >= 5
    assert state.sensors_running >= 3

    dashboard = up.places["dashboard"]
    assert httpx.get(f"{dashboard}/healthz", trust_env=False).json() == {"status": "ok"}
    assert httpx.get(f"{dashboard}/api/positions", trust_env=False).status_code == 200

    second = up.cli("up")
    assert second.returncode == 1
    assert up.places["dagster_ui"] in second.stderr

    assert wait_for(lambda: "the first pass is done" in up.said()), up.said()
    status = json.loads(up.cli("status", "--json").stdout)
    assert status["up"]["dagster_ready"]
    assert len(status["markets"]) >= 3
    for name in ("posts", "signals", "policy_decisions", "venue_routing_history", "fills"):
        assert status["rows"][name] > 0, name
    assert status["health"]["status"] == "healthy", status["health"]
    positions = json.loads(up.cli("positions", "--json").stdout)
    assert positions
    assert all(position["current_price"] for position in positions)

    victim = next(pid for pid, line in up.processes().items() if "dagster._daemon" in line)
    os.kill(victim, signal.SIGKILL)
    assert wait_for(lambda: "Dagster daemon was ended by SIGKILL" in up.said())
    assert wait_for(lambda: any("dagster._daemon" in line for line in up.processes().values()))

    assert up.end() == 0
    assert wait_for(lambda: not up.processes()), up.processes()
    # A run under way may outlast the code server's patience on a slow machine; nothing else is at work by then.
    unwilling = re.findall(r"^\S+ (.+) did not end when asked", up.said(), re.MULTILINE)
    assert set(unwilling) <= {"Dagster code server"}


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
@pytest.mark.timeout(900)
def test_nothing_survives_a_supervisor_that_is_killed(up: Up) -> None:
    assert len(up.processes()) >= 5
    up.process.kill()
    up.process.wait()
    assert up.process.stdout is not None
    up.process.stdout.close()
    assert wait_for(lambda: not up.processes()), up.processes()
