"""What a step says of itself: how much came in, what went out, what was refused and why.

Every use case is wrapped by `step`. It times the call, keeps a row in ``step_runs``, and records a failure in
``errors`` before it raises it again. Dagster, the CLI and the health report all read these same rows.
"""

from __future__ import annotations

import functools
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import structlog

from agentwhere_core.domain.errors import AgentWhereError
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.tracing import span
from agentwhere_flow.garbage import collected_rarely

if TYPE_CHECKING:
    from agentwhere_flow.system import System

P = ParamSpec("P")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines over days: points (day, value) by the line's name, oldest first; ``unit`` is what values are counted in."""

    title: str
    unit: str
    lines: Mapping[str, Sequence[tuple[date, float]]]


@dataclass(slots=True)
class Tally:
    """Counts that a step keeps while it works.

    ``problems`` are partial failures that did not stop the step, each a sentence that says what to do.
    ``table`` is a small sample or summary for people, ``plots`` are pictures of it; ``details`` holds single figures.
    """

    rows_in: int = 0
    rows_out: int = 0
    refusals: Counter[Reason] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    table: list[dict[str, Any]] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)

    def refuse(self, reason: Reason, count: int = 1) -> None:
        """Count ``count`` rows that were declined for ``reason``."""
        self.refusals[reason] += count


@dataclass(frozen=True, slots=True)
class StepReport:
    """The finished account of one step."""

    step: str
    started_at: datetime
    seconds: float
    rows_in: int
    rows_out: int
    refusals: dict[str, int]
    problems: tuple[str, ...]
    details: dict[str, Any]
    table: tuple[dict[str, Any], ...]
    plots: tuple[Plot, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values, without table and plots."""
        return {
            "step": self.step,
            "started_at": self.started_at.isoformat(),
            "seconds": round(self.seconds, 3),
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "refusals": self.refusals,
            "problems": list(self.problems),
            "details": self.details,
        }


class StepFailedError(AgentWhereError):
    """Nothing of a step's work could be done; the message lists the problems.

    Parameters
    ----------
    incident
        The alert that the step itself opened for this, so that nobody opens a second one.
    """

    def __init__(self, message: str, incident: str | None = None) -> None:
        super().__init__(message)
        self.incident = incident


def step(
    name: str,
) -> Callable[
    [Callable[Concatenate[System, datetime, P], Tally]],
    Callable[Concatenate[System, datetime, P], StepReport],
]:
    """Turn a use case that returns a `Tally` into one that records itself and returns a `StepReport`."""

    def wrap(
        work: Callable[Concatenate[System, datetime, P], Tally],
    ) -> Callable[Concatenate[System, datetime, P], StepReport]:
        @functools.wraps(work)
        def run(system: System, now: datetime, /, *args: P.args, **kwargs: P.kwargs) -> StepReport:
            began = time.perf_counter()
            try:
                with (
                    collected_rarely(),
                    span(f"step {name}", agentwhere__run_id=system.run_id or "") as made,
                ):
                    tally = work(system, now, *args, **kwargs)
                    made.note(
                        agentwhere__rows_in=tally.rows_in,
                        agentwhere__rows_out=tally.rows_out,
                        agentwhere__problems=len(tally.problems),
                    )
            except Exception as error:
                _record_failure(system, name, now, time.perf_counter() - began, error)
                raise
            report = StepReport(
                step=name,
                started_at=now,
                seconds=time.perf_counter() - began,
                rows_in=tally.rows_in,
                rows_out=tally.rows_out,
                refusals={reason.value: count for reason, count in sorted(tally.refusals.items())},
                problems=tuple(tally.problems),
                details=tally.details,
                table=tuple(tally.table),
                plots=tuple(tally.plots),
            )
            _record_success(system, report)
            return report

        return run

    return wrap


def _record_success(system: System, report: StepReport) -> None:
    from agentwhere_store import operations

    with system.engine.begin() as conn:
        operations.record_step(
            conn,
            step=report.step,
            run_id=system.run_id,
            started_at=report.started_at,
            finished_at=report.started_at + timedelta(seconds=report.seconds),
            ok=not report.problems,
            rows_in=report.rows_in,
            rows_out=report.rows_out,
            refusals=report.refusals,
            details=report.details,
            error="; ".join(report.problems) or None,
        )
        for problem in report.problems:
            operations.record_error(
                conn, step=report.step, kind="Problem", message=problem, at=report.started_at
            )
    log.info("step finished", **report.as_dict())


def _record_failure(
    system: System, name: str, now: datetime, seconds: float, error: Exception
) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    from agentwhere_store import operations

    log.error("step failed", step=name, error=str(error), kind=type(error).__name__)
    try:
        with system.engine.begin() as conn:
            operations.record_step(
                conn,
                step=name,
                run_id=system.run_id,
                started_at=now,
                finished_at=now + timedelta(seconds=seconds),
                ok=False,
                rows_in=0,
                rows_out=0,
                refusals={},
                details={},
                error=str(error),
            )
            operations.record_error(
                conn,
                step=name,
                kind=type(error).__name__,
                message=str(error),
                at=now,
                context={"traceback": traceback.format_exc(limit=-5)},
            )
    except SQLAlchemyError as unrecorded:
        log.exception("failure could not be recorded", step=name, error=str(unrecorded))
