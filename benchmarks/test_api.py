"""The API under load beside a running pipeline: `up` as people start it, and `wrk` on the same cores.

What shares the cores with it decides the slowest answers, so that each round also says how much of them the hypervisor
gave to other machines, and a floor is measured by turns: a server that answers the same number of bytes and does
nothing else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from agentwhere_app.children import dying_with_parent
from agentwhere_app.ports import choose_port
from benchmarks.sheet import Sheet

REPO = Path(__file__).resolve().parents[1]
PATHS = ("/api/monitoring/health", "/performance")
ROUNDS = int(os.environ.get("ROUNDS", "8"))
ROUND_S = 20
CONNECTIONS = 8
MINUTES = float(os.environ.get("MINUTES", "1"))
PAUSE_S = float(os.environ.get("PAUSE", "0"))
"""Seconds between rounds: rented machines lend their cores for a short while and take them back under load."""

STOLEN = 0.01 / (os.cpu_count() or 1)
"""Share of the cores taken by other machines above which the slowest hundredth of answers can be all theirs: a
hundredth of the time of the one core that answers."""

PATIENCE_S = 300
TARGET = "> 2,000/s, p99 < 20 ms"
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
FLOOR_APP = """\
import sys
BODY = b"x" * int(sys.argv[1])
async def app(scope, receive, send):
    if scope["type"] == "http":
        headers = [(b"content-length", str(len(BODY)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BODY})
import uvicorn
uvicorn.run(app, port=int(sys.argv[2]), lifespan="off", log_level="error")
"""

pytestmark = pytest.mark.skipif(
    shutil.which("wrk") is None, reason="wrk is not installed (Debian: apt-get install wrk)"
)


@dataclass(frozen=True, slots=True)
class Round:
    """What `wrk` found in some seconds, and how much of the cores other machines had meanwhile."""

    began: datetime
    requests_per_s: float
    p99_ms: float
    stolen: float


@dataclass(frozen=True, slots=True)
class Running:
    """A system that runs: where its API is, and the process that answers."""

    url: str
    api_pid: int


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start `up` in a home of its own and wait for the end of its first pass."""
    home = tmp_path_factory.mktemp("up") / "home"
    environment = {**os.environ, "AGENTWHERE_HOME": str(home)}
    log = home.parent / "said.txt"
    with log.open("w") as said:
        up = subprocess.Popen(
            [sys.executable, "-m", "agentwhere_app", "up", "--json"],
            cwd=REPO,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            # Safe here and below: the benchmark starts them on its only thread.
            preexec_fn=dying_with_parent(signal.SIGTERM),  # noqa: PLW1509
        )
    assert up.stdout is not None
    try:
        places = json.loads("".join(iter(up.stdout.readline, "}\n")) + "}")
        deadline = time.monotonic() + PATIENCE_S
        while "first pass is done" not in log.read_text():
            assert up.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(1)
        yield Running(places["dashboard"].rstrip("/"), serving_pid(up.pid))
    finally:
        up.terminate()
        up.wait(PATIENCE_S)
        up.stdout.close()


def serving_pid(supervisor: int) -> int:
    """Return the child of ``up`` that serves the API."""
    for pid in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split():
        if b"\0serve\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(pid)
    raise AssertionError("up has no API")


@contextmanager
def floor(answer_bytes: int) -> Iterator[str]:
    """Serve nothing but that many bytes; yield the URL."""
    port = choose_port("", 8000, explicit=False, taken=frozenset()).port
    command = [sys.executable, "-c", FLOOR_APP, str(answer_bytes), str(port)]
    orphan = dying_with_parent(signal.SIGTERM)
    server = subprocess.Popen(command, preexec_fn=orphan)  # noqa: PLW1509
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                httpx.get(url, trust_env=False)
                break
            except httpx.TransportError:
                assert server.poll() is None
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


def load(url: str, seconds: float) -> Round:
    """Ask without a pause over eight connections."""
    began, before = datetime.now(UTC), core_seconds()
    wrk = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--timeout", "60s", "--latency"]
    # In a session of its own: who asks must not have the lower priority of whoever started the benchmark.
    answer = subprocess.run(
        [*wrk, url], check=True, capture_output=True, text=True, start_new_session=True
    )
    said = answer.stdout
    total, stolen = (then - now for then, now in zip(core_seconds(), before, strict=True))
    assert "Non-2xx" not in said, said
    assert "Socket errors" not in said, said
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    slow = re.search(r"^\s+99%\s+([\d.]+)(us|ms|s)\s*$", said, re.MULTILINE)
    assert rate, said
    assert slow, said
    return Round(began, float(rate[1]), float(slow[1]) * UNITS[slow[2]], stolen / total)


def core_seconds() -> tuple[float, float]:
    """Return the ticks of all cores so far, and those of them that other machines had."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks), ticks[7]


@pytest.mark.timeout(0)
def test_health_and_performance(running: Running, sheet: Sheet) -> None:
    answer = httpx.get(running.url + PATHS[0], trust_env=False)
    rounds: dict[str, list[Round]] = {path: [] for path in (*PATHS, "floor")}
    with floor(len(answer.content)) as bare:
        urls = {**{path: running.url + path for path in PATHS}, "floor": bare}
        for _ in range(ROUNDS):
            for what, url in urls.items():
                time.sleep(PAUSE_S)
                rounds[what].append(load(url, ROUND_S))
    beside = in_words(rounds.pop("floor"))
    for path, found in rounds.items():
        sheet.add(
            f"`{path}` beside a running pipeline",
            in_words(found),
            beside=f"a server that does nothing else: {beside}",
            target=TARGET,
        )


def in_words(found: list[Round]) -> str:
    """Return rates and slowest answers of the rounds in which the cores were ours, and how many were not."""
    ours = [one for one in found if one.stolen <= STOLEN]
    others = [one for one in found if one.stolen > STOLEN]
    words = spread(ours) if ours else "no round with the cores to ourselves"
    if others:
        words += (
            f"; with up to {max(one.stolen for one in others):.1%} of the "
            f"cores taken by other machines: {spread(others)}"
        )
    return words


def spread(found: list[Round]) -> str:
    rates, p99 = [one.requests_per_s for one in found], [one.p99_ms for one in found]
    worst = max(found, key=lambda one: one.p99_ms)
    return (
        f"{len(found)} rounds, {min(rates):,.0f} to {max(rates):,.0f}/s, "
        f"p99 {min(p99):.1f} to {max(p99):.1f} ms, median {statistics.median(p99):.1f} ms "
        f"(worst from {worst.began:%H:%M:%S} on, {worst.stolen:.1%} taken)"
    )


@pytest.mark.timeout(0)
def test_memory_under_load(running: Running, sheet: Sheet) -> None:
    seen, answered = [resident_mb(running.api_pid)], 0.0
    deadline = time.monotonic() + 60 * MINUTES
    seconds = min(30.0, 15 * MINUTES)
    while time.monotonic() < deadline:
        for path in PATHS:
            answered += load(running.url + path, seconds).requests_per_s * seconds
        seen.append(resident_mb(running.api_pid))
    half = seen[len(seen) // 2]
    sheet.add(
        f"resident memory of the API, {MINUTES:g} min of load",
        f"{seen[0]:.1f} MB before, {half:.1f} MB half way, {seen[-1]:.1f} MB after "
        f"{answered:,.0f} requests",
        beside=f"most: {max(seen):.1f} MB",
        target="flat",
    )


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
