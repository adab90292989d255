"""Questions to Dagster about runs that are under way."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES


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
