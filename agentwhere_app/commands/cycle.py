"""``cycle``: the whole flow once, then a summary of each step."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import typer

from agentwhere_app.output import Json, command, note, print_json

if TYPE_CHECKING:
    from agentwhere_app.cycle import JobOutcome


@command
def cycle(as_json: Json = False) -> None:
    """Run the whole flow once through Dagster, and tell what each step did. Exit code 0 if all succeeded."""
    from agentwhere_app.cycle import run_cycle
    from agentwhere_app.session import open_system
    from agentwhere_flow.settings import Profile

    began = time.perf_counter()
    note("opening database and simulator")
    with open_system(simulator=True) as system:
        from agentwhere_flow.setup import setup

        setup(system, system.clock())
        if system.settings.profile is Profile.SIM:
            from agentwhere_flow.demo import create_demo

            create_demo(system, system.clock())
        outcomes = run_cycle(system, note)
    ok = all(outcome.ok for outcome in outcomes)
    seconds = time.perf_counter() - began
    if as_json:
        steps = [
            {"job": outcome.job, **step.as_dict()} for outcome in outcomes for step in outcome.steps
        ]
        jobs = [outcome.as_dict() for outcome in outcomes]
        for job in jobs:
            del job["steps"]
        print_json({"ok": ok, "seconds": round(seconds, 2), "steps": steps, "jobs": jobs})
    else:
        _print_summary(outcomes, seconds)
    if not ok:
        raise typer.Exit(1)


def _print_summary(outcomes: list[JobOutcome], seconds: float) -> None:
    from agentwhere_app.output import print_table, wide_console

    rows: list[dict[str, Any]] = [
        {
            "job": outcome.job,
            "step": step.label,
            "in": step.rows_in,
            "out": step.rows_out,
            "seconds": f"{step.seconds:.2f}",
            "refused": ", ".join(f"{count} {reason}" for reason, count in step.refusals.items()),
        }
        for outcome in outcomes
        for step in outcome.steps
    ]
    print_table("Steps", rows, empty="No step has run.")
    console = wide_console()
    for outcome in outcomes:
        for step in outcome.steps:
            if step.error:
                console.print(f"{step.label}: {step.error}", highlight=False, markup=False)
        for failure in outcome.failures:
            console.print(f"{outcome.job} failed at {failure}", highlight=False, markup=False)
        for check in outcome.failed_checks:
            console.print(f"check failed: {check}", highlight=False, markup=False)
    good = sum(outcome.ok for outcome in outcomes)
    console.print(f"{good} of {len(outcomes)} jobs succeeded in {seconds:.1f} s", highlight=False)
