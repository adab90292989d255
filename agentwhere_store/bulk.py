"""Thousands of rows at once: COPY into a temporary table, then one INSERT that leaves known rows alone.

COPY alone knows no conflict, and a statement per row costs its parsing, its planning and its share of the wire. Rows
with JSON documents of some kB are written about twice as fast this way as by psycopg's pipeline; see
docs/performance.md. For a handful of rows the temporary table costs more than it saves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from psycopg import Connection as DriverConnection
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy import Connection, Table
from sqlalchemy.dialects.postgresql import JSONB

from agentwhere_store.rows import insert_ignoring_known

WORTH_A_COPY = 500
"""Rows from which the temporary table pays for itself."""

_INCOMING = sql.Identifier("incoming_rows")


def insert_many_ignoring_known(
    conn: Connection,
    table: Table,
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
        return insert_ignoring_known(conn, table, rows, known_by=known_by)
    names = list(rows[0])
    target = sql.Identifier(*table.fullname.split("."))
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    cursor = _driver(conn).cursor()
    cursor.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} AS SELECT {} FROM {} WITH NO DATA").format(
            _INCOMING, columns, target
        )
    )
    copy = sql.SQL("COPY {} ({}) FROM STDIN").format(_INCOMING, columns)
    with cursor.copy(copy) as incoming:
        for values in _values(table, names, rows):
            incoming.write_row(values)
    written = cursor.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT ({}) DO NOTHING").format(
            target, columns, columns, _INCOMING, sql.SQL(", ").join(map(sql.Identifier, known_by))
        )
    ).rowcount
    # Now, and not at commit: a transaction may write more than one batch.
    cursor.execute(sql.SQL("DROP TABLE {}").format(_INCOMING))
    return written


def _values(
    table: Table, names: Sequence[str], rows: Iterable[Mapping[str, Any]]
) -> Iterable[list[Any]]:
    """Return the rows' values in the order of ``names``, documents marked as such."""
    documents = [isinstance(table.c[name].type, JSONB) for name in names]
    for row in rows:
        yield [
            Jsonb(row[name]) if is_document else row[name]
            for name, is_document in zip(names, documents, strict=True)
        ]


def _driver(conn: Connection) -> DriverConnection[Any]:
    """Return psycopg's own connection, which takes part in the same transaction."""
    return cast("DriverConnection[Any]", conn.connection.driver_connection)
