"""Dagster's PostgreSQL storage over connections that stay open.

Dagster opens a connection for each question that it asks its storage, hundreds in one run, and with a password each of
them costs more than the question itself. Here every process keeps one connection for each kind of question: a run of
twenty steps becomes several times quicker. A connection is tried before it is used, so that a restart of the server is
no failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from dagster._core.storage.config import PostgresStorageConfig
from dagster._serdes import ConfigurableClassData
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine, pg_url_from_config

POOL: dict[str, Any] = {
    "isolation_level": "AUTOCOMMIT",
    "pool_size": 1,
    "max_overflow": 20,
    "pool_recycle": 1800,
    "pool_pre_ping": True,
}


class PooledPostgresStorage(DagsterPostgresStorage):
    """The storage of ``dagster_postgres``, with a pool in place of a connection per question."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__(postgres_url, should_autocreate_tables, inst_data)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            # The three storages make their engine themselves, and let nobody choose its pool (1.13.27).
            storage._engine = create_pg_engine(postgres_url, **POOL)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledPostgresStorage:
        """Make the storage from its entry in ``dagster.yaml``."""
        return cls(
            postgres_url=pg_url_from_config(cast("PostgresStorageConfig", config_value)),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
        )
