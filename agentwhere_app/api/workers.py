"""Several processes on one socket: kept alive, stopped together."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agentwhere_app.children import dying_with_parent
from agentwhere_app.supervisor import stop_on_signals

POLL_S = 0.1
PAUSE_S = 1.0
STOP_AFTER_S = 9.0

Say = Callable[[str], None]


@dataclass(slots=True)
class _Worker:
    number: int
    process: subprocess.Popen[bytes] | None = None
    start_at: float = 0.0


def run_workers(
    listener: socket.socket, count: int, environment: Mapping[str, str], say: Say
) -> None:
    """Serve with ``count`` processes until told to stop; one that dies is started again."""
    metrics = tempfile.mkdtemp(prefix="agentwhere-metrics-")
    shared = {**environment, "PROMETHEUS_MULTIPROC_DIR": metrics}
    workers = [_Worker(number) for number in range(1, count + 1)]
    try:
        with stop_on_signals() as stop:
            while not stop:
                for worker in workers:
                    _look_after(worker, listener, shared, say)
                time.sleep(POLL_S)
            # As long as anybody holds the socket, new connections would wait in it for nobody.
            listener.close()
            _stop(workers, say)
    finally:
        shutil.rmtree(metrics, ignore_errors=True)


def _look_after(
    worker: _Worker, listener: socket.socket, environment: Mapping[str, str], say: Say
) -> None:
    if worker.process is not None and (code := worker.process.poll()) is not None:
        say(f"worker {worker.number} ended with {code}; starting it again in {PAUSE_S:.0f} s")
        worker.process, worker.start_at = None, time.monotonic() + PAUSE_S
    if worker.process is None and time.monotonic() >= worker.start_at:
        worker.process = subprocess.Popen(
            [sys.executable, "-m", "agentwhere_app.api.server", "--fd", str(listener.fileno())],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            pass_fds=(listener.fileno(),),
            start_new_session=True,
            # Safe here: workers are started on the only thread.
            preexec_fn=dying_with_parent(signal.SIGTERM),  # noqa: PLW1509
        )


def _stop(workers: list[_Worker], say: Say) -> None:
    processes = {w.number: w.process for w in workers if w.process is not None}
    for process in processes.values():
        process.terminate()
    deadline = time.monotonic() + STOP_AFTER_S
    for number, process in processes.items():
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            say(f"worker {number} did not end when asked and was killed")
            process.kill()
            process.wait()
