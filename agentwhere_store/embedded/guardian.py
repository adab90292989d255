"""The process that keeps one PostgreSQL server: starts it, restarts it, ends it after its last user.

A user of the server is any process that holds a shared lock on the users' lock file; the kernel lets
go of that lock however the process ends, ``kill -9`` included. The guardian asks for the same lock
exclusively: once it gets it nobody is left, and the server is shut down. The other way round, the
kernel sends the server a fast shutdown when the guardian dies (``PR_SET_PDEATHSIG``, Linux only:
elsewhere the next guardian ends what a killed one left behind). So neither can outlive its purpose,
and no pid file has to be believed.

It runs as a script in a session of its own (Ctrl-C in a terminal must not reach the server while
others still write to it) and imports only the standard library, so that it stays small and starts
at once: ``python -I -S guardian.py SPEC``, with `Spec` as JSON. The first process takes the
guardian's lock, forks and leaves; a caller that sees it leave with 0 knows that the lock is held.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

POLL_S = 0.25
FAST_SHUTDOWN_S = 30.0
IMMEDIATE_SHUTDOWN_S = 5.0
FAILED_STARTS_ALLOWED = 3
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Spec:
    """What a guardian is told.

    Parameters
    ----------
    command
        Command line of the server.
    data
        Its data directory.
    marker
        Text that every process of this server carries in its title (the server's cluster name).
    users_lock, guardian_lock
        Lock files: shared by users, exclusive to the guardian.
    uid, gid
        Account that runs the server; None for the guardian's own.
    """

    command: list[str]
    data: str
    marker: str
    users_lock: str
    guardian_lock: str
    uid: int | None
    gid: int | None

    def to_json(self) -> str:
        """Return the text that `main` reads."""
        return json.dumps(asdict(self))


def main(text: str) -> int:
    """Take the guardian's lock, go on in a child of its own session, and keep the server there."""
    spec = Spec(**json.loads(text))
    lock = os.open(spec.guardian_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.ftruncate(lock, 0)
    if os.fork() > 0:
        return 0
    os.setsid()
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return keep(spec, Wakeup())


def keep(spec: Spec, wakeup: Wakeup) -> int:
    """Keep the server until its last user has gone or SIGTERM asks for its end.

    Returns 0 after an orderly end, 1 when the server could not be started.
    """
    users = os.open(spec.users_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    failed_starts = 0
    while failed_starts < FAILED_STARTS_ALLOWED:
        end_leftovers(spec)
        server = start(spec)
        was_ready = False
        while server.poll() is None:
            if wakeup.asked_to_end or holds_exclusively(users):
                shut_down(server, spec)
                return 0
            was_ready = was_ready or is_ready(spec)
            wakeup.wait(POLL_S)
        failed_starts = 0 if was_ready else failed_starts + 1
        note(f"the server ended with {server.returncode}, starting it again")
    note("the server does not start, giving up")
    return 1


class Wakeup:
    """Sleep that ends early when a child ends or a signal asks for the end."""

    def __init__(self) -> None:
        self.asked_to_end = False
        self._reading, writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        for asking in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(asking, self._end)

    def wait(self, seconds: float) -> None:
        """Sleep at most so long."""
        if select.select([self._reading], [], [], seconds)[0]:
            os.read(self._reading, 4096)

    def _end(self, _signal: int, _frame: object) -> None:
        self.asked_to_end = True


def holds_exclusively(lock: int) -> bool:
    """Take the lock exclusively if no other process holds it, and tell whether that was so."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# --- the server's process -------------------------------------------------------------------------


def start(spec: Spec) -> subprocess.Popen[bytes]:
    """Start the server under its account, bound to this process's life."""
    return subprocess.Popen(
        spec.command,
        stdin=subprocess.DEVNULL,
        cwd="/",
        user=spec.uid,
        group=spec.gid,
        extra_groups=None if spec.uid is None else [],
        # Safe here: this process has one thread. A change of account clears the death signal, and
        # subprocess runs this after it.
        preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509
    )


def die_with_parent(parent: int) -> Callable[[], None] | None:
    """Return what a child calls so that the kernel sends it SIGINT when its parent dies."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return bind


def shut_down(server: subprocess.Popen[bytes], spec: Spec) -> None:
    """End the server: fast (sessions are cut, a checkpoint is written), then ever harder."""
    for request, patience_s in (
        (signal.SIGINT, FAST_SHUTDOWN_S),
        (signal.SIGQUIT, IMMEDIATE_SHUTDOWN_S),
        (signal.SIGKILL, IMMEDIATE_SHUTDOWN_S),
    ):
        server.send_signal(request)
        try:
            server.wait(patience_s)
            break
        except subprocess.TimeoutExpired:
            note(f"the server did not obey {request.name} within {patience_s:.0f} s")
    end_leftovers(spec)


def is_ready(spec: Spec) -> bool:
    """Tell whether the server said in its pid file that it accepts connections."""
    with suppress(OSError):
        lines = Path(spec.data, "postmaster.pid").read_text().splitlines()
        return len(lines) > 7 and lines[7].strip() == "ready"
    return False


# --- what a killed server leaves behind -----------------------------------------------------------


def end_leftovers(spec: Spec) -> None:
    """End every process of an earlier run of this server, and drop the pid file that it left.

    A server that is still there (it lost its guardian) gets a fast shutdown. Backends that lost
    their server are ended at once: they hold shared memory that a new server would refuse to share.
    """
    pid_file = Path(spec.data, "postmaster.pid")
    postmaster = read_pid(pid_file)
    if postmaster in server_processes(spec.marker):
        end_processes([postmaster], signal.SIGINT, FAST_SHUTDOWN_S)
    orphans = server_processes(spec.marker)
    end_processes(orphans, signal.SIGQUIT, IMMEDIATE_SHUTDOWN_S)
    end_processes(server_processes(spec.marker), signal.SIGKILL, IMMEDIATE_SHUTDOWN_S)
    pid_file.unlink(missing_ok=True)


def read_pid(pid_file: Path) -> int:
    """Return the pid in a server's pid file, 0 where there is none."""
    with suppress(OSError, ValueError, IndexError):
        return int(pid_file.read_text().splitlines()[0])
    return 0


def server_processes(marker: str) -> list[int]:
    """Return the processes of the server that carries this marker, whoever their parents are."""
    if not Path("/proc/self/cmdline").exists():
        return listed_processes(marker)
    found = []
    for folder in Path("/proc").iterdir():
        # A process may end while it is being looked at.
        with suppress(OSError):
            if (
                folder.name.isdigit()
                and (folder / "comm").read_text().strip() == "postgres"
                and marker.encode() in (folder / "cmdline").read_bytes()
            ):
                found.append(int(folder.name))
    return found


def listed_processes(marker: str) -> list[int]:
    """Do the same by `ps`, where there is no /proc."""
    listing = subprocess.run(
        ["ps", "-axo", "pid=,ucomm=,command="], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=2) for line in listing.stdout.splitlines()]
    return [int(row[0]) for row in rows if row[1] == "postgres" and marker in row[-1]]


def end_processes(pids: list[int], request: signal.Signals, patience_s: float) -> None:
    """Send processes a signal and wait until they are gone, at most so long."""
    for pid in pids:
        note(f"ending process {pid}, left by an earlier run, with {request.name}")
        with suppress(ProcessLookupError):
            os.kill(pid, request)
    deadline = time.monotonic() + patience_s
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:
        return not Path("/proc/self/stat").exists()


def note(text: str) -> None:
    """Write a line to the log."""
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    sys.stdout.write(f"{now} UTC [guardian {os.getpid()}] {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
