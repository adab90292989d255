"""What Dagster's daemon does, one step at a time: run a job, evaluate the sensors of alerts, judge freshness."""

from __future__ import annotations

import time

import dagster as dg
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange

from agentwhere_dagster import alerts
from agentwhere_dagster.definitions import defs

REPOSITORY = defs.get_repository_def()
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Daemon:
    """Runs jobs and sensors against an instance, and keeps the sensors' cursors."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursors: dict[str, str | None] = {}
        for sensor in (alerts.failed_runs, alerts.recovered_runs):
            self.evaluate(sensor)  # the first tick of such a sensor only finds its place

    def run(self, job: str) -> dg.ExecuteInProcessResult:
        """Let a job run to its end, be it good or bad."""
        return defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, run_config=QUIET, raise_on_error=False
        )

    def hear(self) -> None:
        """Evaluate every sensor of alerts; delivery twice, since a notice may become due by another's end."""
        for sensor in (*alerts.sensors, alerts.alert_delivery):
            self.evaluate(sensor)

    def evaluate(self, sensor: dg.SensorDefinition) -> None:
        """Evaluate one sensor where it left off."""
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor.name),
            repository_def=REPOSITORY,
            resources=defs.resources,
        ) as context:
            told = sensor.evaluate_tick(context)
        self.cursors[sensor.name] = told.cursor or self.cursors.get(sensor.name)

    def judge_freshness(self, asset: str, *, is_fresh: bool) -> None:
        """Write what Dagster's freshness daemon writes when an asset passes its window, or is made again."""
        states = (FreshnessState.FAIL, FreshnessState.PASS)
        self.instance._report_runless_asset_event(
            FreshnessStateChange(
                key=dg.AssetKey(asset),
                previous_state=states[not is_fresh],
                new_state=states[is_fresh],
                state_change_timestamp=time.time(),
            )
        )
