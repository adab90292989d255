"""Fold an account's fills into positions.

Positions are derived: all fills of an account in a token make a chain of episodes, the first of which is the first
position, and so on. Folding again gives the same rows, in whatever order fills arrive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import ExitReason, OrderPurpose, PositionStatus
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.events import PositionEvent
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.trade import Position
from agentwhere_core.execution.positions import Episode, episodes
from agentwhere_core.execution.protection import initial_state
from agentwhere_store import fills as store
from agentwhere_store import positions as position_store
from agentwhere_store.fills import WatchedAccount

if TYPE_CHECKING:
    from sqlalchemy import Connection

_EXIT_BY_PURPOSE = {
    OrderPurpose.TAKE_PROFIT: ExitReason.TAKE_PROFIT,
    OrderPurpose.STOP_LOSS: ExitReason.STOP_LOSS,
}


@dataclass(frozen=True, slots=True)
class Folder:
    """Makes one account's fills into positions, within a transaction."""

    conn: Connection
    watched: WatchedAccount
    now: datetime
    protect_within: timedelta


def fold(at: Folder, token: str) -> list[Position]:
    """Rebuild an account's positions in one token; return those that are new or different.

    Raises
    ------
    InvariantError
        If its fills contradict each other, or what is stored; the caller undoes what was written.
    """
    conn, watched = at.conn, at.watched
    found = episodes(store.fills_in(conn, watched.account.id, token))
    known = position_store.positions_in(conn, watched.account.id, token)
    if len(known) > len(found):
        raise InvariantError(
            f"account {watched.account.address} has {len(known)} positions in {token}, but its fills make "
            f"{len(found)}: fills were deleted; restore them from the venue before trading on"
        )
    changed = []
    for number, episode in enumerate(found):
        before = known[number] if number < len(known) else None
        if before is not None and _is_same(before, episode):
            continue
        changed.append(_save(at, before, episode))
    return changed


def _is_same(position: Position, episode: Episode) -> bool:
    state = episode.state
    return (
        position.size == state.size
        and position.entry_price == state.entry_price
        and position.realized_pnl_usd == state.realized_pnl_usd
        and position.fees_usd == state.fees_usd
        and position.closed_at == state.closed_at
    )


def _save(at: Folder, before: Position | None, episode: Episode) -> Position:
    """Write one episode as a position, with an event that says what happened to it, by whom, and what proves it."""
    conn, watched = at.conn, at.watched
    fill_ids = [fill.fill_id for fill in episode.fills]
    new = store.new_purposes(conn, watched.account.id, fill_ids)
    position = before or _open(at, episode, fill_ids)
    state = episode.state
    is_closed = state.closed_at is not None
    after = replace(
        position,
        size=state.size,
        peak_size=state.peak_size,
        entry_price=state.entry_price,
        realized_pnl_usd=state.realized_pnl_usd,
        fees_usd=state.fees_usd,
        status=PositionStatus.CLOSED if is_closed else PositionStatus.OPEN,
        closed_at=state.closed_at,
        exit_price=state.exit_price,
        exit_reason=_exit_reason(conn, position, episode) if is_closed else position.exit_reason,
        unrealized_pnl_usd=Decimal(0) if is_closed else position.unrealized_pnl_usd,
    )
    position_store.save_position(conn, after, at.now)
    store.assign_fills(conn, watched.account.id, fill_ids, after.id)
    forced = any(fill.is_liquidation for fill in episode.fills if fill.fill_id in new)
    position_store.add_event(
        conn,
        after.id,
        kind=_kind(before, after, by_us=any(new.values()), forced=forced),
        detail=_story(before, after),
        evidence={
            "fills": sorted(new),
            "by": {fill_id: purpose or "nobody of ours" for fill_id, purpose in new.items()},
            "size": after.size,
            "entry_price": after.entry_price,
        },
        at=at.now,
    )
    return after


def _open(at: Folder, episode: Episode, fill_ids: Sequence[str]) -> Position:
    """Return a new position for an episode, with what its entry order says of leverage and stops."""
    account, first = at.watched.account, episode.fills[0]
    origin = store.provenance(at.conn, account.id, fill_ids) or store.Provenance.outside()
    state = episode.state
    if state.side is None or state.opened_at is None:
        raise InvariantError(f"fill {first.fill_id} opens no position")
    opened = Position(
        id=new_id(),
        deployment_id=account.deployment_id,
        agent_id=at.watched.agent_id,
        account_id=account.id,
        signal_id=origin.signal_id,
        venue=account.venue,
        token=first.token,
        market_name=first.market_name,
        side=state.side,
        size=state.size,
        entry_price=state.entry_price,
        leverage=origin.leverage,
        status=PositionStatus.OPEN,
        opened_at=state.opened_at,
        stop_loss_price=origin.stop_loss_price,
        take_profit_price=origin.take_profit_price,
        trailing_activation_pct=origin.trailing_activation_pct,
        trailing_distance_pct=origin.trailing_distance_pct,
        max_holding_h=origin.max_holding_h,
        current_price=first.price,
        protect_by=state.opened_at + at.protect_within,
    )
    return replace(opened, protection=initial_state(opened))


def _exit_reason(conn: Connection, position: Position, episode: Episode) -> ExitReason:
    """Return why a position closed: liquidated, by one of our orders, or by somebody else."""
    if episode.state.is_liquidated:
        return ExitReason.LIQUIDATED
    last = episode.fills[-1].fill_id
    purpose = store.purposes_of_fills(conn, position.account_id, [last])[last]
    if purpose is OrderPurpose.EXIT:
        return position.exit_reason or ExitReason.MANUAL
    if purpose is None:
        return ExitReason.CLOSED_OUTSIDE
    return _EXIT_BY_PURPOSE.get(purpose, ExitReason.CLOSED_OUTSIDE)


def _kind(before: Position | None, after: Position, *, by_us: bool, forced: bool) -> PositionEvent:
    if after.status is PositionStatus.CLOSED:
        return PositionEvent.closed_by(after.exit_reason or ExitReason.CLOSED_OUTSIDE)
    if before is None:
        return PositionEvent.OPENED if after.signal_id else PositionEvent.OPENED_OUTSIDE
    if forced:
        return PositionEvent.REDUCED_BY_LIQUIDATION
    if after.size < before.size:
        return PositionEvent.REDUCED if by_us else PositionEvent.REDUCED_OUTSIDE
    return PositionEvent.INCREASED if by_us else PositionEvent.INCREASED_OUTSIDE


def _story(before: Position | None, after: Position) -> str:
    what = f"{after.side} {after.token} on {after.venue}"
    if after.status is PositionStatus.CLOSED:
        return (
            f"{what} closed at {after.exit_price}: {after.exit_reason}, realized "
            f"{after.realized_pnl_usd:.2f} USD before fees of {after.fees_usd:.2f}"
        )
    if before is None:
        return f"{what} opened: {after.size} at {after.entry_price}"
    return f"{what} went from {before.size} to {after.size}"
