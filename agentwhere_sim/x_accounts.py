"""What becomes of X accounts: renamed, suspended, restored. An account keeps its number under any name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentwhere_sim.post_bank import SUSPENDED

if TYPE_CHECKING:
    from agentwhere_sim.world import World

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS x_accounts (
    handle TEXT PRIMARY KEY, username TEXT NOT NULL, is_suspended INTEGER NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class Account:
    """An account by its first handle, with its present name."""

    handle: str
    username: str
    is_suspended: bool


def prepare(world: World) -> None:
    """Create the table if it is missing."""
    world.db.define(_SCHEMA)


def account(world: World, handle: str) -> Account:
    """Tell what became of the account that was first called ``handle``."""
    rows = world.db.query("SELECT * FROM x_accounts WHERE handle = ?", (handle,))
    if not rows:
        return Account(handle, handle, handle in SUSPENDED)
    return Account(handle, rows[0]["username"], bool(rows[0]["is_suspended"]))


def change(
    world: World, handle: str, *, username: str | None = None, suspended: bool | None = None
) -> Account:
    """Rename an account, suspend it or restore it."""
    known = account(world, handle)
    changed = Account(
        handle,
        known.username if username is None else username,
        known.is_suspended if suspended is None else suspended,
    )
    world.db.execute(
        "INSERT OR REPLACE INTO x_accounts (handle, username, is_suspended) VALUES (?, ?, ?)",
        (handle, changed.username, int(changed.is_suspended)),
    )
    return changed
