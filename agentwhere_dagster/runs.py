"""Questions to Dagster about runs: which are under way, and why a step failed."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from agentwhere_dagster.materialize import INCIDENT


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
