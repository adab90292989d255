"""Sensors that start a run at once instead of at its next tick; see `alerts` for those that report trouble."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from agentwhere_dagster import jobs
from agentwhere_dagster.assets.arena import MODELS
from agentwhere_dagster.assets.markets import market_list_name, venue_markets
from agentwhere_dagster.resources import AgentWhere
from agentwhere_dagster.runs import unfinished_runs
from agentwhere_dagster.scale import LANE, shard_key, shard_tags

POLL_S = 5
RETRY_FIRST_PASS_AFTER = timedelta(seconds=30)
RETRY_FIRST_PASS_AT_MOST = timedelta(minutes=10)
RESYNC_EVERY = timedelta(minutes=15)
RETRY_TURN_AFTER = timedelta(minutes=1)

_RUNNING = dg.DefaultSensorStatus.RUNNING


@dg.sensor(
    job=jobs.trade_execution,
    minimum_interval_seconds=POLL_S,
    default_status=_RUNNING,
    description="Starts trade execution as soon as there is a signal that it has not seen.",
)
def new_signals(
    context: dg.SensorEvaluationContext, agent_where: AgentWhere
) -> list[dg.RunRequest] | dg.SkipReason:
    """Start trade execution as soon as there is a signal that it has not seen."""
    from agentwhere_flow.triggers import newest_signal

    system = agent_where.system()
    mark = newest_signal(system, system.clock())
    if mark is None or mark == context.cursor:
        return dg.SkipReason("No signal has come since the last run that this sensor started.")
    context.update_cursor(mark)
    return [
        dg.RunRequest(
            run_key=shard_key(f"signal {mark}", shard), tags=shard_tags(jobs.trade_execution, shard)
        )
        for shard in jobs.shards_of(jobs.trade_execution)
    ]


@dg.sensor(
    job=jobs.performance,
    minimum_interval_seconds=POLL_S,
    default_status=_RUNNING,
    description="Recomputes performance as soon as a position has closed.",
)
def closed_positions(
    context: dg.SensorEvaluationContext, agent_where: AgentWhere
) -> dg.RunRequest | dg.SkipReason:
    """Recompute performance as soon as a position has closed."""
    from agentwhere_flow.triggers import newest_close

    system = agent_where.system()
    mark = newest_close(system, system.clock())
    if mark is None or mark == context.cursor:
        return dg.SkipReason("No position has closed since the last run that this sensor started.")
    context.update_cursor(mark)
    return dg.RunRequest(run_key=f"close {mark}")


@dg.sensor(
    jobs=[jobs.full_pass, jobs.signal_generation],
    minimum_interval_seconds=POLL_S,
    default_status=_RUNNING,
    description="Runs the whole flow once on an empty database, and again after a failure, with growing pauses.",
)
def first_pass(
    context: dg.SensorEvaluationContext, agent_where: AgentWhere
) -> dg.RunRequest | dg.SkipReason:
    """Run the whole flow once on an empty database; after a failure, again with growing pauses.

    Once any venue has been synced, a first pass that failed elsewhere goes on by generating signals: the other sensors
    and schedules do the rest.
    """
    from agentwhere_flow.triggers import FirstPass
    from agentwhere_flow.triggers import first_pass as progress

    system = agent_where.system()
    reached = progress(system)
    now = system.clock()
    if reached is FirstPass.DONE:
        return dg.SkipReason("The first pass is done; schedules and sensors carry on.")
    if reached is FirstPass.NOT_SET_UP:
        return dg.SkipReason("The database is not set up: run `agentwhere setup`.")
    job = jobs.full_pass if reached is FirstPass.NOTHING_SYNCED else jobs.signal_generation
    if _is_at_work(context.instance, jobs.full_pass, jobs.market_sync, jobs.signal_generation):
        return dg.SkipReason("A run is at work on it.")
    attempts, last = _read_attempts(context.cursor)
    pause = min(RETRY_FIRST_PASS_AFTER * 2 ** max(0, attempts - 1), RETRY_FIRST_PASS_AT_MOST)
    if last is not None and now < last + pause:
        return dg.SkipReason(
            f"Attempt {attempts} failed: the next one comes at {last + pause:%H:%M:%S} UTC. See the Runs page."
        )
    context.update_cursor(json.dumps({"attempts": attempts + 1, "last": now.isoformat()}))
    return dg.RunRequest(job_name=job.name)


@dg.sensor(
    job=jobs.market_sync,
    minimum_interval_seconds=60,
    default_status=_RUNNING,
    description="Syncs the venues again whose market list failed to come or is too old to route by.",
)
def stale_markets(
    context: dg.SensorEvaluationContext, agent_where: AgentWhere
) -> dg.RunRequest | dg.SkipReason:
    """Sync again the venues whose market list failed to come or is too old to route by."""
    from agentwhere_flow.triggers import FirstPass, stale_venues
    from agentwhere_flow.triggers import first_pass as progress

    system = agent_where.system()
    now = system.clock()
    reached = progress(system)
    venues = stale_venues(system, now)
    if reached in (FirstPass.NOT_SET_UP, FirstPass.NOTHING_SYNCED):
        return dg.SkipReason("Nothing was synced yet: the first pass does that.")
    if not venues:
        return dg.SkipReason("All market lists are fresh.")
    if _is_at_work(context.instance, jobs.full_pass, jobs.market_sync):
        return dg.SkipReason("A run is at work on it.")
    names = [market_list_name(venue) for venue in venues]
    if context.cursor and now < datetime.fromisoformat(context.cursor) + RESYNC_EVERY:
        return dg.SkipReason(f"{', '.join(names)} are stale; tried within the last 15 minutes.")
    context.update_cursor(now.isoformat())
    return dg.RunRequest(
        asset_selection=[*(dg.AssetKey(name) for name in names), venue_markets.key]
    )


@dg.sensor(
    job=jobs.arena,
    minimum_interval_seconds=POLL_S,
    default_status=_RUNNING,
    description="Starts the arena as soon as a model is due, and while another model keeps an earlier run waiting.",
)
def due_models(
    context: dg.SensorEvaluationContext, agent_where: AgentWhere
) -> dg.RunRequest | dg.SkipReason:
    """Start the arena as soon as a model is due.

    A model that keeps its run waiting does not make the others wait: they get a run of their own, in a second lane.
    """
    from agentwhere_flow.triggers import due_turns

    system = agent_where.system()
    now = system.clock()
    due = due_turns(system, now)
    if due is None:
        return dg.SkipReason("No model is due.")
    context.instance.add_dynamic_partitions(str(MODELS.name), list(due.names))
    at_work = context.instance.get_run_records(
        dg.RunsFilter(job_name=jobs.arena.name, statuses=list(NOT_FINISHED_STATUSES))
    )
    if any(record.create_timestamp >= due.latest for record in at_work) or len(at_work) > 1:
        return dg.SkipReason("A run is at work on it.")
    mark, last = _read_mark(context.cursor)
    if mark == due.mark and last is not None and now < last + RETRY_TURN_AFTER:
        return dg.SkipReason("Tried within the last minute; see the Runs page.")
    context.update_cursor(json.dumps({"mark": due.mark, "last": now.isoformat()}))
    lane = {LANE: "arena beside a slow model"} if at_work else {}
    return dg.RunRequest(tags=lane)


def _read_mark(cursor: str | None) -> tuple[str | None, datetime | None]:
    if not cursor:
        return None, None
    state = json.loads(cursor)
    return str(state["mark"]), datetime.fromisoformat(state["last"])


def _is_at_work(instance: dg.DagsterInstance, *several: Any) -> bool:
    return any(unfinished_runs(instance, job_name=job.name) for job in several)


def _read_attempts(cursor: str | None) -> tuple[int, datetime | None]:
    if not cursor:
        return 0, None
    state = json.loads(cursor)
    return int(state["attempts"]), datetime.fromisoformat(state["last"])


sensors = [new_signals, closed_positions, first_pass, stale_markets, due_models]
