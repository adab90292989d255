"""The simulated world's memory: one SQLite file, write-ahead logged, one writer at a time.

A committed write survives ``kill -9`` of the simulator. SQLite's own types only: decimals are stored as text, instants
as integer milliseconds since 1970.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Row = sqlite3.Row


class Database:
    """Wrap one SQLite connection that every thread of the simulator shares."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self.define("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")

    def define(self, ddl: str) -> None:
        """Run schema statements (``CREATE TABLE IF NOT EXISTS ...``), several if separated by semicolons."""
        with self._lock:
            self._connection.executescript(ddl)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make every write inside one atomic unit; nested uses join the outermost."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("COMMIT")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo the writes inside if they end in an exception, and leave the transaction around them alone."""
        with self.transaction():
            self._connection.execute("SAVEPOINT inner_unit")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK TO inner_unit")
                raise
            finally:
                self._connection.execute("RELEASE inner_unit")

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Write and return the row id of the last inserted row (0 when none)."""
        with self._lock:
            return self._connection.execute(sql, parameters).lastrowid or 0

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Read all rows; columns are reachable by name."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """Read the first row, or ``None``."""
        rows = self.query(sql, parameters)
        return rows[0] if rows else None

    def get(self, key: str) -> str | None:
        """Read one remembered text by key."""
        row = self.one("SELECT value FROM meta WHERE key = ?", (key,))
        return None if row is None else str(row["value"])

    def put(self, key: str, value: str | None) -> None:
        """Remember one text under a key; ``None`` forgets it."""
        if value is None:
            self.execute("DELETE FROM meta WHERE key = ?", (key,))
        else:
            self.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))

    def wipe(self) -> None:
        """Empty every table, keeping the schema."""
        with self.transaction():
            for row in self.query(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ):
                self.execute(f'DELETE FROM "{row["name"]}"')  # noqa: S608 - names come from our own schema

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
