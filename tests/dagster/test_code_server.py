"""Dagster's code server, when the database is away while a run dies."""

from __future__ import annotations

import logging
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
import psycopg
import pytest
from dagster._core.utils import FuturesAwareThreadPoolExecutor
from dagster._grpc.server import DagsterApiServer

from agentwhere_dagster.code_server import keep_looking_after_runs
from agentwhere_dagster.definitions import defs

PATIENCE_S = 60.0


@contextmanager
def runs_unreadable(database_url: str) -> Iterator[None]:
    """Take a column of Dagster's runs away for the length of a block: every question about a run fails at once."""
    url = database_url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE dagster.runs RENAME run_body TO away")
        yield
        connection.execute("ALTER TABLE dagster.runs RENAME away TO run_body")


def await_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def test_a_run_that_died_while_the_database_was_away_is_reported_and_the_server_ends(
    pooled: dg.DagsterInstance, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    keep_looking_after_runs()
    told_to_end = threading.Event()
    with FuturesAwareThreadPoolExecutor(max_workers=1) as threads:
        server = DagsterApiServer(told_to_end, logging.getLogger("code server"), threads)
        job = defs.resolve_job_def("run_retention")
        run = pooled.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        spawning = multiprocessing.get_context("spawn")
        died = spawning.Process(target=sys.exit, args=(1,))
        died.start()
        died.join(PATIENCE_S)
        with runs_unreadable(database_url):
            with server._execution_lock:
                server._termination_events[run.run_id] = spawning.Event()
                server._executions[run.run_id] = (died, pooled.get_ref())
            await_until(lambda: complaints(caplog) == 1)
            time.sleep(1)
            assert complaints(caplog) == 1, "said once, however often it is tried"
        await_until(lambda: status(pooled, run.run_id) is dg.DagsterRunStatus.FAILURE)
        server.cleanup()
    assert told_to_end.is_set()


def complaints(caplog: pytest.LogCaptureFixture) -> int:
    return sum("cannot be looked after" in record.getMessage() for record in caplog.records)


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run_id)
    assert found is not None
    return found.status


def test_loading_the_definitions_in_a_code_server_is_enough() -> None:
    check = (
        "from dagster._grpc.server import DagsterApiServer as server;"
        "import agentwhere_dagster.definitions;"
        "assert hasattr(server._check_for_orphaned_runs, '__wrapped__')"
    )
    subprocess.run([sys.executable, "-c", check], check=True, timeout=PATIENCE_S)
