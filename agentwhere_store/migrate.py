"""Bring a database to the newest schema, however many processes ask for it at once.

The whole upgrade is one transaction under an advisory lock: it happens once, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.sql import func

from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_store.engine import DAGSTER_SCHEMA, make_engine
from agentwhere_store.tables import SCHEMA

_LOCK = 0x6167_656E_7477_6872  # "agentwhr", so that it stands out in pg_locks


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What `migrate` found and did; ``applied`` lists revisions, oldest first, and is empty when all was up to date."""

    before: str | None
    after: str
    applied: tuple[str, ...]


def migrate(url: str) -> MigrationReport:
    """Upgrade the database at ``url`` to the newest schema, and make the schema for Dagster's tables.

    Raises
    ------
    ConfigurationError
        If the database was written by a newer version of Agent Where.
    """
    engine = make_engine(url, statement_timeout_s=600)
    try:
        return migrate_engine(engine)
    finally:
        engine.dispose()


def migrate_engine(engine: Engine) -> MigrationReport:
    """Do what `migrate` does, over an engine that exists already."""
    scripts = ScriptDirectory.from_config(alembic_config())
    head = scripts.get_current_head()
    if head is None:
        raise ConfigurationError("the installation lacks its migrations: install Agent Where again")
    with engine.begin() as conn:
        before = current_revision(conn)
        if before == head:
            return MigrationReport(before, head, ())
        conn.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        before = current_revision(conn)
        if before == head:
            return MigrationReport(before, head, ())
        applied = _pending(scripts, before, head)
        for schema in (SCHEMA, DAGSTER_SCHEMA):
            conn.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        command.upgrade(alembic_config(conn), "head")
        return MigrationReport(before, head, applied)


def current_revision(conn: Connection) -> str | None:
    """Return the revision that the database is at, or None if it was never migrated."""
    context = MigrationContext.configure(conn, opts={"version_table_schema": SCHEMA})
    return context.get_current_revision()


def is_current(conn: Connection) -> bool:
    """Return whether the database is at the newest schema."""
    scripts = ScriptDirectory.from_config(alembic_config())
    return current_revision(conn) == scripts.get_current_head()


def alembic_config(conn: Connection | None = None) -> Config:
    """Return Alembic's configuration, working on ``conn`` and in its transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = conn
    return config


def _pending(scripts: ScriptDirectory, before: str | None, head: str) -> tuple[str, ...]:
    known = [script.revision for script in scripts.walk_revisions()]
    if before is not None and before not in known:
        raise ConfigurationError(
            f"the database is at revision {before!r}, which this version does not know (newest: {head}): "
            "upgrade Agent Where, or point DATABASE_URL at another database"
        )
    newer = known if before is None else known[: known.index(before)]
    return tuple(reversed(newer))
