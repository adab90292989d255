"""Ticks: on time, never stale, never piling up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from agentwhere_dagster.definitions import defs
from agentwhere_dagster.schedules import TIMETABLES, Timetable, refusal

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("timetable", TIMETABLES, ids=lambda t: t.job.name)
def test_a_tick_on_time_starts_its_job(timetable: Timetable) -> None:
    assert refusal(timetable, AT, AT + timedelta(milliseconds=150), 0) is None


@pytest.mark.parametrize("timetable", TIMETABLES, ids=lambda t: t.job.name)
def test_a_tick_that_comes_too_late_is_skipped_and_says_so(timetable: Timetable) -> None:
    late = timetable.max_lateness + timedelta(seconds=1)
    assert "late" in (refusal(timetable, AT, AT + late, 0) or "")
    assert refusal(timetable, AT, AT + timetable.max_lateness, 0) is None


@pytest.mark.parametrize("timetable", TIMETABLES, ids=lambda t: t.job.name)
def test_a_tick_waits_for_the_run_before_it(timetable: Timetable) -> None:
    assert "not finished" in (refusal(timetable, AT, AT, 1) or "")


def test_ticks_of_five_minutes_are_dropped_before_the_next_one_comes() -> None:
    frequent = [t for t in TIMETABLES if t.cron == "*/5 * * * *"]
    assert len(frequent) == 3
    assert all(t.max_lateness < timedelta(minutes=5) for t in frequent)


def test_a_schedule_asks_for_one_run_per_tick(instance: dg.DagsterInstance) -> None:
    schedule = defs.get_repository_def().get_schedule_def("position_monitoring")
    now = datetime.now(UTC)
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=now)
    requests = schedule.evaluate_tick(context).run_requests
    assert requests is not None
    assert [request.run_key for request in requests] == [now.isoformat()]


def test_a_schedule_skips_while_its_job_is_at_work(instance: dg.DagsterInstance) -> None:
    repository = defs.get_repository_def()
    instance.create_run_for_job(
        defs.resolve_job_def("position_monitoring"), status=dg.DagsterRunStatus.STARTED
    )
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=datetime.now(UTC)
    )
    result = repository.get_schedule_def("position_monitoring").evaluate_tick(context)
    assert not result.run_requests
    assert "not finished" in (result.skip_message or "")
