"""Rows as JSON: what every page does with a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentwhere_store.rows import json_safe

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select


def rows(conn: Connection, query: Select[*tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Return all rows of a query as JSON objects."""
    return [json_safe(row) for row in conn.execute(query).mappings()]


def row(conn: Connection, query: Select[*tuple[Any, ...]]) -> dict[str, Any] | None:
    """Return the first row of a query as a JSON object, or None."""
    found = conn.execute(query).mappings().first()
    return None if found is None else json_safe(found)
