"""Trouble that no step reports itself opens one alert per incident, and its end closes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from agentwhere_dagster import alerts
from agentwhere_dagster.definitions import defs
from agentwhere_dagster.resources import AgentWhere
from agentwhere_flow.alerts import open_alerts
from agentwhere_flow.system import System

RESOURCES = {"agent_where": AgentWhere()}


class Weather:
    """What the checks below find."""

    passes = True
    severity = dg.AssetCheckSeverity.WARN
    breaks = False


@dg.asset
def watched() -> dg.MaterializeResult[Any]:
    if Weather.breaks:
        raise dg.Failure(description="the venue is away: wait for the next tick")
    return dg.MaterializeResult()


@dg.asset_check(asset=watched)
def is_well() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=Weather.passes, severity=Weather.severity, description="it rains: take an umbrella"
    )


WATCHED = dg.Definitions(
    assets=[watched],
    asset_checks=[is_well],
    jobs=[dg.define_asset_job("look", tags={"agentwhere/lane": "execution"})],
    executor=dg.in_process_executor,
)


@pytest.fixture(autouse=True)
def fine_weather() -> Iterator[None]:
    yield
    Weather.passes, Weather.breaks, Weather.severity = True, False, dg.AssetCheckSeverity.WARN


def look(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return WATCHED.resolve_job_def("look").execute_in_process(
        instance=instance, raise_on_error=False
    )


def read_checks(instance: dg.DagsterInstance, cursor: str | None = None) -> str | None:
    with dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        repository_def=WATCHED.get_repository_def(),
        resources=RESOURCES,
    ) as context:
        return alerts.failed_checks.evaluate_tick(context).cursor


def test_a_failed_check_opens_an_alert_though_its_run_succeeds(
    database_only: System, instance: dg.DagsterInstance
) -> None:
    Weather.passes = False
    assert look(instance).success
    read_checks(instance)
    (alert,) = open_alerts(database_only)
    assert alert.incident == "check:watched:is_well"
    assert alert.detail == "it rains: take an umbrella"
    assert alert.severity.value == "WARNING"


def test_a_check_that_passes_again_closes_its_alert(
    database_only: System, instance: dg.DagsterInstance
) -> None:
    Weather.passes = False
    look(instance)
    cursor = read_checks(instance)
    Weather.passes = True
    look(instance)
    read_checks(instance, cursor)
    assert open_alerts(database_only) == []


def test_one_incident_is_one_alert_however_often_the_check_fails(
    database_only: System, instance: dg.DagsterInstance
) -> None:
    Weather.passes, Weather.severity = False, dg.AssetCheckSeverity.ERROR
    cursor = None
    for _ in range(3):
        look(instance)
        cursor = read_checks(instance, cursor)
    (alert,) = open_alerts(database_only)
    assert alert.times_seen == 3
    assert alert.severity.value == "CRITICAL"


def test_an_evaluation_is_read_once(database_only: System, instance: dg.DagsterInstance) -> None:
    Weather.passes = False
    look(instance)
    cursor = read_checks(instance)
    assert read_checks(instance, cursor) in {None, cursor}
    assert open_alerts(database_only)[0].times_seen == 1


def test_a_failure_that_is_over_before_the_next_tick_leaves_no_open_alert(
    database_only: System, instance: dg.DagsterInstance
) -> None:
    Weather.passes = False
    look(instance)
    Weather.passes = True
    look(instance)
    read_checks(instance)
    assert open_alerts(database_only) == []


def test_a_failed_run_opens_an_alert_that_says_which_step_and_what_to_do(
    database_only: System, instance: dg.DagsterInstance
) -> None:
    Weather.breaks = True
    told = fail_and_tell(instance)
    (alert,) = open_alerts(database_only)
    assert alert.incident == "run:look"
    assert "watched" in alert.detail
    assert "the venue is away: wait for the next tick" in alert.detail
    assert told.run_id in alert.detail
    assert alert.severity.value == "CRITICAL"


def test_a_run_that_succeeds_closes_the_alert_of_its_job(
    database_only: System, instance: dg.DagsterInstance
) -> None:
    Weather.breaks = True
    fail_and_tell(instance)
    Weather.breaks = False
    result = look(instance)
    with dg.build_run_status_sensor_context(
        sensor_name="recovered_runs",
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=result.get_run_success_event(),
        resources=RESOURCES,
    ) as context:
        alerts.recovered_runs(context)
    assert open_alerts(database_only) == []


def test_every_alert_sensor_is_part_of_the_definitions() -> None:
    names = {sensor.name for sensor in defs.get_repository_def().sensor_defs}
    assert {"failed_checks", "stale_assets", "failed_runs", "recovered_runs"} <= names


def test_a_stale_asset_that_is_fresh_again_closes_its_alert(
    database_only: System, instance: dg.DagsterInstance
) -> None:
    from agentwhere_core.domain.enums import Severity
    from agentwhere_flow.alerts import raise_alert
    from tests.flow.world import utc_now

    raise_alert(
        database_only, utc_now(), "stale:orders", Severity.WARNING, "orders is stale", "look"
    )
    with dg.build_sensor_context(
        instance=instance,
        cursor=json.dumps(["orders"]),
        repository_def=defs.get_repository_def(),
        resources=RESOURCES,
    ) as context:
        assert alerts.stale_assets.evaluate_tick(context).cursor == "[]"
    assert open_alerts(database_only) == []


def fail_and_tell(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    result = look(instance)
    with dg.build_run_status_sensor_context(
        sensor_name="failed_runs",
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=result.get_run_failure_event(),
        resources=RESOURCES,
    ) as context:
        alerts.failed_runs(context.for_run_failure())
    return result
