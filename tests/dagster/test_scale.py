"""Executors by setting, and runs that look after one shard each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import dagster as dg
import pytest

from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.sharding import WHOLE, Shard
from agentwhere_dagster import jobs, scale
from agentwhere_dagster.definitions import defs

LOADED = """
import json, sys
from agentwhere_dagster.definitions import defs
repository = defs.get_repository_def()
job = repository.get_job("trade_execution")
heavy = [name for name in ("celery", "kombu", "redis", "kubernetes") if name in sys.modules]
pools = sorted(pool for node in repository.asset_graph.asset_nodes for pool in node.pools)
print(json.dumps({"executor": job.executor_def.name, "heavy": heavy, "pools": pools}))
"""


def loaded(**settings: str) -> dict[str, object]:
    found = subprocess.run(
        [sys.executable, "-c", LOADED],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(found.stdout))


@pytest.fixture
def two_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTWHERE_SHARDS", "2")


@pytest.mark.parametrize("name", ["in_process", "multiprocess"])
def test_executors_of_one_machine_load_nothing_of_the_others(name: str) -> None:
    found = loaded(AGENTWHERE_EXECUTOR=name)
    assert found == {"executor": name, "heavy": [], "pools": ["execution", "execution"]}


def test_celery_is_chosen_by_a_setting() -> None:
    pytest.importorskip("dagster_celery", reason="agentwhere[celery] is not installed")
    found = loaded(AGENTWHERE_EXECUTOR="celery", AGENTWHERE_SHARDS="2")
    assert found["executor"] == "celery"
    # A pool of one would make shards wait for each other: their leases hold them apart.
    assert found["pools"] == []


def test_kubernetes_is_chosen_by_a_setting() -> None:
    pytest.importorskip("dagster_k8s", reason="agentwhere[k8s] is not installed")
    assert loaded(AGENTWHERE_EXECUTOR="k8s_job")["executor"] == "k8s"


def test_an_executor_that_nobody_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTWHERE_EXECUTOR", "dask")
    with pytest.raises(ConfigurationError, match="it may be in_process"):
        scale.executor()


@pytest.mark.parametrize("text", ["0", "17", "two", "-1"])
def test_a_number_of_shards_that_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("AGENTWHERE_SHARDS", text)
    with pytest.raises(ConfigurationError, match="it may be 1 to 16"):
        scale.trading_shards()


def tick(name: str, instance: dg.DagsterInstance, at: datetime) -> list[dg.RunRequest]:
    schedule = defs.get_repository_def().get_schedule_def(name)
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
    return list(schedule.evaluate_tick(context).run_requests or ())


@pytest.mark.usefixtures("two_shards")
@pytest.mark.parametrize("name", ["trade_execution", "position_monitoring"])
def test_a_tick_starts_a_run_for_each_shard_in_a_lane_of_its_own(
    name: str, instance: dg.DagsterInstance
) -> None:
    requests = tick(name, instance, datetime.now(UTC))
    assert [request.tags[scale.SHARD] for request in requests] == ["1/2", "2/2"]
    assert len({request.tags[scale.LANE] for request in requests}) == 2
    assert len({request.run_key for request in requests}) == 2
    assert {scale.lane_of(request.tags) for request in requests} <= jobs.MONEY_LANES


@pytest.mark.usefixtures("two_shards")
def test_a_shard_at_work_holds_up_no_other(instance: dg.DagsterInstance) -> None:
    instance.create_run_for_job(
        defs.resolve_job_def("position_monitoring"),
        status=dg.DagsterRunStatus.STARTED,
        tags={scale.SHARD: "1/2"},
    )
    requests = tick("position_monitoring", instance, datetime.now(UTC))
    assert [request.tags[scale.SHARD] for request in requests] == ["2/2"]


@pytest.mark.usefixtures("two_shards")
def test_what_does_not_trade_is_not_sharded(instance: dg.DagsterInstance) -> None:
    [request] = tick("health_monitoring", instance, datetime.now(UTC))
    assert scale.SHARD not in request.tags


def test_the_shard_of_a_run_is_read_from_its_tags() -> None:
    assert scale.shard_of({}) == WHOLE
    assert scale.shard_of({scale.SHARD: "2/3"}) == Shard(2, 3)
    with pytest.raises(ConfigurationError, match="is no shard"):
        scale.shard_of({scale.SHARD: "3/2"})
