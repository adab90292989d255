"""Three batches from an empty database come to the documented signals, however often they run and wherever they die.

The world is the simulator's, begun at a fixed time: its posts, prices and answers are the same each time.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentwhere_flow.classify import classify_posts
from agentwhere_flow.demo import create_demo
from agentwhere_flow.markets import sync_markets
from agentwhere_flow.posts import ingest_posts
from agentwhere_flow.setup import setup
from agentwhere_flow.signals import generate_signals
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.world import contents, rows

pytestmark = pytest.mark.timeout(300)

BEGIN = datetime(2026, 11, 18, 14, tzinfo=UTC)
SLOT = timedelta(hours=6)
BATCHES = 3
PAGE = Path(__file__).parents[2] / "docs/agents.md"
PATIENCE_S = 60.0
WRITTEN = ("posts", "classifications", "mentions", "signals", "signal_refusals")

RUNNER = """
import os
import sys
from datetime import datetime
import httpx, openai, psycopg, feedparser
from agentwhere_flow import context, wiring
from agentwhere_flow.classify import classify_posts
from agentwhere_flow.posts import ingest_posts
from agentwhere_flow.settings import Settings
from agentwhere_flow.signals import generate_signals
from agentwhere_flow.system import System
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        system = System(Settings())
        for step in (ingest_posts, classify_posts, generate_signals):
            step(system, datetime.fromisoformat(line.strip()))
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""

HOLD = """
CREATE FUNCTION agentwhere.hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF {condition} THEN PERFORM pg_sleep(600); END IF; RETURN NEW; END $$;
CREATE TRIGGER hold BEFORE {event} ON agentwhere.{table} FOR EACH ROW EXECUTE FUNCTION agentwhere.hold();
"""


@pytest.fixture
def empty(system: System, sim: Simulator) -> System:
    """A system with markets and the demonstration's agent, and no post, in a world that begins at a fixed time."""
    sim.control("reset", now=BEGIN.isoformat())
    setup(system, BEGIN)
    create_demo(system, BEGIN)
    for venue in system.settings.venues:
        sync_markets(system, BEGIN, venue=venue)
    return system


def run_batch(system: System, sim: Simulator, number: int) -> None:
    """Run one batch at its time."""
    now = BEGIN + number * SLOT
    sim.control("clock", now=now.isoformat(), frozen=True)
    for step in (ingest_posts, classify_posts, generate_signals):
        step(system, now)


def documented() -> list[tuple[str, ...]]:
    """Return the signals and refusals that the page for creators lists."""
    table = PAGE.read_text().split("<!-- batches -->")[1].split("<!-- end -->")[0]
    lines = [line for line in table.splitlines() if re.match(r"^\| \d", line)]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def made(system: System) -> list[tuple[str, ...]]:
    """Return what the batches came to, in the words of the page."""
    query = """
        SELECT batch, token, side, fund_percentage::text || ' %',
               (explanation ->> 'score')::numeric::text, cardinality(source_post_ids)::text
        FROM agentwhere.signals
        UNION ALL
        SELECT batch, token, 'none', reason, '', cardinality(source_post_ids)::text FROM agentwhere.signal_refusals
        ORDER BY 1, 2, 3"""
    first = BEGIN.replace(hour=12)
    return [
        (str((datetime.fromisoformat(batch) - first) // SLOT + 1), *rest)
        for batch, *rest in rows(system, query)
    ]


def test_three_batches_make_the_documented_signals_and_each_run_twice_changes_nothing(
    empty: System, sim: Simulator
) -> None:
    for number in range(BATCHES):
        run_batch(empty, sim, number)
        before = contents(empty, *WRITTEN)
        run_batch(empty, sim, number)
        assert contents(empty, *WRITTEN) == before
    assert made(empty) == documented()


# Killed anywhere


@dataclass(frozen=True)
class Crash:
    """Where the run is held until it is killed, and how one sees that it has come there."""

    hold: Callable[[System, Simulator], Any]
    arrived: Callable[[System, Simulator], bool]


def is_sleeping(system: System, _sim: Simulator) -> bool:
    """Whether the run is held in the middle of a transaction."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    return bool(rows(system, query)[0][0])


def fault_fired(_system: System, sim: Simulator) -> bool:
    """Whether the request has reached its service."""
    faults = sim.http.get("/control/faults").json()["faults"]
    return any(fault["fired"] > 0 for fault in faults)


def writing(table: str, condition: str = "true", event: str = "INSERT") -> Crash:
    """Hold the writing of a row."""

    def hold(system: System, _sim: Simulator) -> None:
        with system.engine.begin() as conn:
            conn.exec_driver_sql(HOLD.format(table=table, condition=condition, event=event))

    return Crash(hold, is_sleeping)


def asking(service: str, kind: str, match: str) -> Crash:
    """Hold a request before the service has it, or its answer."""
    return Crash(
        lambda _system, sim: sim.fault(service, kind, seconds=60, match=match), fault_fired
    )


def seen(table: str, count: int) -> str:
    """Return the condition that so many rows are committed already."""
    return f"(SELECT count(*) FROM agentwhere.{table}) >= {count}"


CRASHES = {
    "while X is asked": asking("x", "hang_before", "by/username/perp_pete"),
    "while X answers": asking("x", "hang_after", "/tweets"),
    "when some sources are stored": writing("posts", seen("posts", 5)),
    "before a cursor is moved": writing("x_accounts", event="UPDATE"),
    "after all is read": writing("step_runs", "NEW.step = 'posts'"),
    "when the model has answered": asking("llm", "hang_after", "chat/completions"),
    "before calls are kept": writing("llm_calls"),
    "when some posts are classified": writing("classifications", seen("classifications", 4)),
    "before a post is marked": writing("posts", "NEW.state = 'CLASSIFIED'", "UPDATE"),
    "before a signal is kept": writing("signals"),
    "before a refusal is kept": writing("signal_refusals"),
    "after all is done": writing("step_runs", "NEW.step = 'signals'"),
}


def test_a_run_that_is_killed_anywhere_ends_as_one_that_was_not(
    empty: System, sim: Simulator
) -> None:
    """Kill a run at each boundary, run it again, and compare every row with those of an undisturbed run."""
    run_batch(empty, sim, 0)
    undisturbed = final_rows(empty)
    assert all(undisturbed.values())
    different = {}
    with runner_of(empty) as runner:
        for name, crash in CRASHES.items():
            forget(empty)
            kill_at(name, crash, empty, sim, runner)
            run_batch(empty, sim, 0)
            if (found := final_rows(empty)) != undisturbed:
                different[name] = [table for table in found if found[table] != undisturbed[table]]
    assert different == {}


def final_rows(system: System) -> dict[str, list[str]]:
    """Return what a run leaves, without the ids, which are drawn, and how long the model took."""
    names = {
        str(id_): name
        for id_, name in rows(
            system,
            """SELECT id, external_id FROM agentwhere.posts UNION ALL SELECT id, handle FROM agentwhere.x_accounts
               UNION ALL SELECT id, url FROM agentwhere.research_sources""",
        )
    }
    found = {}
    for table in (*WRITTEN, "x_accounts", "research_sources", "market_context", "candles"):
        query = f"SELECT to_jsonb(t) - 'id' - 'latency_ms' FROM agentwhere.{table} t"
        texts = [json.dumps(row, sort_keys=True) for (row,) in rows(system, query)]
        found[table] = sorted(
            re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", lambda id_: names.get(id_[0], "?"), text)
            for text in texts
        )
    return found


def forget(system: System) -> None:
    """Bring the database back to before the first batch."""
    with system.engine.begin() as conn:
        conn.exec_driver_sql(
            "TRUNCATE agentwhere.posts, agentwhere.signals, agentwhere.signal_refusals, agentwhere.market_context, "
            "agentwhere.candles, agentwhere.step_runs, agentwhere.errors CASCADE"
        )
        conn.exec_driver_sql(
            "UPDATE agentwhere.x_accounts SET since_id = NULL, user_id = NULL, last_fetched = NULL, last_error = NULL"
        )
        conn.exec_driver_sql(
            "UPDATE agentwhere.research_sources SET etag = NULL, last_modified = NULL, last_fetched = NULL"
        )


def kill_at(name: str, crash: Crash, system: System, sim: Simulator, runner: Runner) -> None:
    """Run the batch in a process of its own, kill it where it is held, and let everything go again."""
    crash.hold(system, sim)
    pid = runner.begin()
    deadline = time.monotonic() + PATIENCE_S
    while not (arrived := crash.arrived(system, sim)) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    assert arrived, f"the run never came to the boundary {name!r}"
    assert runner.end() == signal.SIGKILL
    with system.engine.begin() as conn:
        conn.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE wait_event = 'PgSleep' AND datname = current_database()"
        )
    with system.engine.begin() as conn:
        conn.exec_driver_sql("DROP FUNCTION IF EXISTS agentwhere.hold CASCADE")
    sim.http.delete("/control/faults").raise_for_status()


class Runner:
    """A process that has loaded everything and runs the first batch in a child of its own whenever it is asked to."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._running = running
        assert self._line() == "ready"

    def begin(self) -> int:
        """Begin a run; return its process id."""
        assert self._running.stdin is not None
        self._running.stdin.write(f"{BEGIN.isoformat()}\n")
        self._running.stdin.flush()
        return int(self._line())

    def end(self) -> int:
        """Return how the run ended: the signal that killed it, or zero."""
        return int(self._line())

    def _line(self) -> str:
        assert self._running.stdout is not None
        while True:
            line = self._running.stdout.readline()
            assert line, "the runner is gone"
            if re.fullmatch(r"ready|\d+", line.strip()):
                return line.strip()


@contextmanager
def runner_of(system: System) -> Iterator[Runner]:
    """Start a runner with the system's settings in its environment."""
    url = system.settings.database_url
    assert url is not None
    environment = os.environ | {
        "DATABASE_URL": url.get_secret_value(),
        "AGENTWHERE_HOME": str(system.settings.home),
        "AGENTWHERE_SIM_PORT": str(system.settings.sim_port),
        "AGENTWHERE_HTTP_TIMEOUT_S": "60",
        "AGENTWHERE_LLM_CONCURRENCY": "1",
    }
    running = subprocess.Popen(
        [sys.executable, "-c", RUNNER],
        cwd=PAGE.parents[1],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with running:
        try:
            yield Runner(running)
        finally:
            running.kill()
