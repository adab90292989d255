"""Positions: rows that are folded from fills, marked with prices, and explained by events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    and_,
    case,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from agentwhere_core.domain.enums import (
    ExitReason,
    PositionStatus,
    ProtectionState,
    Side,
    Venue,
)
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.events import PositionEvent
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.sharding import WHOLE, Shard
from agentwhere_core.domain.trade import AccountState, Position
from agentwhere_store.rows import json_safe, of_shard
from agentwhere_store.tables.trading import position_events, positions, venue_accounts


def _of_open(column: Column[Any]) -> ColumnElement[Any]:
    return case((positions.c.status == PositionStatus.OPEN.value, column)).label(column.name)


PROTECTION = tuple(
    _of_open(column)
    for column in (
        positions.c.protection,
        positions.c.protect_by,
        positions.c.resting_stop_price,
        positions.c.resting_target_price,
    )
)
"""How an open position is protected, by when it must be, and the prices last seen at its venue; null when closed."""


def save_account_state(conn: Connection, account_id: UUID, state: AccountState) -> None:
    """Keep what the venue said of an account's money."""
    conn.execute(
        update(venue_accounts)
        .where(venue_accounts.c.id == account_id)
        .values(
            equity_usd=state.equity_usd,
            free_margin_usd=state.free_margin_usd,
            last_queried=state.at,
        )
    )


def positions_in(conn: Connection, account_id: UUID, token: str) -> list[Position]:
    """Return all positions that an account ever had in a token, oldest first."""
    found = _positions(
        conn, and_(positions.c.account_id == account_id, positions.c.token_symbol == token)
    )
    return sorted(found, key=lambda position: (position.opened_at, position.id))


def intend_exit(conn: Connection, position_id: UUID, reason: ExitReason, now: datetime) -> None:
    """Keep why a position is about to be closed, before anything is sent."""
    conn.execute(
        update(positions)
        .where(positions.c.id == position_id, positions.c.status == PositionStatus.OPEN.value)
        .values(exit_reason=reason.value, updated_at=now)
    )


def save_position(conn: Connection, position: Position, now: datetime) -> None:
    """Insert a position, or bring its row up to date.

    Raises
    ------
    InvariantError
        If the account has another open position in the token.
    """
    row: dict[str, Any] = {
        "size": position.size,
        "peak_size": position.peak_size,
        "entry_price": position.entry_price,
        "stop_loss_price": position.stop_loss_price,
        "take_profit_price": position.take_profit_price,
        "realized_pnl_usd": position.realized_pnl_usd,
        "unrealized_pnl_usd": position.unrealized_pnl_usd,
        "fees_usd": position.fees_usd,
        "status": position.status.value,
        "exit_reason": position.exit_reason and position.exit_reason.value,
        "exit_price": position.exit_price,
        "closed_at": position.closed_at,
        "updated_at": now,
    }
    statement = insert(positions).values(
        id=position.id,
        deployment_id=position.deployment_id,
        agent_id=position.agent_id,
        account_id=position.account_id,
        signal_id=position.signal_id,
        venue=position.venue.value,
        token_symbol=position.token,
        market_name=position.market_name,
        side=position.side.value,
        leverage=position.leverage,
        trailing_activation_pct=position.trailing_activation_pct,
        trailing_distance_pct=position.trailing_distance_pct,
        max_holding_h=position.max_holding_h,
        current_price=position.current_price,
        protection=position.protection.value,
        protect_by=position.protect_by,
        opened_at=position.opened_at,
        **row,
    )
    try:
        conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=row))
    except IntegrityError as error:
        raise InvariantError(
            f"position {position.id} in {position.token} contradicts another one of its account: {error.orig}; "
            "compare its fills with those at the venue"
        ) from error


def save_protection(
    conn: Connection,
    position_id: UUID,
    state: ProtectionState,
    *,
    protect_by: datetime | None,
    resting: tuple[Decimal | None, Decimal | None],
    now: datetime,
) -> None:
    """Keep how an open position is protected; ``resting`` holds what the venue showed: stop loss, take profit."""
    conn.execute(
        update(positions)
        .where(positions.c.id == position_id, positions.c.status == PositionStatus.OPEN.value)
        .values(
            protection=state.value,
            protect_by=protect_by,
            resting_stop_price=resting[0],
            resting_target_price=resting[1],
            updated_at=now,
        )
    )


def add_event(
    conn: Connection,
    position_id: UUID,
    *,
    kind: PositionEvent,
    detail: str,
    evidence: Mapping[str, Any],
    at: datetime,
) -> None:
    """Append what happened to a position, with the evidence for it."""
    conn.execute(
        insert(position_events).values(
            id=new_id(),
            position_id=position_id,
            kind=kind.value,
            detail=detail,
            evidence=json_safe(evidence),
            at=at,
        )
    )


def open_positions(
    conn: Connection,
    *,
    account_ids: Collection[UUID] | None = None,
    ids: Collection[UUID] | None = None,
    shard: Shard = WHOLE,
    limit: int | None = None,
) -> list[Position]:
    """Return a shard's open positions, newest first: of all its accounts or of some, all of them or some."""
    condition = _is_open(shard)
    if account_ids is not None:
        condition = and_(condition, positions.c.account_id.in_(list(account_ids)))
    if ids is not None:
        condition = and_(condition, positions.c.id.in_(list(ids)))
    return _positions(conn, condition, limit=limit)


def owing_since(conn: Connection, now: datetime, *, shard: Shard = WHOLE) -> list[Position]:
    """Return a shard's open positions with a deadline for their protection that is not after ``now``."""
    return _positions(conn, and_(_is_open(shard), positions.c.protect_by <= now))


def count_open(
    conn: Connection, protection: Collection[ProtectionState], *, shard: Shard = WHOLE
) -> tuple[int, int]:
    """Return how many positions of a shard are open, and how many of them are in one of these states."""
    in_state = positions.c.protection.in_([state.value for state in protection])
    counts = select(func.count(), func.count().filter(in_state)).where(_is_open(shard))
    every, chosen = conn.execute(counts).one()
    return every, chosen


def closed_since(conn: Connection, since: datetime) -> list[Position]:
    """Return positions that closed after ``since``."""
    return _positions(conn, positions.c.closed_at > since)


def recent_positions(conn: Connection, limit: int) -> list[Position]:
    """Return open positions first, then the newest closed ones."""
    return _positions(conn, positions.c.id.is_not(None), limit=limit)


def _is_open(shard: Shard) -> ColumnElement[bool]:
    return and_(
        positions.c.status == PositionStatus.OPEN.value, of_shard(positions.c.deployment_id, shard)
    )


def _positions(
    conn: Connection, condition: ColumnElement[bool], limit: int | None = None
) -> list[Position]:
    rows = conn.execute(
        select(*_COLUMNS)
        .where(condition)
        .order_by(positions.c.status.desc(), positions.c.id.desc())
        .limit(limit)
    )
    return [_position(row) for row in rows]


# A column for each of a Position's fields, in their order: by place, rows are read in half the time that names take.
_FIELDS = [field.name for field in fields(Position)]
_COLUMNS = [positions.c["token_symbol" if name == "token" else name] for name in _FIELDS]
_WORDS: list[tuple[int, dict[str | None, StrEnum | None]]] = [
    (_FIELDS.index(name), {None: None, **{word.value: word for word in words}})
    for name, words in {
        "venue": Venue,
        "side": Side,
        "status": PositionStatus,
        "exit_reason": ExitReason,
        "protection": ProtectionState,
    }.items()
]


def _position(row: Iterable[Any]) -> Position:
    """Return a position from the values of `_COLUMNS`."""
    values = list(row)
    for place, words in _WORDS:
        values[place] = words[values[place]]
    return Position(*values)
