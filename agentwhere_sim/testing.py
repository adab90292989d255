"""The simulated world as tests meet it: a real process on a free port, with a home of its own.

A ``conftest.py`` imports the fixtures it wants: ``from agentwhere_sim.testing import own_sim, sim, simulator_process``.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest


class Simulator:
    """A running simulator process and a client for its ``/control``.

    Attributes
    ----------
    url
        Address without a trailing slash; it stays the same over ``kill`` and ``start``.
    http
        Client whose paths begin at ``url``.
    seconds_to_start
        How long the last start took.
    """

    def __init__(self, home: Path, seed: int = 7, follow: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.seed = seed
        self._follow = follow or {}
        self._port = 0
        self.start()

    def start(self) -> None:
        """Start the process (on the same port as before, if there was one) and wait until it answers."""
        options = {"--home": str(self.home), "--seed": str(self.seed), "--port": str(self._port)}
        command = [sys.executable, "-m", "agentwhere_sim"]
        for name, value in options.items():
            command += [name, value]
        for venue, url in self._follow.items():
            command += ["--follow", f"{venue}={url}"]
        began = time.monotonic()
        self.process = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            self._connect()
        except BaseException:
            self.process.kill()
            self._reap()
            raise
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

    def control(self, path: str, **body: Any) -> Any:
        """POST to ``/control/<path>`` and return the answer; fail on an error status."""
        reply = self.http.post(f"/control/{path}", json=body)
        if not reply.is_success:
            raise RuntimeError(f"/control/{path} answered {reply.status_code}: {reply.text}")
        return reply.json()

    def fault(self, service: str, kind: str, **options: Any) -> None:
        """Order a fault."""
        self.control("faults", service=service, kind=kind, **options)

    def _connect(self) -> None:
        output = self.process.stdout
        line = output.readline() if output is not None else ""
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if found is None:
            raise RuntimeError(f"the simulator did not start: {line}{output and output.read()}")
        self._port = int(found[1])
        self.url = f"http://127.0.0.1:{self._port}"
        patient = httpx.HTTPTransport(retries=3, trust_env=False)
        self.http = httpx.Client(base_url=self.url, timeout=10, transport=patient)
        self.http.get("/healthz").raise_for_status()

    def _reap(self) -> None:
        self.process.wait(timeout=10)
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture(scope="module")
def simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Give one simulator process per test module."""
    simulator = Simulator(tmp_path_factory.mktemp("world"))
    yield simulator
    simulator.stop()


@pytest.fixture
def sim(simulator_process: Simulator) -> Simulator:
    """Give the module's simulator, forgetful of all earlier tests."""
    simulator_process.control("reset")
    return simulator_process


@pytest.fixture
def own_sim(tmp_path: Path) -> Iterator[Simulator]:
    """Give a simulator process of the test's own, for tests that kill it."""
    simulator = Simulator(tmp_path / "world")
    yield simulator
    if simulator.process.poll() is None:
        simulator.stop()
