"""Schedules: the cron lines of the flow, in UTC, running from the start.

After an outage Dagster runs only the latest missed tick, and late. Each schedule says how late is still useful: a late
market list is, a late execution tick is not, because the next one follows. A tick is also skipped while the same job
is still at work, so that ticks never pile up behind a slow venue. Where trading is sharded, each shard is started, or
skipped, by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from agentwhere_core.domain.time import utc_now
from agentwhere_dagster import jobs
from agentwhere_dagster.jobs import shards_of
from agentwhere_dagster.runs import unfinished_runs
from agentwhere_dagster.scale import SHARD, shard_key, shard_tags


@dataclass(frozen=True, slots=True)
class Timetable:
    """When a job runs, and how late a tick may start it."""

    job: Any
    cron: str
    max_lateness: timedelta
    description: str


TIMETABLES = (
    Timetable(
        jobs.market_sync,
        "0 2 * * *",
        timedelta(hours=12),
        "Market lists of all venues, daily.",
    ),
    Timetable(
        jobs.signal_generation,
        "0 */6 * * *",
        timedelta(hours=2),
        "Posts to signals, every six hours.",
    ),
    Timetable(
        jobs.trade_execution,
        "*/5 * * * *",
        timedelta(minutes=4),
        "Live signals to orders, every five minutes; new signals also start it at once.",
    ),
    Timetable(
        jobs.position_monitoring,
        "*/5 * * * *",
        timedelta(minutes=4),
        "Marks and exits of open positions, every five minutes.",
    ),
    Timetable(
        jobs.arena,
        "*/5 * * * *",
        timedelta(minutes=4),
        "Turns of the arena's models and marks of their accounts; models that are due earlier start it at once.",
    ),
    Timetable(
        jobs.health_monitoring,
        "*/10 * * * *",
        timedelta(minutes=9),
        "Health report and all checks, every ten minutes.",
    ),
    Timetable(
        jobs.performance,
        "10 0 * * *",
        timedelta(hours=12),
        "Figures of the day that has just ended; closed positions also start it at once.",
    ),
    Timetable(
        jobs.run_retention,
        "40 3 * * *",
        timedelta(hours=12),
        "Deletes Dagster's own old runs, daily.",
    ),
)


def refusal(
    timetable: Timetable, scheduled_at: datetime, now: datetime, unfinished: int
) -> str | None:
    """Return why a tick should not start its job, or None when it should."""
    lateness = now - scheduled_at
    if lateness > timetable.max_lateness:
        minutes = round(lateness.total_seconds() / 60)
        return (
            f"The tick of {scheduled_at:%Y-%m-%d %H:%M} UTC comes {minutes} minutes late, after an outage; "
            "the next one follows on time."
        )
    if unfinished:
        return f"{unfinished} earlier run(s) of {timetable.job.name} have not finished; see the Runs page."
    return None


def _schedule(timetable: Timetable) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=timetable.job.name,
        job=timetable.job,
        cron_schedule=timetable.cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=timetable.description,
    )
    def tick(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        scheduled_at = context.scheduled_execution_time
        requests, reasons = [], []
        for shard in shards_of(timetable.job):
            tags = shard_tags(timetable.job, shard)
            unfinished = unfinished_runs(
                context.instance,
                job_name=timetable.job.name,
                tags={SHARD: tags[SHARD]} if tags else None,
            )
            if reason := refusal(timetable, scheduled_at, utc_now(), unfinished):
                reasons.append(reason)
            else:
                key = shard_key(scheduled_at.isoformat(), shard)
                requests.append(dg.RunRequest(run_key=key, tags=tags))
        return requests or dg.SkipReason(reasons[0])

    return tick


schedules = [_schedule(timetable) for timetable in TIMETABLES]
