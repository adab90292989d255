"""Questions to Dagster about runs: which are under way, and why a step failed."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from agentwhere_dagster.materialize import INCIDENT
from agentwhere_dagster.scale import SHARD

RUNS_LOOKED_AT = 5


def unfinished_runs(
    instance: dg.DagsterInstance,
    *,
    job_name: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> int:
    """Return how many runs of a job, or with all of ``tags``, are waiting or running."""
    return instance.get_runs_count(
        dg.RunsFilter(
            job_name=job_name, statuses=list(NOT_FINISHED_STATUSES), tags=dict(tags or {})
        )
    )


def why(failure: dg.DagsterEvent) -> str:
    """Return what a step's failure event says to people: our own message where the step gave one."""
    data = failure.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return data.user_failure_data.description
    if data.error is None:
        return failure.message or "no message"
    return (data.error.cause or data.error).message.strip()


def incident_of(failure: dg.DagsterEvent) -> str | None:
    """Return the alert that a failed step has opened itself, or None."""
    told = failure.step_failure_data.user_failure_data
    incident = told.metadata.get(INCIDENT) if told is not None else None
    return str(incident.value) if incident is not None else None


def incidents_of_last_run(instance: dg.DagsterInstance, asset: dg.AssetKey) -> set[str]:
    """Return what is told of the last run that was to make an asset and has ended, if it failed.

    These are the alerts that the steps opened themselves, and the run's own.
    """
    planned = instance.event_log_storage.get_event_records(
        dg.EventRecordsFilter(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, asset),
        limit=RUNS_LOOKED_AT,
    )
    runs = (instance.get_run_by_id(record.run_id) for record in planned)
    run = next((run for run in runs if run is not None and run.is_finished), None)
    if run is None or run.status is not dg.DagsterRunStatus.FAILURE:
        return set()
    failures = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    of_run = run_incident(run)
    return {of_run} | {
        incident_of(entry.dagster_event) or of_run for entry in failures if entry.dagster_event
    }


def run_incident(run: dg.DagsterRun) -> str:
    """Return the name of the incident that runs of a job, or of one of its shards, fail."""
    shard = run.tags.get(SHARD)
    return f"run:{run.job_name}" if shard is None else f"run:{run.job_name} {shard}"
