"""Processes that are kept alive: started with their parent's life, logged, restarted with growing pauses."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 60.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run, and how to know that it works.

    Parameters
    ----------
    name
        Short name, also of its log file.
    title
        What people call it.
    command
        Program and arguments.
    is_ready
        Answers quickly whether the child does its work.
    stop_rank
        Children of the lowest rank are stopped first, those of one rank together.
    stop_after_s
        Patience between SIGTERM and SIGKILL.
    orphaned_by
        What the kernel sends to it when the supervisor dies without a word (Linux). SIGTERM where it has processes of
        its own to end; SIGKILL where it would rather wait for a database that is gone too.
    first_pause_s
        Pause before the first restart; each further one doubles it, until the child has been steady for a while.
    log_limit_bytes
        Size at which the log is moved aside.
    """

    name: str
    title: str
    command: Sequence[str]
    is_ready: Callable[[], bool]
    stop_rank: int
    stop_after_s: float = 8.0
    orphaned_by: signal.Signals = signal.SIGTERM
    first_pause_s: float = 1.0
    log_limit_bytes: int = 10_000_000


class Child:
    """One supervised process."""

    def __init__(
        self, spec: ChildSpec, environment: Mapping[str, str], logs: Path, folder: Path
    ) -> None:
        self.spec = spec
        self.restarts = 0
        self.log_file = logs / f"{spec.name}.log"
        self._environment = environment
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._pause = self.spec.first_pause_s
        self._start_at: float | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it lives."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process, in a session of its own so that a terminal's Ctrl-C reaches only the supervisor."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.spec.command,
                env=dict(self._environment),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # Safe here: the supervisor starts its children on its only thread.
                preexec_fn=dying_with_parent(self.spec.orphaned_by),  # noqa: PLW1509
            )
        self._started = time.monotonic()
        self._start_at = None

    def watch(self) -> str | None:
        """Restart the process when it has died and its pause is over; return news for people, if any."""
        self._keep_log_small()
        now = time.monotonic()
        if self._process is None:
            if self._start_at is not None and now >= self._start_at:
                self.start()
                self.restarts += 1
            return None
        code = self._process.poll()
        if code is None:
            if now - self._started > STEADY_AFTER_S:
                self._pause = self.spec.first_pause_s
            return None
        _sweep(self._process)
        self._process = None
        pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE_S)
        self._start_at = now + pause
        return (
            f"{self.spec.title} {_ending(code)}; starting it again in {pause:.0f} s. "
            f"Log: {self.log_file}"
        )

    def is_ready(self) -> bool:
        """Return whether the process lives and does its work."""
        return self._process is not None and self._process.poll() is None and self.spec.is_ready()

    def request_stop(self) -> None:
        """Ask the process to end."""
        self._start_at = None
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.terminate()

    def finish(self) -> bool:
        """Wait for the end, and force it after the child's patience; return whether it went by itself."""
        if self._process is None:
            return True
        willing = True
        try:
            self._process.wait(self.spec.stop_after_s)
        except subprocess.TimeoutExpired:
            willing = False
        _sweep(self._process)
        self._process.wait()
        self._process = None
        return willing

    def log_tail(self, lines: int = 15) -> str:
        """Return the end of the log."""
        with suppress(OSError):
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])
        return "(no log)"

    def _keep_log_small(self) -> None:
        """Move a large log aside. The child writes in append mode, so that it goes on at the start."""
        with suppress(OSError):
            if self.log_file.stat().st_size < self.spec.log_limit_bytes:
                return
            older = self.log_file.with_suffix(".log.1")
            older.write_bytes(self.log_file.read_bytes())
            os.truncate(self.log_file, 0)


def _sweep(process: subprocess.Popen[bytes]) -> None:
    """End what a process may have left of its session."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def dying_with_parent(by: signal.Signals) -> Callable[[], None] | None:
    """Return what makes a child, before it begins, ask for a signal at the end of its parent's main thread (Linux)."""
    if _libc is None:
        return None
    prctl = _libc.prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, by, 0, 0, 0)
