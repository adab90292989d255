"""Supervised processes: restarted when they die, ended when they should, gone with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentwhere_app.children import Child, ChildSpec

REPOSITORY = Path(__file__).resolve().parents[2]
SLEEP = "import time; print('here', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


def spec(program: str, **changes: object) -> ChildSpec:
    facts: dict[str, object] = {
        "name": "sample",
        "title": "Sample",
        "command": [sys.executable, "-c", program],
        "is_ready": lambda: True,
        "stop_rank": 1,
    }
    return ChildSpec(**{**facts, **changes})  # type: ignore[arg-type]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[ChildSpec], Child]]:
    """Starts children, and ends them with the test."""
    started: list[Child] = []

    def begin(wanted: ChildSpec) -> Child:
        child = Child(wanted, os.environ, tmp_path / "logs", tmp_path)
        child.start()
        started.append(child)
        return child

    yield begin
    for child in started:
        if child.pid is not None:
            os.killpg(child.pid, signal.SIGKILL)
            child.finish()


def wait_for(answer: Callable[[], bool], within_s: float = 20) -> bool:
    deadline = time.monotonic() + within_s
    while not answer():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_child_that_dies_is_said_and_started_again(
    start: Callable[[ChildSpec], Child],
) -> None:
    child = start(spec(SLEEP, first_pause_s=0.05))
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    news: list[str] = []
    assert wait_for(lambda: bool(news.append(child.watch() or "") or any(news)))
    assert "was ended by SIGKILL" in "".join(news)
    assert wait_for(lambda: child.watch() is None and child.pid is not None)
    assert child.pid != first
    assert child.restarts == 1


def test_a_child_that_dies_at_once_is_tried_ever_more_rarely(
    start: Callable[[ChildSpec], Child],
) -> None:
    child = start(spec("raise SystemExit(3)"))
    news: list[str] = []

    def died() -> bool:
        if told := child.watch():
            news.append(told)
        return len(news) == 2

    assert wait_for(died)
    assert "exit code 3; starting it again in 1 s" in news[0]
    assert "starting it again in 2 s" in news[1]


def test_a_polite_request_ends_a_child(start: Callable[[ChildSpec], Child]) -> None:
    child = start(spec(SLEEP))
    child.request_stop()
    assert child.finish()
    assert child.pid is None


def test_a_stubborn_child_is_killed_after_its_patience(
    start: Callable[[ChildSpec], Child],
) -> None:
    child = start(spec(STUBBORN, stop_after_s=0.3))
    assert wait_for(lambda: "here" in child.log_tail())
    child.request_stop()
    assert not child.finish()


def test_what_a_child_started_ends_with_it(start: Callable[[ChildSpec], Child]) -> None:
    program = (
        "import subprocess, sys, time\n"
        f"inner = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
        "print('inner', inner.pid, flush=True); time.sleep(600)"
    )
    child = start(spec(program))
    assert wait_for(lambda: "inner" in child.log_tail())
    inner = next(int(line.split()[1]) for line in child.log_tail().splitlines() if "inner" in line)
    child.request_stop()
    child.finish()
    assert wait_for(lambda: not is_alive(inner))


def test_output_goes_to_the_log_and_a_large_log_is_moved_aside(
    start: Callable[[ChildSpec], Child],
) -> None:
    chatter = "import time\nwhile True: print('x' * 60, flush=True); time.sleep(0.02)"
    child = start(spec(chatter, log_limit_bytes=100))
    older = child.log_file.with_suffix(".log.1")
    assert wait_for(lambda: child.watch() is None and older.exists())
    assert child.log_file.stat().st_size < 10_000
    assert wait_for(lambda: "x" in child.log_file.read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_dies_with_a_supervisor_that_is_killed(tmp_path: Path, by: signal.Signals) -> None:
    program = f"""
import os, signal, sys, time
from pathlib import Path
from agentwhere_app.children import Child, ChildSpec
spec = ChildSpec("sample", "Sample", [sys.executable, "-c", {SLEEP!r}], lambda: True, 1,
                 orphaned_by=signal.Signals({int(by)}))
child = Child(spec, os.environ, Path({str(tmp_path)!r}), Path({str(tmp_path)!r}))
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""
    supervisor = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert supervisor.stdout is not None
    pid = int(supervisor.stdout.readline())
    assert is_alive(pid)
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    assert wait_for(lambda: not is_alive(pid))
