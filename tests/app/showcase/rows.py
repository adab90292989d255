"""What all parts of the showcase share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, insert

DAYS = 120
TOKENS = {"BTC": 91240, "ETH": 3055, "SOL": 142, "XAU": 4085, "EURUSD": 1.158, "DOGE": 0.1432}
VENUES = ("HYPERLIQUID", "OSTIUM", "LIGHTER")


def add(conn: Connection, table: Table, *rows: dict[str, Any]) -> None:
    if rows:
        conn.execute(insert(table), list(rows))
