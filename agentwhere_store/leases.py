"""Leases: at most one process does a step that moves money, and a process that lost its lease cannot send.

Two parts. A session-level advisory lock says who is alive: the server frees it the moment that the holder's
connection ends, however the holder died. A *fencing token*, which grows with every new holder, is kept in the table
``leases``: what is written under an older token is refused, so that a holder which was merely asleep does no harm when
it wakes.

A lease that is *sharded* is held part by part, each with a lock and a row of its own, so that shards of the same work
go on side by side while any two that have a part in common exclude each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, OperationalError

from agentwhere_core.domain.errors import LeaseHeldError
from agentwhere_core.domain.sharding import Shard
from agentwhere_store.tables.operations import leases


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do one step now, for all deployments or for those of ``shard``.

    ``fencing_token`` is larger than that of every earlier holder.
    """

    name: str
    holder: str
    fencing_token: int
    shard: Shard | None = None

    @property
    def rows(self) -> tuple[str, ...]:
        """The names of the rows that hold its token: one, or one for each part of its shard."""
        return _rows(self.name, self.shard)


@contextmanager
def lease(
    engine: Engine,
    name: str,
    holder: str,
    now: datetime,
    wait_s: float = 0,
    *,
    shard: Shard | None = None,
) -> Iterator[Lease]:
    """Hold the lease ``name`` for the length of a ``with`` block.

    Parameters
    ----------
    holder
        Who asks, for people who wonder: a run id, or host and process.
    wait_s
        How long to wait for a present holder to finish.
    shard
        Which deployments it is for, where their parts are held apart; every holder of that name must then give one.

    Raises
    ------
    LeaseHeldError
        If another process holds it, and still does after ``wait_s``.
    """
    names = _rows(name, shard)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        taken: list[str] = []
        try:
            for row in names:
                if not _take(conn, _lock_key(row), wait_s):
                    raise LeaseHeldError(
                        f"another process is doing {name!r} now ({_present_holder(conn, row)}): "
                        "let it finish, its result is the same"
                    )
                taken.append(row)
            yield Lease(name, holder, _next_token(conn, names, holder, now), shard)
        finally:
            for row in taken:
                _give_back(conn, _lock_key(row))


class HeldLeases:
    """Several leases on one connection, each of which may be given back before the others."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._held: dict[str, Lease] = {}

    def __contains__(self, name: str) -> bool:
        """Return whether the lease is held."""
        return name in self._held

    def take(self, name: str, holder: str, now: datetime) -> None:
        """Take a lease if nobody else holds it."""
        if _take(self._conn, _lock_key(name), 0):
            token = _next_token(self._conn, (name,), holder, now)
            self._held[name] = Lease(name, holder, token)

    def give_back(self, name: str) -> None:
        """Let others have a lease; one that is not held is left alone."""
        if self._held.pop(name, None) is not None:
            _give_back(self._conn, _lock_key(name))

    def give_all_back(self) -> None:
        """Let others have them all."""
        for name in list(self._held):
            self.give_back(name)


@contextmanager
def free_leases(
    engine: Engine, names: Iterable[str], holder: str, now: datetime
) -> Iterator[HeldLeases]:
    """Hold those of the leases ``names`` that nobody else holds, on one connection, for the length of a block."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        held = HeldLeases(conn)
        try:
            for name in names:
                held.take(name, holder, now)
            yield held
        finally:
            held.give_all_back()


def _take(conn: Connection, key: int, wait_s: float) -> bool:
    if conn.execute(select(func.pg_try_advisory_lock(key))).scalar_one():
        return True
    if wait_s <= 0:
        return False
    conn.execute(text(f"SET lock_timeout = {max(1, int(wait_s * 1000))}"))
    # How long a statement may take is for work, not for waiting.
    conn.execute(text("SET statement_timeout = 0"))
    try:
        conn.execute(select(func.pg_advisory_lock(key)))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != "55P03":
            raise
        return False
    finally:
        conn.execute(text("RESET lock_timeout"))
        conn.execute(text("RESET statement_timeout"))
    return True


def _next_token(conn: Connection, names: Sequence[str], holder: str, now: datetime) -> int:
    """Write one token into all rows of a lease, larger than any of theirs: nobody else writes them, they are locked."""
    largest = select(func.coalesce(func.max(leases.c.fencing_token), 0)).where(
        leases.c.name.in_(names)
    )
    token = int(conn.execute(largest).scalar_one()) + 1
    statement = insert(leases).values(
        [
            {"name": name, "holder": holder, "fencing_token": token, "acquired_at": now}
            for name in names
        ]
    )
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["name"],
            set_={
                "holder": statement.excluded.holder,
                "acquired_at": statement.excluded.acquired_at,
                "fencing_token": statement.excluded.fencing_token,
            },
        )
    )
    return token


def _rows(name: str, shard: Shard | None) -> tuple[str, ...]:
    return (name,) if shard is None else tuple(f"{name} {part}" for part in shard.parts)


def _give_back(conn: Connection, key: int) -> None:
    if conn.invalidated:
        return  # it was found gone with an earlier lock, and all of its locks went with it
    try:
        conn.execute(select(func.pg_advisory_unlock(key)))
    except DBAPIError:
        # The connection is gone, and the lock went with it; a pooled one must not come back half alive.
        conn.invalidate()


def _present_holder(conn: Connection, name: str) -> str:
    row = conn.execute(
        select(leases.c.holder, leases.c.acquired_at).where(leases.c.name == name)
    ).one_or_none()
    return "it just began" if row is None else f"{row.holder}, since {row.acquired_at:%H:%M:%S} UTC"


def _lock_key(name: str) -> int:
    digest = hashlib.blake2b(f"agentwhere.lease.{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
