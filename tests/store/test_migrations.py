"""The schema that migrations make is the schema that the tables describe, and making it is safe at any time."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Engine, make_url, text
from sqlalchemy.schema import CreateSchema

from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_store.engine import dagster_url, make_engine
from agentwhere_store.migrate import alembic_config, is_current, migrate
from agentwhere_store.tables import SCHEMA, metadata

CATALOG = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'agentwhere'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
          AND NOT a.attisdropped AND c.relname <> 'alembic_version'""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, contype, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'agentwhere'::regnamespace
          AND conrelid::regclass::text NOT LIKE '%alembic_version'""",
    "indexes": """
        SELECT tablename, indexname, indexdef FROM pg_indexes
        WHERE schemaname = 'agentwhere' AND tablename <> 'alembic_version'""",
    "options": """
        SELECT relname, unnest(reloptions) FROM pg_class
        WHERE relnamespace = 'agentwhere'::regnamespace AND reloptions IS NOT NULL""",
}

NewDatabase = Callable[[], str]


@contextmanager
def scratch_database(server_url: str, name: str) -> Iterator[str]:
    """Give the URL of an empty database beside the one of ``server_url``."""
    admin = make_engine(server_url).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as conn:
        conn.execute(text(f'CREATE DATABASE "{name}" TEMPLATE template0'))
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as conn:
            conn.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        admin.dispose()


@pytest.fixture
def new_database(database_url: str) -> Iterator[NewDatabase]:
    """Make empty databases, and drop them afterwards."""
    own = make_url(database_url).database
    numbers = itertools.count()
    with ExitStack() as stack:
        yield lambda: stack.enter_context(
            scratch_database(database_url, f"{own}_empty_{next(numbers)}")
        )


def catalog(engine: Engine) -> dict[str, list[Any]]:
    """Return everything that PostgreSQL knows of our schema."""
    with engine.connect() as conn:
        return {
            kind: sorted(tuple(str(item) for item in row) for row in conn.execute(text(query)))
            for kind, query in CATALOG.items()
        }


def test_a_migrated_database_equals_the_metadata(new_database: NewDatabase) -> None:
    migrated_url = new_database()
    report = migrate(migrated_url)
    described = make_engine(new_database())
    with described.begin() as conn:
        conn.execute(CreateSchema(SCHEMA))
        metadata.create_all(conn)

    migrated = make_engine(migrated_url)
    assert report.before is None
    assert report.applied[-1] == report.after
    assert catalog(migrated) == catalog(described)
    kinds = {row[2] for row in catalog(migrated)["constraints"]}
    assert {"c", "f", "p", "u"} <= kinds
    assert any("NULLS NOT DISTINCT" in row[3] for row in catalog(migrated)["constraints"])
    assert any(" WHERE " in row[2] for row in catalog(migrated)["indexes"])
    migrated.dispose()
    described.dispose()


def test_migrating_twice_changes_nothing(new_database: NewDatabase) -> None:
    url = new_database()
    first = migrate(url)
    second = migrate(url)
    assert second.before == first.after == second.after
    assert second.applied == ()
    engine = make_engine(url)
    with engine.connect() as conn:
        assert is_current(conn)
    engine.dispose()


def test_everything_can_be_taken_back(new_database: NewDatabase) -> None:
    url = new_database()
    migrate(url)
    engine = make_engine(url)
    full = catalog(engine)
    with engine.begin() as conn:
        command.downgrade(alembic_config(conn), "base")
    assert not any(catalog(engine).values())
    assert migrate(url).before is None
    assert catalog(engine) == full
    engine.dispose()


def test_twenty_migrations_at_once_make_one(new_database: NewDatabase) -> None:
    url = new_database()
    with ThreadPoolExecutor(20) as pool:
        reports = list(pool.map(lambda _: migrate(url), range(20)))
    assert sum(bool(report.applied) for report in reports) == 1
    assert len({report.after for report in reports}) == 1


def test_processes_that_migrate_at_once_agree(new_database: NewDatabase) -> None:
    url = new_database()
    code = "import sys; from agentwhere_store.migrate import migrate; print(len(migrate(sys.argv[1]).applied))"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    applied = [int(process.communicate(timeout=120)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert sum(count > 0 for count in applied) == 1


def test_a_database_of_a_newer_version_is_left_alone(new_database: NewDatabase) -> None:
    url = new_database()
    migrate(url)
    engine = make_engine(url)
    with engine.begin() as conn:
        conn.execute(text("UPDATE agentwhere.alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="upgrade Agent Where"):
        migrate(url)
    engine.dispose()


@pytest.mark.parametrize(
    "given", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"]
)
def test_any_spelling_of_a_postgresql_url_connects(database_url: str, given: str) -> None:
    url = f"{given}://{database_url.split('://', 1)[1]}"
    engine = make_engine(url)
    with engine.connect() as conn:
        assert conn.execute(text("SHOW timezone")).scalar_one() == "UTC"
    engine.dispose()


def test_dagster_gets_its_own_driver_and_schema(database_url: str) -> None:
    import psycopg2

    url = dagster_url(database_url)
    assert url.startswith("postgresql+psycopg2://")
    connection = psycopg2.connect(url.replace("+psycopg2", "", 1))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_schema()")
            assert cursor.fetchone() == ("dagster",)
    finally:
        connection.close()


@pytest.mark.parametrize("url", ["sqlite:///x.db", "not a url", "mysql://u@h/d"])
def test_a_url_that_is_not_postgresql_is_refused_with_advice(url: str) -> None:
    with pytest.raises(ConfigurationError, match="postgresql://user:password@host"):
        make_engine(url)
