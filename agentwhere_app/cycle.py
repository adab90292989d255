"""One whole cycle in this process: the jobs one after another, on the home's own Dagster instance.

A job that fails does not stop the next. Runs appear in the Dagster UI like those of schedules.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentwhere_app.home import enter_environment
from agentwhere_app.session import database_url_of

if TYPE_CHECKING:
    from dagster import DagsterInstance, ExecuteInProcessResult

    from agentwhere_flow.system import System
    from agentwhere_flow.views import StepRun

STARTED_BY = {"agentwhere/started-by": "cycle"}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How one job of the cycle went."""

    job: str
    run_id: str
    ok: bool
    seconds: float
    steps: tuple[StepRun, ...]
    failures: tuple[str, ...]
    failed_checks: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain JSON values."""
        return {
            "job": self.job,
            "run_id": self.run_id,
            "ok": self.ok,
            "seconds": round(self.seconds, 2),
            "steps": [step.as_dict() for step in self.steps],
            "failures": list(self.failures),
            "failed_checks": list(self.failed_checks),
        }


def run_cycle(system: System, tell: Callable[[str], None]) -> list[JobOutcome]:
    """Run all jobs of a cycle in the order of the flow, telling which one is at work."""
    enter_environment(system.settings, database_url_of(system.settings))
    tell("loading Dagster")
    from agentwhere_dagster.jobs import CYCLE

    outcomes = []
    with _instance() as instance:
        for number, job in enumerate(CYCLE, start=1):
            tell(f"[{number}/{len(CYCLE)}] {job.name}")
            outcomes.append(_run_job(system, instance, job.name))
    return outcomes


@contextmanager
def _instance() -> Iterator[DagsterInstance]:
    from dagster import DagsterInstance

    with DagsterInstance.get() as instance:
        yield instance


def _run_job(system: System, instance: DagsterInstance, name: str) -> JobOutcome:
    from agentwhere_dagster.definitions import defs
    from agentwhere_flow.views import steps_of_runs

    began = time.perf_counter()
    result = defs.resolve_job_def(name).execute_in_process(
        instance=instance, tags=STARTED_BY, run_config=QUIET, raise_on_error=False
    )
    return JobOutcome(
        job=name,
        run_id=result.run_id,
        ok=result.success,
        seconds=time.perf_counter() - began,
        steps=tuple(steps_of_runs(system, [result.run_id])),
        failures=tuple(_failures(result)),
        failed_checks=tuple(_failed_checks(result)),
    )


def _failures(result: ExecuteInProcessResult) -> Iterator[str]:
    from agentwhere_dagster.runs import why

    for event in result.all_events:
        if event.is_step_failure:
            yield f"{event.step_key}: {why(event)}"


def _failed_checks(result: ExecuteInProcessResult) -> Iterator[str]:
    for evaluation in result.get_asset_check_evaluations():
        if not evaluation.passed:
            name = f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}"
            yield f"{name} ({evaluation.description})" if evaluation.description else name
