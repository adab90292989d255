"""Sensors that open and close alerts, for what no step can report itself, and the one that has them told.

A failed check leaves its run a success, a stale asset has no run at all, and a run whose process died says nothing: so
there are three kinds of them, and a fourth that closes what has recovered.

One incident is told once. What merely follows from an open incident (assets that grow stale because their run fails, a
backlog while the model is away) opens no alert of its own, unless it outlasts the incident.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from agentwhere_core.domain.enums import Severity
from agentwhere_dagster import jobs
from agentwhere_dagster.materialize import INCIDENT
from agentwhere_dagster.resources import AgentWhere
from agentwhere_dagster.runs import incident_of, incidents_of_last_run, run_incident, why
from agentwhere_dagster.scale import lane_of

if TYPE_CHECKING:
    from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

    from agentwhere_flow.system import System

POLL_S = 15
CHECKS_READ_PER_TICK = 20
LOOK_BACK_S = 120.0
WILL_RETRY = "dagster/will_retry"

_RUNNING = dg.DefaultSensorStatus.RUNNING


@dg.sensor(
    minimum_interval_seconds=POLL_S,
    default_status=_RUNNING,
    description="Opens an alert for each check that fails, and closes it when the check passes.",
)
def failed_checks(
    context: dg.SensorEvaluationContext, agent_where: AgentWhere
) -> dg.SensorResult | dg.SkipReason:
    """Open an alert for each check that fails, and close it when the check passes again."""
    from dagster._core.storage.asset_check_execution_record import (
        AssetCheckExecutionRecordStatus as Status,
    )

    from agentwhere_flow.alerts import close_alert, raise_alert

    since, seen = _read_seen(context.cursor)
    news = [record for record in _check_records(context, since) if record.id not in seen]
    if not news:
        return dg.SkipReason("No check has been evaluated since the last tick.")
    system = agent_where.system()
    told = _open_incidents(system)
    for record in news:
        name = record.key.asset_key.to_user_string()
        incident = f"check:{name}:{record.key.name}"
        if record.status is Status.SUCCEEDED:
            close_alert(system, _time_of(record), incident)
        elif not _causes(record) & told:
            severity, detail = _verdict(record)
            title = f"{name}: check {record.key.name} failed"
            raise_alert(system, _time_of(record), incident, severity, title, detail)
    return dg.SensorResult(cursor=_write_seen(since, seen, news))


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=_RUNNING,
    description="Opens an alert for each asset that fails its freshness policy, and closes it once it is fresh.",
)
def stale_assets(
    context: dg.SensorEvaluationContext, agent_where: AgentWhere
) -> dg.SensorResult | dg.SkipReason:
    """Open an alert for each asset that fails its freshness policy, and close it once it is fresh."""
    from dagster._core.definitions.freshness import FreshnessState

    from agentwhere_flow.alerts import close_alert, raise_alert

    definitions = context.repository_def
    if definitions is None:
        return dg.SkipReason("The code location is not loaded.")
    keys = list(definitions.asset_graph.get_all_asset_keys())
    states = context.instance.get_freshness_state_records(keys)
    failing = {
        key.to_user_string()
        for key, s in states.items()
        if s.freshness_state is FreshnessState.FAIL
    }
    known = set(json.loads(context.cursor)) if context.cursor else set()
    if failing == known:
        return dg.SkipReason(f"{len(failing)} assets are stale, as before.")
    system = agent_where.system()
    now = system.clock()
    told = _open_incidents(system)
    failing -= {
        name
        for name in failing - known
        if incidents_of_last_run(context.instance, dg.AssetKey.from_user_string(name)) & told
    }
    for name in sorted(failing - known):
        detail = "Its last materialization is older than its freshness policy allows. See the job's latest runs."
        raise_alert(system, now, f"stale:{name}", Severity.WARNING, f"{name} is stale", detail)
    for name in sorted(known - failing):
        close_alert(system, now, f"stale:{name}")
    return dg.SensorResult(cursor=json.dumps(sorted(failing)))


@dg.run_failure_sensor(
    minimum_interval_seconds=POLL_S,
    default_status=_RUNNING,
    monitor_all_code_locations=True,
    description="Opens an alert for a job whose run failed, also where its process died.",
)
def failed_runs(
    context: dg.RunFailureSensorContext, agent_where: AgentWhere
) -> dg.SkipReason | None:
    """Open an alert for a job whose run failed; it closes when a later run of the job succeeds."""
    from agentwhere_flow.alerts import raise_alert

    run = context.dagster_run
    if run.tags.get(WILL_RETRY) == "true":
        return dg.SkipReason("The run will be retried.")
    events = context.get_step_failure_events()
    if events and all(incident_of(event) for event in events):
        return dg.SkipReason("The steps that failed have opened alerts of their own.")
    failures = [f"{event.step_key}: {why(event)}" for event in events]
    detail = (
        "\n".join(failures) or context.failure_event.message or "The run failed without a step."
    )
    system = agent_where.system()
    raise_alert(
        system,
        system.clock(),
        run_incident(run),
        Severity.CRITICAL if lane_of(run.tags) in jobs.MONEY_LANES else Severity.WARNING,
        f"{run.job_name} failed",
        f"{detail}\nRun {run.run_id}",
    )
    return None


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    minimum_interval_seconds=POLL_S,
    default_status=_RUNNING,
    monitor_all_code_locations=True,
    description="Closes the alert of a job once a run of it has succeeded.",
)
def recovered_runs(context: dg.RunStatusSensorContext, agent_where: AgentWhere) -> None:
    """Close the alert of a job whose run has succeeded."""
    from agentwhere_flow.alerts import close_alert

    system = agent_where.system()
    close_alert(system, system.clock(), run_incident(context.dagster_run))


@dg.sensor(
    minimum_interval_seconds=POLL_S,
    default_status=_RUNNING,
    description="Tells the alert targets what is due, and calls the heartbeat's address while all is well.",
)
def alert_delivery(context: dg.SensorEvaluationContext, agent_where: AgentWhere) -> dg.SkipReason:
    """Tell the alert targets what is due, and call the heartbeat's address while all is well."""
    from agentwhere_flow.heartbeat import beat
    from agentwhere_flow.notices import deliver_notices, is_anything_due

    system = agent_where.system()
    now = system.clock()
    said = ["Nothing is to be told."]
    if is_anything_due(system, now):
        report = deliver_notices(system, now)
        said = [f"{report.rows_out} of {report.rows_in} notices were sent.", *report.problems]
    last = datetime.fromisoformat(context.cursor) if context.cursor else None
    if last is None or (now - last).total_seconds() >= system.settings.heartbeat_s:
        context.update_cursor(now.isoformat())
        silence = beat(system, now)
        said += [f"No heartbeat: {silence}."] if silence else []
    return dg.SkipReason(" ".join(said))


def _check_records(
    context: dg.SensorEvaluationContext, since: float
) -> list[AssetCheckExecutionRecord]:
    """Return the evaluations of all checks from ``since`` on, oldest first."""
    from dagster._core.storage.asset_check_execution_record import (
        AssetCheckExecutionRecordStatus as Status,
    )

    if context.repository_def is None:
        return []
    storage = context.instance.event_log_storage
    found = [
        record
        for key in context.repository_def.asset_graph.asset_check_keys
        for record in storage.get_asset_check_execution_history(
            key, limit=CHECKS_READ_PER_TICK, status={Status.SUCCEEDED, Status.FAILED}
        )
        if record.event is not None and record.event.timestamp >= since
    ]
    return sorted(found, key=_moment)


def _open_incidents(system: System) -> set[str]:
    from agentwhere_flow.alerts import open_alerts

    return {alert.incident for alert in open_alerts(system)}


def _causes(record: AssetCheckExecutionRecord) -> set[str]:
    """Return the incidents of which a failed check would be a mere consequence."""
    known = record.evaluation.metadata.get(INCIDENT) if record.evaluation is not None else None
    return set(str(known.value).split()) if known is not None else set()


def _moment(record: AssetCheckExecutionRecord) -> float:
    return record.event.timestamp if record.event is not None else record.create_timestamp


def _time_of(record: AssetCheckExecutionRecord) -> datetime:
    return datetime.fromtimestamp(_moment(record), UTC)


def _verdict(record: AssetCheckExecutionRecord) -> tuple[Severity, str]:
    evaluation = record.evaluation
    if evaluation is None:
        return Severity.WARNING, "See the check in the Dagster UI."
    critical = evaluation.severity is dg.AssetCheckSeverity.ERROR
    severity = Severity.CRITICAL if critical else Severity.WARNING
    return severity, evaluation.description or "See the check in the Dagster UI."


def _read_seen(cursor: str | None) -> tuple[float, dict[int, float]]:
    """Return the time to look back to, and the records since then that were handled, with their times.

    Evaluations become visible a moment after the time that they carry, so the cursor looks back a little.
    """
    if not cursor:
        return 0.0, {}
    state = json.loads(cursor)
    return float(state["since"]), {int(key): float(at) for key, at in state["seen"].items()}


def _write_seen(since: float, seen: dict[int, float], news: list[AssetCheckExecutionRecord]) -> str:
    later = max(since, _moment(news[-1]) - LOOK_BACK_S)
    known = seen | {record.id: _moment(record) for record in news}
    return json.dumps({"since": later, "seen": {k: at for k, at in known.items() if at >= later}})


sensors = [failed_checks, stale_assets, failed_runs, recovered_runs, alert_delivery]
