"""Keys of the HTTP API, of which only digests are kept, and the audit log of what was written through it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert, or_, select, update

from agentwhere_core.domain.enums import Scope
from agentwhere_core.domain.errors import AlreadyThereError
from agentwhere_core.domain.ids import new_id
from agentwhere_store.rows import insert_ignoring_known, json_safe
from agentwhere_store.tables.access import api_keys, api_writes


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; ``public_part`` finds it, ``digest`` (SHA-256 of the whole key) proves it."""

    id: UUID
    name: str
    public_part: str
    digest: bytes
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Return whether the key opens anything at ``now``."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


@dataclass(frozen=True, slots=True)
class Write:
    """A write as it was asked for: who, from where, what; without secrets."""

    key_id: UUID | None
    actor: str
    address: str
    method: str
    path: str
    body: Mapping[str, Any]


def add_key(conn: Connection, key: ApiKey) -> None:
    """Write a key.

    Raises
    ------
    AlreadyThereError
        If a key that was not revoked has this name.
    """
    row = {
        "id": key.id,
        "name": key.name,
        "public_part": key.public_part,
        "digest": key.digest,
        "scopes": sorted(scope.value for scope in key.scopes),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
    }
    if not insert_ignoring_known(conn, api_keys, [row]):
        raise AlreadyThereError(
            f"there is an API key called {key.name!r} already: revoke it first, or choose another name"
        )


def revoke_key(conn: Connection, name: str, now: datetime) -> bool:
    """Revoke the key called ``name``; return whether there was one that was not revoked."""
    statement = update(api_keys).where(api_keys.c.name == name, api_keys.c.revoked_at.is_(None))
    return conn.execute(statement.values(revoked_at=now)).rowcount > 0


def keys(conn: Connection) -> list[ApiKey]:
    """Return all keys, revoked ones too, by age."""
    return _keys(conn, ())


def valid_keys(conn: Connection, now: datetime) -> list[ApiKey]:
    """Return the keys that open something at ``now``."""
    not_over = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
    return _keys(conn, (api_keys.c.revoked_at.is_(None), not_over))


def begin_write(conn: Connection, write: Write, now: datetime) -> UUID:
    """Put a write on record before it is done, and return the record's id."""
    write_id = new_id()
    conn.execute(
        insert(api_writes).values(
            id=write_id,
            key_id=write.key_id,
            actor=write.actor,
            address=write.address,
            method=write.method,
            path=write.path,
            body=json_safe(write.body),
            at=now,
        )
    )
    return write_id


def end_write(conn: Connection, write_id: UUID, status: int) -> None:
    """Keep the HTTP status that a write came to."""
    conn.execute(update(api_writes).where(api_writes.c.id == write_id).values(status=status))


def writes(conn: Connection, limit: int) -> list[dict[str, Any]]:
    """Return the newest writes, for people."""
    rows = conn.execute(select(api_writes).order_by(api_writes.c.id.desc()).limit(limit))
    return [dict(row._mapping) for row in rows]


def _keys(conn: Connection, conditions: Collection[Any]) -> list[ApiKey]:
    return [
        ApiKey(
            id=row.id,
            name=row.name,
            public_part=row.public_part,
            digest=bytes(row.digest),
            scopes=frozenset(Scope(scope) for scope in row.scopes),
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
        )
        for row in conn.execute(select(api_keys).where(*conditions).order_by(api_keys.c.id))
    ]
