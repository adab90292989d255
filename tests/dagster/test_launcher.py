"""Run monitoring, by the launcher of `dagster.yaml`: a run that ended with its code server frees its lane."""

from __future__ import annotations

import json
import logging
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.utils import FuturesAwareThreadPoolExecutor
from dagster._daemon.monitoring.run_monitoring import monitor_started_run
from dagster._grpc.server import DagsterApiServer, DagsterGrpcServer

from agentwhere_app.home import REPOSITORY
from agentwhere_dagster.definitions import defs
from agentwhere_dagster.launcher import WatchedRunLauncher
from tests.deploy.conftest import free_ports

PATIENCE_S = 60.0
Place = dict[str, str | int]


@pytest.fixture
def monitored(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with launcher and monitoring of our `dagster.yaml`."""
    ours = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
    wanted = {name: ours[name] for name in ("run_launcher", "run_monitoring")}
    wanted["telemetry"] = {"enabled": False}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=wanted) as instance:
        yield instance


@contextmanager
def code_server() -> Iterator[tuple[DagsterApiServer, Place]]:
    """A code server of this process, without definitions, and where it listens."""
    [port] = free_ports(1)
    told_to_end = threading.Event()
    log = logging.getLogger("code server")
    with FuturesAwareThreadPoolExecutor(max_workers=4) as threads:
        api = DagsterApiServer(told_to_end, log, threads)
        server = DagsterGrpcServer(told_to_end, api, log, threads, host="127.0.0.1", port=port)
        serving = threading.Thread(target=server.serve, daemon=True)
        serving.start()
        yield api, {"host": "127.0.0.1", "port": port}
        with api._execution_lock:
            api._executions.clear()
        told_to_end.set()
        serving.join(PATIENCE_S)
        assert not serving.is_alive()


def started_at(instance: dg.DagsterInstance, place: Place | None) -> dg.DagsterRun:
    """Return a run on record as at work, started by the code server at a place."""
    tags = {} if place is None else {GRPC_INFO_TAG: json.dumps(place)}
    job = defs.resolve_job_def("run_retention")
    return instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)


def monitored_status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    """Let run monitoring look at a run once, and return what it is then."""
    record = instance.get_run_record_by_id(run.run_id)
    assert record is not None
    monitor_started_run(instance, None, record, logging.getLogger("monitoring"))  # type: ignore[arg-type]
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def await_answer(look: Callable[[], dg.DagsterRunStatus]) -> dg.DagsterRunStatus:
    """Look until the server, which may still be starting, has told that the run is lost."""
    give_up_at = time.monotonic() + PATIENCE_S
    while (found := look()) is dg.DagsterRunStatus.STARTED:
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
    return found


def test_a_run_whose_server_was_started_anew_has_failed(monitored: dg.DagsterInstance) -> None:
    assert isinstance(monitored.run_launcher, WatchedRunLauncher)
    with code_server() as (_, place):
        run = started_at(monitored, place)
        assert await_answer(lambda: monitored_status(monitored, run)) is dg.DagsterRunStatus.FAILURE
    said = [entry.message for entry in monitored.all_logs(run.run_id)]
    assert any("ended with the one before" in message for message in said), said


def test_a_run_that_its_server_knows_is_at_work(monitored: dg.DagsterInstance) -> None:
    spawning = multiprocessing.get_context("spawn")
    at_work = spawning.Process(target=time.sleep, args=(PATIENCE_S,))
    at_work.start()
    try:
        with code_server() as (api, place):
            lost, run = started_at(monitored, place), started_at(monitored, place)
            with api._execution_lock:
                api._termination_events[run.run_id] = spawning.Event()
                api._executions[run.run_id] = (at_work, monitored.get_ref())
            await_answer(lambda: monitored_status(monitored, lost))
            assert monitored_status(monitored, run) is dg.DagsterRunStatus.STARTED
    finally:
        at_work.kill()
        at_work.join()


def test_a_server_that_does_not_answer_says_nothing_about_its_runs(
    monitored: dg.DagsterInstance,
) -> None:
    [port] = free_ports(1)
    run = started_at(monitored, {"host": "127.0.0.1", "port": port})
    assert monitored_status(monitored, run) is dg.DagsterRunStatus.STARTED


def test_a_run_that_no_server_started_is_left_alone(monitored: dg.DagsterInstance) -> None:
    run = started_at(monitored, None)
    assert monitored_status(monitored, run) is dg.DagsterRunStatus.STARTED
