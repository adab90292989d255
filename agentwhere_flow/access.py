"""Keys of the HTTP API: made once, shown once, kept as digests.

A key reads ``aw_<public part>_<secret>``. The public part finds its row; the secret has 256 random bits, so that a
plain SHA-256 of the whole is as hard to turn back as guessing it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import Scope
from agentwhere_core.domain.errors import ConfigurationError, NoSuchThingError
from agentwhere_core.domain.ids import new_id
from agentwhere_store import access as store
from agentwhere_store.access import ApiKey, Write

if TYPE_CHECKING:
    from uuid import UUID

    from agentwhere_flow.system import System

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}")
_TOKEN = re.compile(r"aw_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_PUBLIC_BYTES, _SECRET_BYTES = 6, 32


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; ``token`` is told once and can never be read again."""

    key: ApiKey
    token: str


def create_key(
    system: System,
    now: datetime,
    name: str,
    scopes: Collection[Scope],
    *,
    expires_at: datetime | None = None,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> NewKey:
    """Make a key and keep its digest.

    Raises
    ------
    AlreadyThereError
        If a key that was not revoked has this name.
    ConfigurationError
        If the name or the expiry cannot be one, or no scope is given.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is no name for a key: up to 63 letters, digits, spaces, dots, hyphens"
        )
    if not scopes:
        raise ConfigurationError(f"a key needs a scope: {', '.join(Scope)}")
    if expires_at is not None and expires_at <= now:
        raise ConfigurationError("a key must expire in the future")
    public_part = entropy(_PUBLIC_BYTES).hex()
    secret = base64.urlsafe_b64encode(entropy(_SECRET_BYTES)).decode().rstrip("=")
    token = f"aw_{public_part}_{secret}"
    key = ApiKey(
        id=new_id(),
        name=name,
        public_part=public_part,
        digest=_digest(token),
        scopes=frozenset({Scope.READ, *scopes}),
        created_at=now,
        expires_at=expires_at,
    )
    with system.engine.begin() as conn:
        store.add_key(conn, key)
    return NewKey(key, token)


def list_keys(system: System) -> list[ApiKey]:
    """Return all keys, revoked ones too, by age."""
    with system.engine.connect() as conn:
        return store.keys(conn)


def revoke_key(system: System, now: datetime, name: str) -> None:
    """Make a key open nothing any more; API processes notice within seconds.

    Raises
    ------
    NoSuchThingError
        If no key of this name is valid.
    """
    with system.engine.begin() as conn:
        if not store.revoke_key(conn, name, now):
            raise NoSuchThingError(f"there is no valid key {name!r}: see `agentwhere keys list`")


def valid_keys(system: System, now: datetime) -> list[ApiKey]:
    """Return the keys that open something now."""
    with system.engine.connect() as conn:
        return store.valid_keys(conn, now)


def find_key(keys: Iterable[ApiKey], token: str, now: datetime) -> ApiKey | None:
    """Return the valid key that ``token`` is, comparing digests in constant time, or None."""
    shape = _TOKEN.fullmatch(token)
    if shape is None:
        return None
    digest = _digest(token)
    for key in keys:
        if key.public_part == shape[1] and key.is_valid(now):
            return key if hmac.compare_digest(key.digest, digest) else None
    return None


def begin_write(system: System, write: Write, now: datetime) -> UUID:
    """Put a write on record before it is done, and return the record's id."""
    with system.engine.begin() as conn:
        return store.begin_write(conn, write, now)


def end_write(system: System, write_id: UUID, status: int) -> None:
    """Keep what a write came to."""
    with system.engine.begin() as conn:
        store.end_write(conn, write_id, status)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
