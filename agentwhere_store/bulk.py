"""Thousands of rows at once, by COPY.

A statement per row costs its parsing, its planning and its share of the wire; an array per column costs the driver's
work on every element. COPY costs neither; see docs/performance.md. Rows that are all new, as they nearly always are, go
straight into their table. Where some are known, all go into a temporary table, from which one statement takes what is
new. For a handful of rows that costs more than it saves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, cast
from uuid import UUID

from psycopg import Connection as DriverConnection
from psycopg import Cursor, sql
from psycopg import IntegrityError as DriverIntegrityError
from pydantic_core import to_json
from sqlalchemy import (
    ARRAY,
    Column,
    Connection,
    DateTime,
    Select,
    Table,
    TableClause,
    column,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from agentwhere_store.rows import insert_ignoring_known

WORTH_A_COPY = 500
"""Rows from which a temporary table is made; chosen, not measured."""

_NAME = "incoming_rows"


def insert_many_ignoring_known(
    conn: Connection,
    target: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    known_by: Sequence[str],
) -> int:
    """Insert ``rows`` (all with the same columns); those that already exist by ``known_by`` are left as they are.

    Returns
    -------
    int
        How many rows were new.
    """
    if len(rows) < WORTH_A_COPY:
        return insert_ignoring_known(conn, target, rows, known_by=known_by)
    names = list(rows[0])
    columns = {name: target.c[name] for name in names}
    if _copied(conn, target, columns, rows):
        return len(rows)
    with incoming_rows(conn, columns, map(itemgetter(*names), rows)) as incoming:
        statement = insert(target).from_select(names, select(incoming))
        return conn.execute(
            statement.on_conflict_do_nothing(index_elements=list(known_by)),
            # Without it SQLAlchemy answers −1 for an INSERT.
            execution_options={"preserve_rowcount": True},
        ).rowcount


def driver_rows(conn: Connection, query: Select[Any]) -> list[tuple[Any, ...]]:
    """Return rows as the driver makes them, for many: reading them as SQLAlchemy's own takes a third longer."""
    cursor = conn.execute(query).cursor
    return cast("Cursor[Any]", cursor).fetchall()


@contextmanager
def incoming_rows(
    conn: Connection, columns: Mapping[str, Column[Any]], rows: Iterable[Sequence[Any]]
) -> Iterator[TableClause]:
    """Give a temporary table of ``rows`` for the length of a block; one at a time on a connection.

    Parameters
    ----------
    columns
        The table's columns in the order of each row's values, each with a column (of one table) whose type it shares.
    """
    cursor = _cursor(conn)
    cursor.execute(_create(columns))
    _copy(cursor, sql.Identifier(_NAME), columns, rows)
    yield table(_NAME, *(column(name, like.type) for name, like in columns.items()))
    # Not left to the commit: a transaction may write more than one batch. After an error its rollback drops it.
    cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(_NAME)))


def _copied(
    conn: Connection,
    target: Table,
    columns: Mapping[str, Column[Any]],
    rows: Sequence[Mapping[str, Any]],
) -> bool:
    """Copy rows into their table; change nothing and return False where a constraint refuses one of them."""
    values = map(itemgetter(*columns), rows)
    try:
        with conn.begin_nested():
            _copy(_cursor(conn), sql.Identifier(*target.fullname.split(".")), columns, values)
    except DriverIntegrityError:
        return False
    return True


def _copy(
    cursor: Cursor[Any],
    into: sql.Identifier,
    columns: Mapping[str, Column[Any]],
    rows: Iterable[Sequence[Any]],
) -> None:
    tellers = [
        (place, tell)
        for place, like in enumerate(columns.values())
        for kind, tell in _TELLERS
        if isinstance(like.type, kind)
    ]
    named = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(into, named)) as copy:
        for row in rows:
            values = list(row)
            for place, tell in tellers:
                values[place] = tell(values[place])
            copy.write_row(values)


def _document(value: Any) -> str:
    return to_json(value).decode()


def _array(values: Sequence[str | UUID] | None) -> str | None:
    return None if values is None else _array_of(tuple(values))


@lru_cache(maxsize=1024)
def _array_of(values: tuple[str | UUID, ...]) -> str:
    escaped = (str(value).replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"


@lru_cache(maxsize=1024)
def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


_TELLERS: tuple[tuple[type, Callable[[Any], str | None]], ...] = (
    (JSONB, _document),
    (ARRAY, _array),
    (DateTime, _moment),
)
"""Types of columns whose values the driver would tell slowly, and the same text made sooner."""


def _cursor(conn: Connection) -> Cursor[Any]:
    return cast("DriverConnection[Any]", conn.connection.driver_connection).cursor()


def _create(columns: Mapping[str, Column[Any]]) -> sql.Composed:
    origin = next(iter(columns.values())).table
    wanted = [
        sql.SQL("{} AS {}").format(sql.Identifier(like.name), sql.Identifier(name))
        for name, like in columns.items()
    ]
    return sql.SQL("CREATE TEMPORARY TABLE {} AS SELECT {} FROM {} WITH NO DATA").format(
        sql.Identifier(_NAME),
        sql.SQL(", ").join(wanted),
        sql.Identifier(*str(origin).split(".")),
    )
