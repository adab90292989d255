"""Sensors that start runs: at once, once, and never on top of each other."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text

from agentwhere_core.domain.enums import Venue
from agentwhere_dagster.definitions import defs
from agentwhere_dagster.sensors import RETRY_FIRST_PASS_AFTER
from agentwhere_flow.markets import sync_markets
from agentwhere_flow.signals import generate_signals
from agentwhere_flow.system import System
from agentwhere_flow.triggers import FirstPass, first_pass, newest_close, stale_venues
from tests.flow.scenes import place_signal
from tests.flow.world import utc_now

REPOSITORY = defs.get_repository_def()


def tick(
    name: str, instance: dg.DagsterInstance, cursor: str | None = None
) -> tuple[list[str], str | None, str | None]:
    """Evaluate a sensor; return the jobs it asks for, its new cursor, and why it did nothing."""
    sensor = REPOSITORY.get_sensor_def(name)
    with dg.build_sensor_context(
        instance=instance, cursor=cursor, repository_def=REPOSITORY, resources=defs.resources
    ) as context:
        data = sensor.evaluate_tick(context)
    jobs = [request.job_name or sensor.job_name for request in data.run_requests or []]
    return jobs, data.cursor, data.skip_message


def test_a_fresh_database_gets_its_first_pass_once(
    database_only: System, instance: dg.DagsterInstance
) -> None:
    jobs, cursor, _ = tick("first_pass", instance)
    assert jobs == ["full_pass"]
    again, _, reason = tick("first_pass", instance, cursor)
    assert again == []
    assert "next one" in (reason or "")


def test_the_first_pass_waits_for_the_run_that_is_at_work(
    database_only: System, instance: dg.DagsterInstance
) -> None:
    instance.create_run_for_job(
        defs.resolve_job_def("full_pass"), status=dg.DagsterRunStatus.STARTED
    )
    jobs, _, reason = tick("first_pass", instance)
    assert jobs == []
    assert "at work" in (reason or "")


def test_a_first_pass_that_failed_is_tried_again_after_a_pause(
    database_only: System, instance: dg.DagsterInstance
) -> None:
    earlier = datetime.now(UTC) - RETRY_FIRST_PASS_AFTER - timedelta(seconds=1)
    cursor = f'{{"attempts": 1, "last": "{earlier.isoformat()}"}}'
    jobs, cursor_after, _ = tick("first_pass", instance, cursor)
    assert jobs == ["full_pass"]
    assert '"attempts": 2' in (cursor_after or "")


def test_a_first_pass_goes_on_with_signals_once_a_venue_is_synced(
    system: System, instance: dg.DagsterInstance
) -> None:
    sync_markets(system, utc_now(), venue=Venue.HYPERLIQUID)
    assert first_pass(system) is FirstPass.NO_SIGNALS_YET
    assert tick("first_pass", instance)[0] == ["signal_generation"]


def test_the_first_pass_ends_with_the_first_signals(
    system: System, instance: dg.DagsterInstance
) -> None:
    sync_markets(system, utc_now(), venue=Venue.HYPERLIQUID)
    generate_signals(system, utc_now())
    assert tick("first_pass", instance)[0] == []


def test_a_database_without_tables_is_left_alone(
    database_only: System, instance: dg.DagsterInstance
) -> None:
    with database_only.engine.begin() as conn:
        conn.execute(text("DROP SCHEMA agentwhere CASCADE"))
    for sensor in ("first_pass", "new_signals", "closed_positions", "stale_markets"):
        assert tick(sensor, instance)[0] == []


def test_new_signals_start_execution_once(system: System, instance: dg.DagsterInstance) -> None:
    assert tick("new_signals", instance)[0] == []
    place_signal(system, "BTC", deployment="bold")
    jobs, cursor, _ = tick("new_signals", instance)
    assert jobs == ["trade_execution"]
    assert tick("new_signals", instance, cursor)[0] == []
    place_signal(system, "ETH", deployment="bold")
    assert tick("new_signals", instance, cursor)[0] == ["trade_execution"]


def test_no_closed_position_starts_nothing(
    database_only: System, instance: dg.DagsterInstance
) -> None:
    assert newest_close(database_only, utc_now()) is None
    assert tick("closed_positions", instance)[0] == []


def test_a_closed_position_starts_performance_once(
    system: System, instance: dg.DagsterInstance
) -> None:
    close_a_position(system)
    jobs, cursor, _ = tick("closed_positions", instance)
    assert jobs == ["performance"]
    assert tick("closed_positions", instance, cursor)[0] == []


def test_a_position_that_is_found_closed_late_is_not_missed(
    system: System, instance: dg.DagsterInstance
) -> None:
    """Its fill is older than one that was seen before, but its discovery is not."""
    close_a_position(system, token="BTC")
    _, cursor, _ = tick("closed_positions", instance)
    close_a_position(system, token="ETH", filled_before=timedelta(hours=2))
    assert tick("closed_positions", instance, cursor)[0] == ["performance"]


def test_a_venue_that_was_never_synced_is_synced_again_after_the_first_pass(
    system: System, instance: dg.DagsterInstance
) -> None:
    assert tick("stale_markets", instance)[0] == []
    sync_markets(system, utc_now(), venue=Venue.HYPERLIQUID)
    assert set(stale_venues(system, utc_now())) == {Venue.OSTIUM, Venue.LIGHTER}
    jobs, cursor, _ = tick("stale_markets", instance)
    assert jobs == ["market_sync"]
    assert tick("stale_markets", instance, cursor)[0] == []


def test_only_the_stale_venues_are_asked_again(
    system: System, instance: dg.DagsterInstance
) -> None:
    sync_markets(system, utc_now(), venue=Venue.HYPERLIQUID)
    sensor = REPOSITORY.get_sensor_def("stale_markets")
    with dg.build_sensor_context(
        instance=instance, repository_def=REPOSITORY, resources=defs.resources
    ) as context:
        (request,) = sensor.evaluate_tick(context).run_requests or []
    names = {key.to_user_string() for key in request.asset_selection or []}
    assert names == {"ostium_markets", "lighter_markets", "venue_markets"}


@pytest.mark.parametrize("venues", ["HYPERLIQUID", "HYPERLIQUID,OSTIUM"])
def test_a_venue_that_is_switched_off_is_never_stale(
    system: System, monkeypatch: pytest.MonkeyPatch, venues: str
) -> None:
    from agentwhere_flow.settings import Settings

    monkeypatch.setenv("AGENTWHERE_VENUES", venues)
    narrowed = System(Settings())
    assert Venue.LIGHTER not in stale_venues(narrowed, utc_now())
    narrowed.close()


def close_a_position(
    system: System, *, token: str = "BTC", filled_before: timedelta = timedelta()
) -> None:
    """Write a position that has closed, as the monitor does."""
    from agentwhere_core.domain.ids import new_id

    now = utc_now()
    with system.engine.begin() as conn:
        account = conn.execute(
            text(
                "SELECT a.id, a.deployment_id, d.agent_id FROM agentwhere.venue_accounts a "
                "JOIN agentwhere.deployments d ON d.id = a.deployment_id "
                "WHERE a.venue = 'HYPERLIQUID' LIMIT 1"
            )
        ).one()
        conn.execute(
            text(
                "INSERT INTO agentwhere.positions (id, deployment_id, agent_id, account_id, venue, token_symbol, "
                "market_name, side, size, peak_size, entry_price, leverage, status, opened_at, closed_at, updated_at) "
                "VALUES (:id, :deployment, :agent, :account, 'HYPERLIQUID', :token, :token, 'LONG', 0, 1, 100, 1, "
                "'CLOSED', :opened, :closed, :now)"
            ),
            {
                "id": new_id(),
                "deployment": account.deployment_id,
                "agent": account.agent_id,
                "account": account.id,
                "token": token,
                "opened": now - timedelta(hours=5),
                "closed": now - filled_before,
                "now": now,
            },
        )


def test_the_first_ticks_of_all_sensors_may_come_at_once(database_url: str, tmp_path: Path) -> None:
    """The code server evaluates sensors in threads; what they import is loaded by one thread at a time."""
    program = """
import threading
import dagster as dg
from agentwhere_dagster.definitions import defs
repository = defs.get_repository_def()
start, told = threading.Barrier(4), []
def tick(name):
    with dg.DagsterInstance.ephemeral() as instance:
        start.wait()
        try:
            with dg.build_sensor_context(
                instance=instance, repository_def=repository, resources=defs.resources
            ) as context:
                repository.get_sensor_def(name).evaluate_tick(context)
        except BaseException as error:
            told.append(repr(error))
names = ("new_signals", "closed_positions", "first_pass", "stale_markets")
threads = [threading.Thread(target=tick, args=(name,)) for name in names]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(told)
"""
    for _ in range(3):
        answer = subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "DATABASE_URL": database_url, "AGENTWHERE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.strip() == "[]"
