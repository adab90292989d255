"""What Dagster loads: everything that the design names, described, scheduled and running by default."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from agentwhere_dagster.assets.markets import SYNCED_VENUES
from agentwhere_dagster.definitions import defs
from agentwhere_dagster.jobs import MONEY_LANES

SNAPSHOT = Path(__file__).with_name("definitions.txt")
HEAVY = (
    "alembic",
    "eth_account",
    "feedparser",
    "httpx",
    "hyperliquid",
    "numpy",
    "openai",
    "pandas",
)
HEAVY += ("psycopg", "psycopg2", "pydantic_settings", "sqlalchemy", "structlog", "web3")
REPOSITORY = defs.get_repository_def()
ASSETS = [REPOSITORY.asset_graph.get(key) for key in REPOSITORY.asset_graph.get_all_asset_keys()]


def test_definitions_are_those_of_the_snapshot() -> None:
    script = Path(__file__).with_name("describe.py")
    described = subprocess.run(
        [sys.executable, script, "--print"],
        capture_output=True,
        text=True,
        check=True,
        env=_environment(),
    )
    assert described.stdout == SNAPSHOT.read_text(), f"if wanted: python {script}"


def test_definitions_can_be_loaded_by_dagster() -> None:
    dg.Definitions.validate_loadable(defs)


def test_the_code_location_imports_nothing_heavy() -> None:
    """A run imports the code location anew; what is heavy loads where it is used."""
    program = (
        "import sys, dagster; before = set(sys.modules)\n"
        "import agentwhere_dagster.definitions\n"
        f"print(*sorted(set({HEAVY!r}) & (set(sys.modules) - before)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=_environment(),
    )
    assert loaded.stdout.strip() == ""


@pytest.mark.parametrize(
    "node", sorted(ASSETS, key=lambda node: node.key), ids=lambda node: node.key.to_user_string()
)
def test_every_asset_says_what_it_is_and_whose(node: dg.AssetsDefinition) -> None:
    assert node.description
    assert node.group_name != "default"
    assert node.owners
    assert node.kinds
    assert node.code_version
    assert node.freshness_policy is not None


def test_assets_that_move_money_share_the_execution_pool() -> None:
    moving = {n.key.to_user_string() for n in ASSETS if "agentwhere/moves-money" in n.tags}
    pooled = {n.key.to_user_string() for n in ASSETS if n.pools == {"execution"}}
    assert pooled == {"orders", "positions"}
    # Models may think for long: the arena takes the ledger's lease only while it sends.
    assert moving == pooled | {"model_invocations"}


def test_the_cron_lines_are_those_of_the_seeds() -> None:
    lines = {schedule.name: schedule.cron_schedule for schedule in REPOSITORY.schedule_defs}
    expected = {
        "market_sync": "0 2 * * *",
        "signal_generation": "0 */6 * * *",
        "trade_execution": "*/5 * * * *",
        "position_monitoring": "*/5 * * * *",
        "health_monitoring": "*/10 * * * *",
    }
    assert {name: lines[name] for name in expected} == expected


def test_schedules_and_sensors_run_by_default_and_in_utc() -> None:
    assert {s.default_status.value for s in REPOSITORY.schedule_defs} == {"RUNNING"}
    assert {s.execution_timezone for s in REPOSITORY.schedule_defs} == {"UTC"}
    assert {s.default_status.value for s in REPOSITORY.sensor_defs} == {"RUNNING"}


def test_every_job_has_a_lane_and_a_process_of_its_own() -> None:
    jobs = [job for job in REPOSITORY.get_all_jobs() if not job.name.startswith("__")]
    assert {job.executor_def.name for job in jobs} == {"in_process"}
    lanes = {job.name: job.tags["agentwhere/lane"] for job in jobs}
    assert lanes["full_pass"] == lanes["trade_execution"]
    assert {lanes["trade_execution"], lanes["position_monitoring"]} == MONEY_LANES


def test_the_full_pass_covers_every_asset_and_every_check() -> None:
    layer = defs.resolve_job_def("full_pass").asset_layer
    graph = REPOSITORY.asset_graph
    assert set(layer.executable_asset_keys) == set(graph.get_all_asset_keys())
    assert layer.asset_graph.asset_check_keys == graph.asset_check_keys


def test_health_monitoring_evaluates_every_check_even_of_assets_that_did_not_run() -> None:
    layer = defs.resolve_job_def("health_monitoring").asset_layer
    assert layer.asset_graph.asset_check_keys == REPOSITORY.asset_graph.asset_check_keys
    assert [key.to_user_string() for key in layer.executable_asset_keys] == ["health_report"]


def test_each_synced_venue_has_a_market_list_of_its_own() -> None:
    names = {node.key.to_user_string() for node in ASSETS}
    assert {f"{venue.value.lower()}_markets" for venue in SYNCED_VENUES} <= names


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
