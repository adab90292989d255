"""Tokens of an account whose fills are not made into positions, because nobody could say which ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from agentwhere_core.domain.enums import UntrackedCause
from agentwhere_core.domain.ids import new_id
from agentwhere_store.rows import json_safe
from agentwhere_store.tables.trading import untracked_tokens


@dataclass(frozen=True, slots=True)
class Untracked:
    """One token of one account that is not followed, since when, and why."""

    account_id: UUID
    token: str
    cause: UntrackedCause
    detail: str
    since: datetime


def untracked_now(conn: Connection, account_ids: Collection[UUID]) -> list[Untracked]:
    """Return what is not followed now on these accounts, by account and token."""
    rows = conn.execute(
        select(untracked_tokens)
        .where(
            untracked_tokens.c.account_id.in_(list(account_ids)), untracked_tokens.c.until.is_(None)
        )
        .order_by(untracked_tokens.c.account_id, untracked_tokens.c.token_symbol)
    )
    return [
        Untracked(
            row.account_id, row.token_symbol, UntrackedCause(row.cause), row.detail, row.since
        )
        for row in rows
    ]


def stop_following(
    conn: Connection,
    account_id: UUID,
    token: str,
    cause: UntrackedCause,
    *,
    detail: str,
    evidence: Mapping[str, Any],
    now: datetime,
) -> bool:
    """Follow a token no more; return whether it was followed until now."""
    statement = insert(untracked_tokens).values(
        id=new_id(),
        account_id=account_id,
        token_symbol=token,
        cause=cause.value,
        detail=detail,
        evidence=json_safe(evidence),
        since=now,
    )
    written = conn.execute(statement.on_conflict_do_nothing().returning(untracked_tokens.c.id))
    return written.one_or_none() is not None


def follow_again(conn: Connection, account_id: UUID, token: str, now: datetime) -> None:
    """Follow a token from ``now`` on."""
    conn.execute(
        update(untracked_tokens)
        .where(
            untracked_tokens.c.account_id == account_id,
            untracked_tokens.c.token_symbol == token,
            untracked_tokens.c.until.is_(None),
        )
        .values(until=now)
    )
