"""Small helpers that every query module uses: writing many rows in one statement, and reading JSON-safe values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Table, Text, cast, func, true
from sqlalchemy.dialects.postgresql import insert

from agentwhere_core.domain.sharding import Shard

# How long after its expiry a signal is still looked at, so that its end is put on record.
EXPIRY_LOOK_BACK = timedelta(days=7)


def json_safe(value: Any) -> Any:
    """Return ``value`` with decimals and times as strings, so that JSON keeps them exactly."""
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_safe(item) for item in value]
    return value


def of_shard(deployment_id: ColumnElement[UUID], shard: Shard) -> ColumnElement[bool]:
    """Return the condition that a row's deployment is one of ``shard``; none where that is all of them."""
    if shard.is_whole:
        return true()
    return func.right(cast(deployment_id, Text), 1).in_(shard.parts)


def storable(value: Any) -> Any:
    """Drop from text, or from all text of a JSON document, what PostgreSQL cannot hold: NUL and lone surrogates."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode(errors="ignore").decode()
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value


def insert_ignoring_known(
    conn: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    known_by: Iterable[str] | None = None,
) -> int:
    """Insert ``rows`` (all with the same columns) in one go; rows that already exist are left as they are.

    Parameters
    ----------
    known_by
        Columns of the unique constraint that tells a known row; any constraint if None.

    Returns
    -------
    int
        How many rows were new.
    """
    if not rows:
        return 0
    statement = insert(table).on_conflict_do_nothing(
        index_elements=list(known_by) if known_by is not None else None
    )
    # Measured on 20,000 rows: 1.2 s in psycopg's pipeline, 4.6 to 7.5 s with all values in the statement's text.
    # Without the option SQLAlchemy answers −1 for an INSERT.
    return conn.execute(
        statement, list(rows), execution_options={"preserve_rowcount": True}
    ).rowcount
