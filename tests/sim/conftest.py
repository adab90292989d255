"""The simulated world as tests meet it: a real process on a free port, with a home of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


class Simulator:
    """A running simulator process and a client for its ``/control``."""

    def __init__(self, home: Path, seed: int = 7) -> None:
        self.home = home
        self.seed = seed
        self._port = 0
        self.start()

    def start(self) -> None:
        """Start the process (on the same port as before, if there was one) and wait until it answers."""
        command = [
            sys.executable,
            "-m",
            "agentwhere_sim",
            "--home",
            str(self.home),
            "--seed",
            str(self.seed),
        ]
        began = time.monotonic()
        self.process = subprocess.Popen(
            [*command, "--port", str(self._port)],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if found is None:
            raise RuntimeError(f"the simulator did not start: {line}{self.process.stdout.read()}")
        self._port = int(found[1])
        self.url = f"http://127.0.0.1:{self._port}"
        self.http = httpx.Client(base_url=self.url, timeout=10, trust_env=False)
        assert self.http.get("/healthz").json()["status"] == "ok"
        self.seconds_to_start = time.monotonic() - began

    def kill(self) -> None:
        """End the process as a power cut would (``kill -9``)."""
        self.http.close()
        os.kill(self.process.pid, signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        """End the process politely."""
        self.http.close()
        self.process.terminate()
        self._reap()

    def _reap(self) -> None:
        self.process.wait(timeout=10)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def control(self, path: str, **body: Any) -> Any:
        """POST to ``/control/<path>`` and return the answer; fail on an error status."""
        reply = self.http.post(f"/control/{path}", json=body)
        assert reply.status_code < 300, reply.text
        return reply.json()

    def fault(self, service: str, kind: str, **options: Any) -> None:
        """Order a fault."""
        self.control("faults", service=service, kind=kind, **options)


@pytest.fixture(scope="module")
def simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One simulator process per test module."""
    simulator = Simulator(tmp_path_factory.mktemp("world"))
    yield simulator
    simulator.stop()


@pytest.fixture
def sim(simulator_process: Simulator) -> Simulator:
    """The module's simulator, forgetful of all earlier tests."""
    simulator_process.control("reset")
    return simulator_process


@pytest.fixture
def own_sim(tmp_path: Path) -> Iterator[Simulator]:
    """A simulator process of the test's own, for tests that kill it."""
    simulator = Simulator(tmp_path / "world")
    yield simulator
    if simulator.process.poll() is None:
        simulator.stop()
