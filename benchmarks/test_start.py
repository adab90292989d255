"""How long it takes to begin: the code location, the command line, and `run.py` when all is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.sheet import Sheet

REPO = Path(__file__).resolve().parents[1]
ROUNDS = 7
EMPTY_PROJECT = """\
import dagster as dg

@dg.asset
def nothing() -> None: ...

defs = dg.Definitions(assets=[nothing])
"""


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> float:
    """Run a command to its end and return its seconds."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd=folder)
    return time.perf_counter() - began


def side_by_side(
    ours: Sequence[str], theirs: Sequence[str], environment: Mapping[str, str], folder: Path
) -> tuple[float, float]:
    """Run two commands in turn and return the least time of each; noise then meets both."""
    pairs = [
        (run(ours, environment, folder), run(theirs, environment, folder)) for _ in range(ROUNDS)
    ]
    return min(first for first, _ in pairs), min(second for _, second in pairs)


def service_environment(home: Path) -> dict[str, str]:
    """Return what `run.py` gives to its services, bytecode included."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(REPO), "AGENTWHERE_HOME": str(home)}


def test_the_code_location(benchmark: BenchmarkFixture, sheet: Sheet, tmp_path: Path) -> None:
    (tmp_path / "empty_project.py").write_text(EMPTY_PROJECT)
    environment = service_environment(tmp_path)
    environment["PYTHONPATH"] += f"{os.pathsep}{tmp_path}"
    ours = [sys.executable, "-c", "from agentwhere_dagster.definitions import defs"]
    empty = [sys.executable, "-c", "from empty_project import defs"]
    found = benchmark.pedantic(
        side_by_side, args=(ours, empty, environment, tmp_path), rounds=1, warmup_rounds=0
    )
    sheet.add(
        "a process that imports the code location",
        f"{found[0]:.2f} s, {found[0] / found[1]:.2f} ×",
        beside=f"one that imports an empty Dagster project: {found[1]:.2f} s",
        target="1.2 ×",
    )


def test_the_command_line(benchmark: BenchmarkFixture, sheet: Sheet, tmp_path: Path) -> None:
    ours = [sys.executable, "-P", "-m", "agentwhere_app.cli", "--help"]
    peer = [sys.executable, "-c", "import typer, rich.table"]
    found = benchmark.pedantic(
        side_by_side, args=(ours, peer, service_environment(tmp_path), tmp_path), rounds=1
    )
    sheet.add(
        "`agentwhere --help`",
        f"{found[0]:.2f} s",
        beside=f"a process that imports typer and rich: {found[1]:.2f} s",
    )


def test_a_second_start_of_run_py(
    benchmark: BenchmarkFixture, sheet: Sheet, tmp_path: Path
) -> None:
    home = home_with_this_environment(tmp_path / "home")
    through = [sys.executable, str(REPO / "run.py"), "--help"]
    direct = [str(home / "venv/bin/python"), "-P", "-m", "agentwhere_app.cli", "--help"]
    found = benchmark.pedantic(
        side_by_side, args=(through, direct, service_environment(home), tmp_path), rounds=1
    )
    sheet.add(
        "what `run.py` adds to a command when all is installed",
        f"{found[0] - found[1]:.2f} s",
        beside=f"the command itself: {found[1]:.2f} s",
        target="< 2 s",
    )


def home_with_this_environment(home: Path) -> Path:
    """Make a home that run.py finds ready: its environment is the one of this process, by links."""
    import hashlib

    (home / "venv").mkdir(parents=True)
    for part in Path(sys.prefix).iterdir():
        (home / "venv" / part.name).symlink_to(part)
    stamp = home / "venv/agentwhere-lock.sha256"
    stamp.unlink(missing_ok=True)
    stamp.write_text(hashlib.sha256((REPO / "requirements.lock").read_bytes()).hexdigest())
    return home
