"""Dagster's storage: connections stay open, and a server that went away is no failure."""

from __future__ import annotations

import dagster as dg
import psycopg

from agentwhere_dagster.storage import PooledPostgresStorage


def backends(database_url: str) -> set[int]:
    """Return the server processes that serve Dagster's connections."""
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return {row[0] for row in rows}


def test_questions_share_one_connection(pooled: dg.DagsterInstance, database_url: str) -> None:
    pooled.get_runs_count()
    before = backends(database_url)
    for _ in range(5):
        assert pooled.get_runs_count() == 0
    assert before
    assert backends(database_url) == before


def test_a_connection_that_was_cut_is_replaced_unnoticed(
    pooled: dg.DagsterInstance, database_url: str
) -> None:
    assert pooled.get_runs_count() == 0
    cut = backends(database_url)
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        for pid in cut:
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])
    assert pooled.get_runs_count() == 0


def test_a_run_is_on_record_in_it(pooled: dg.DagsterInstance) -> None:
    @dg.asset
    def written() -> dg.MaterializeResult[object]:
        return dg.MaterializeResult(metadata={"rows": 1})

    result = dg.materialize([written], instance=pooled)
    assert result.success
    assert pooled.get_run_by_id(result.run_id) is not None
    assert pooled.get_latest_materialization_event(written.key) is not None


def test_another_process_opens_the_same_storage(pooled: dg.DagsterInstance) -> None:
    reference = pooled.get_ref()
    assert reference.storage_data is not None
    assert reference.storage_data.class_name == PooledPostgresStorage.__name__
    with dg.DagsterInstance.from_ref(reference) as other:
        assert other.get_runs_count() == 0
        for kept in (other.run_storage, other.event_log_storage, other.schedule_storage):
            kept._engine.dispose()  # type: ignore[attr-defined]
