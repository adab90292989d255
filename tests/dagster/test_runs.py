"""Whole runs over a real simulator: what fails says so, its neighbours go on, nothing is wiped."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from agentwhere_dagster import jobs
from agentwhere_dagster.definitions import defs
from agentwhere_dagster.runs import why
from agentwhere_flow.system import System
from agentwhere_flow.views import markets_by_venue
from agentwhere_sim.testing import Simulator

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
MARKET_ASSETS = {"hyperliquid_markets", "ostium_markets", "lighter_markets", "venue_markets"}


def run(
    job: str, instance: dg.DagsterInstance, assets: set[str] | None = None
) -> dg.ExecuteInProcessResult:
    selection = None if assets is None else [dg.AssetKey(name) for name in assets]
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance, run_config=QUIET, raise_on_error=False, asset_selection=selection
    )


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetMaterialization]:
    return {
        event.asset_key.to_user_string(): event.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }


def failures(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    return {str(event.step_key): why(event) for event in result.all_events if event.is_step_failure}


@pytest.fixture
def broken_venue(sim: Simulator) -> Iterator[Simulator]:
    """A simulator whose Lighter answers nothing but errors."""
    sim.control("faults", service="lighter", kind="5xx", count=None)
    yield sim
    sim.http.delete("/control/faults")


def test_a_sync_shows_counts_seconds_and_a_table(
    system: System, instance: dg.DagsterInstance
) -> None:
    result = run("market_sync", instance, MARKET_ASSETS)
    assert result.success, failures(result)
    shown = materialized(result)["hyperliquid_markets"].metadata
    assert int(str(shown["dagster/row_count"].value)) >= 150
    assert "seconds" in shown
    assert isinstance(shown["table"], dg.MarkdownMetadataValue)


def test_a_failing_venue_fails_alone_and_wipes_nothing(
    system: System, instance: dg.DagsterInstance, sim: Simulator
) -> None:
    assert run("market_sync", instance, MARKET_ASSETS).success
    before = markets_by_venue(system)
    sim.control("faults", service="lighter", kind="5xx", count=None)
    try:
        result = run("market_sync", instance, MARKET_ASSETS)
    finally:
        sim.http.delete("/control/faults")
    after = markets_by_venue(system)
    assert set(failures(result)) == {"lighter_markets"}
    assert {"hyperliquid_markets", "ostium_markets"} <= set(materialized(result))
    assert {v: facts["listed"] for v, facts in after.items()} == {
        v: facts["listed"] for v, facts in before.items()
    }
    assert run("market_sync", instance, MARKET_ASSETS).success


def test_a_failure_is_a_sentence_that_says_what_to_do(
    system: System, instance: dg.DagsterInstance, broken_venue: Simulator
) -> None:
    (told,) = failures(run("market_sync", instance, {"lighter_markets"})).values()
    assert told.startswith("lighter: ")
    assert "Traceback" not in told


def test_a_venue_that_is_switched_off_is_not_asked(
    system: System, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTWHERE_VENUES", "HYPERLIQUID")
    result = run("market_sync", instance, {"lighter_markets"})
    assert result.success
    assert "nothing was done" in str(materialized(result)["lighter_markets"].metadata["note"].value)
    assert markets_by_venue(system) == {}


def test_steps_are_on_record_under_the_run_that_made_them(
    system: System, instance: dg.DagsterInstance
) -> None:
    from agentwhere_flow.views import steps_of_runs

    result = run("market_sync", instance, {"ostium_markets"})
    steps = steps_of_runs(system, [result.run_id])
    assert [step.label for step in steps] == ["market_lists OSTIUM", "venue_contact"]
    assert all(step.ok for step in steps)


def test_old_runs_are_deleted_and_recent_ones_kept(instance: dg.DagsterInstance) -> None:
    job = defs.resolve_job_def("run_retention")
    finished = instance.create_run_for_job(job, status=dg.DagsterRunStatus.SUCCESS)
    at_work = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    kept = purge(instance, keep_days=1)
    assert {finished.run_id, at_work.run_id, kept} <= run_ids(instance)
    latest = purge(instance, keep_days=0)
    assert run_ids(instance) == {at_work.run_id, latest}


def purge(instance: dg.DagsterInstance, *, keep_days: int) -> str:
    result = defs.resolve_job_def("run_retention").execute_in_process(
        instance=instance,
        run_config={**QUIET, "ops": {"delete_old_runs": {"config": {"keep_days": keep_days}}}},
    )
    return result.run_id


def run_ids(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def test_the_default_keeps_two_weeks_of_runs() -> None:
    assert jobs.PurgeConfig().keep_days == jobs.RUNS_KEPT_DAYS == 14
