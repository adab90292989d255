"""How work is spread over processes and machines: what executes steps, and how trading is dealt out among shards.

A shard is a run of its own, told by its tag which deployments it looks after; a run without the tag looks after all of
them. So the assets, their names and their checks are the same whatever the number of shards.

Both settings are read from the environment here, as `agentwhere_flow.settings.Settings` reads them: Dagster wants them
when it loads the definitions, and loading the settings' module takes a fifth of the time that Dagster itself takes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.sharding import PARTS, WHOLE, Shard, read_shard, shards

if TYPE_CHECKING:
    from dagster import ExecutorDefinition

LANE = "agentwhere/lane"
SHARD = "agentwhere/shard"
MAX_RUNTIME = "dagster/max_runtime"
SHARD_MAX_RUNTIME_S = 240
"""Celery does not notice a dead worker: run monitoring ends its run after this long, before the next tick but one."""


def executor() -> ExecutorDefinition:
    """Return what ``AGENTWHERE_EXECUTOR`` names.

    Raises
    ------
    ConfigurationError
        If it names nothing that is known, or what it needs is not installed.
    """
    name = os.environ.get("AGENTWHERE_EXECUTOR", "") or "in_process"
    try:
        if name == "in_process":
            # These jobs are short: a process for each step would cost more than the steps themselves.
            return dg.in_process_executor
        if name == "multiprocess":
            return dg.multiprocess_executor
        if name == "celery":
            from dagster_celery import celery_executor

            places = {key: {"env": f"AGENTWHERE_CELERY_{key.upper()}"} for key in _CELERY}
            on_workers: ExecutorDefinition = celery_executor.configured(places, name="celery")
            return on_workers
        if name == "k8s_job":
            from dagster_k8s import k8s_job_executor

            in_pods: ExecutorDefinition = k8s_job_executor
            return in_pods
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"AGENTWHERE_EXECUTOR={name} needs {error.name}: install agentwhere[{_EXTRAS[name]}]"
        ) from error
    raise ConfigurationError(
        f"AGENTWHERE_EXECUTOR={name}: it may be in_process, multiprocess, celery or k8s_job"
    )


_CELERY = ("broker", "backend")
_EXTRAS = {"celery": "celery", "k8s_job": "k8s"}


def trading_shards() -> tuple[Shard, ...]:
    """Return the shards of the jobs that trade, as many as ``AGENTWHERE_SHARDS`` says.

    Raises
    ------
    ConfigurationError
        If that is no number of shards.
    """
    text = os.environ.get("AGENTWHERE_SHARDS", "") or "1"
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= len(PARTS):
        raise ConfigurationError(f"AGENTWHERE_SHARDS={text}: it may be 1 to {len(PARTS)}")
    return shards(int(text))


def money_pool() -> str | None:
    """Return the pool that holds steps apart which move money; shards are held apart by their leases alone."""
    return EXECUTION_POOL if len(trading_shards()) == 1 else None


EXECUTION_POOL = "execution"


def shard_tags(job: Any, shard: Shard) -> dict[str, str]:
    """Return the tags that make a run of ``job`` the run of one shard, in a lane of its own."""
    if shard.is_whole:
        return {}
    return {
        SHARD: str(shard),
        LANE: f"{job.tags[LANE]} {shard}",
        MAX_RUNTIME: str(SHARD_MAX_RUNTIME_S),
    }


def shard_key(run_key: str, shard: Shard) -> str:
    """Return the key of one shard's run."""
    return run_key if shard.is_whole else f"{run_key} {shard}"


def shard_of(tags: Mapping[str, str]) -> Shard:
    """Return the shard of a run by its tags.

    Raises
    ------
    ConfigurationError
        If the tag names no shard.
    """
    text = tags.get(SHARD)
    if text is None:
        return WHOLE
    try:
        return read_shard(text)
    except ValueError as error:
        raise ConfigurationError(f"the run's tag {SHARD}: {error}") from None


def lane_of(tags: Mapping[str, str]) -> str | None:
    """Return the lane of a run, the same for all shards."""
    lane = tags.get(LANE)
    return lane and lane.removesuffix(f" {tags.get(SHARD)}")
