"""Fills: what really happened at the venues, stored once and linked to our orders and positions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from agentwhere_core.domain.enums import OrderPurpose, OrderSide, OrderState, UntrackedCause, Venue
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.sharding import WHOLE, Shard
from agentwhere_core.domain.trade import Fill, VenueAccount
from agentwhere_store.rows import json_safe, of_shard
from agentwhere_store.tables.ideas import signals
from agentwhere_store.tables.trading import (
    cash_flows,
    deployments,
    fills,
    orders,
    untracked_tokens,
    venue_accounts,
)

# A statement takes at most 65,535 values, and a fill has twenty.
_FILLS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class WatchedAccount:
    """An account that must be compared with its venue, and since when its fills and cash flows are wanted.

    ``is_new`` says that its fills were never asked for.
    """

    account: VenueAccount
    agent_id: UUID
    fills_since: datetime
    flows_since: datetime
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a position came from: its entry order's signal, leverage and the protection sent with it."""

    signal_id: UUID | None
    leverage: Decimal
    stop_loss_price: Decimal | None
    take_profit_price: Decimal | None
    trailing_activation_pct: Decimal | None
    trailing_distance_pct: Decimal | None
    max_holding_h: Decimal | None

    @classmethod
    def outside(cls) -> Provenance:
        """Return the origin of a position that no order of ours opened: no signal, no protection."""
        return cls(
            signal_id=None,
            leverage=Decimal(1),
            stop_loss_price=None,
            take_profit_price=None,
            trailing_activation_pct=None,
            trailing_distance_pct=None,
            max_holding_h=None,
        )


def watched_accounts(
    conn: Connection, venues: Collection[Venue], *, shard: Shard = WHOLE
) -> list[WatchedAccount]:
    """Return a shard's accounts that ever had an order at the given venues, those switched off since included.

    Switching an account off stops entries; what it holds must be looked after until it is closed.
    """
    engaged = exists().where(orders.c.account_id == venue_accounts.c.id)
    newest_flow = (
        select(func.max(cash_flows.c.at))
        .where(cash_flows.c.account_id == venue_accounts.c.id)
        .scalar_subquery()
    )
    rows = conn.execute(
        select(venue_accounts, deployments.c.agent_id, newest_flow.label("newest_flow"))
        .join(deployments, deployments.c.id == venue_accounts.c.deployment_id)
        .where(
            venue_accounts.c.venue.in_([venue.value for venue in venues]),
            engaged,
            of_shard(venue_accounts.c.deployment_id, shard),
        )
        .order_by(venue_accounts.c.id)
    )
    return [
        WatchedAccount(
            account=VenueAccount(
                id=row.id,
                deployment_id=row.deployment_id,
                venue=Venue(row.venue),
                address=row.address,
                signer_address=row.signer_address,
                key_name=row.key_name,
                is_enabled=row.is_enabled,
            ),
            agent_id=row.agent_id,
            fills_since=row.fills_since or row.created_at,
            flows_since=row.newest_flow or row.created_at,
            is_new=row.fills_since is None,
        )
        for row in rows
    ]


def insert_fills(
    conn: Connection, account_id: UUID, new: Sequence[Fill], now: datetime
) -> frozenset[str]:
    """Store fills that are not known yet, linked to our orders; return the tokens that they concern."""
    if not new:
        return frozenset()
    tokens: set[str] = set()
    for start in range(0, len(new), _FILLS_AT_ONCE):
        tokens |= _insert_fills(conn, account_id, new[start : start + _FILLS_AT_ONCE], now)
    return frozenset(tokens)


def unexplained(conn: Connection, account_id: UUID, found: Sequence[Fill]) -> frozenset[str]:
    """Return the tokens with a fill, not stored yet, of which neither venue nor ledger says whose order made it.

    A fill that names the order behind it, by our client id or by the venue's number for it, is explained; so is one
    that a price of the position itself brought about, and a liquidation.
    """
    nameless = [
        fill
        for fill in found
        if fill.client_id is None and fill.trigger is None and not fill.is_liquidation
    ]
    if not nameless:
        return frozenset()
    known = conn.execute(
        select(fills.c.fill_id).where(
            fills.c.account_id == account_id,
            fills.c.fill_id.in_([fill.fill_id for fill in nameless]),
        )
    )
    ours = conn.execute(
        select(orders.c.venue_order_id).where(
            orders.c.account_id == account_id,
            orders.c.venue_order_id.in_([fill.venue_order_id for fill in nameless]),
        )
    )
    stored, numbers = set(known.scalars()), set(ours.scalars())
    return frozenset(
        fill.token
        for fill in nameless
        if fill.fill_id not in stored and fill.venue_order_id not in numbers
    )


def want_fills_since(conn: Connection, account_id: UUID, since: datetime) -> None:
    """Keep from when on an account's fills are asked for the next time."""
    conn.execute(
        update(venue_accounts).where(venue_accounts.c.id == account_id).values(fills_since=since)
    )


def _insert_fills(
    conn: Connection, account_id: UUID, new: Sequence[Fill], now: datetime
) -> set[str]:
    ours = conn.execute(
        select(orders.c.id, orders.c.client_id, orders.c.venue_order_id).where(
            orders.c.account_id == account_id,
            or_(
                orders.c.client_id.in_([fill.client_id for fill in new if fill.client_id]),
                orders.c.venue_order_id.in_([fill.venue_order_id for fill in new]),
            ),
        )
    ).all()
    by_trigger = _resting_protection(conn, account_id) if any(f.trigger for f in new) else {}
    by_name = {row.client_id: row.id for row in ours}
    by_number = {row.venue_order_id: row.id for row in ours}
    statement = insert(fills).values(
        [
            {
                "id": new_id(),
                "venue": fill.venue.value,
                "account_id": account_id,
                "fill_id": fill.fill_id,
                "venue_order_id": fill.venue_order_id,
                "client_id": fill.client_id,
                "order_id": by_name.get(fill.client_id or "")
                or by_number.get(fill.venue_order_id)
                or by_trigger.get((fill.token, fill.trigger)),
                "token_symbol": fill.token,
                "market_name": fill.market_name,
                "side": fill.side.value,
                "size": fill.size,
                "price": fill.price,
                "fee_usd": fill.fee_usd,
                "closed_pnl_usd": fill.closed_pnl_usd,
                "is_liquidation": fill.is_liquidation,
                "trigger": fill.trigger,
                "raw": json_safe(fill.raw),
                "at": fill.at,
                "recorded_at": now,
            }
            for fill in new
        ]
    )
    fresh = conn.execute(
        statement.on_conflict_do_nothing(
            index_elements=["venue", "account_id", "fill_id"]
        ).returning(fills.c.token_symbol)
    ).scalars()
    return set(fresh)


def _resting_protection(
    conn: Connection, account_id: UUID
) -> dict[tuple[str, OrderPurpose | None], UUID]:
    """Return the newest protective order that rests, by token and purpose."""
    rows = conn.execute(
        select(orders.c.token_symbol, orders.c.purpose, orders.c.id)
        .where(
            orders.c.account_id == account_id,
            orders.c.trigger_price.is_not(None),
            orders.c.state.in_([OrderState.ACKED.value, OrderState.PARTIAL.value]),
        )
        .order_by(orders.c.id)
    )
    return {(row.token_symbol, OrderPurpose(row.purpose)): row.id for row in rows}


def fills_in(conn: Connection, account_id: UUID, token: str) -> list[Fill]:
    """Return an account's fills in a token, oldest first, without those of a position older than its registration."""
    is_foreign = exists().where(
        untracked_tokens.c.account_id == fills.c.account_id,
        untracked_tokens.c.token_symbol == fills.c.token_symbol,
        untracked_tokens.c.cause == UntrackedCause.OLDER_POSITION.value,
        or_(untracked_tokens.c.until.is_(None), untracked_tokens.c.until >= fills.c.at),
    )
    rows = conn.execute(
        select(fills)
        .where(fills.c.account_id == account_id, fills.c.token_symbol == token, ~is_foreign)
        .order_by(fills.c.at, fills.c.fill_id)
    )
    return [_fill(row) for row in rows]


def tokens_sent(conn: Connection, account_id: UUID) -> frozenset[str]:
    """Return the tokens in which an account ever had an order that was sent."""
    rows = conn.execute(
        select(orders.c.token_symbol)
        .distinct()
        .where(orders.c.account_id == account_id, orders.c.sent_at.is_not(None))
    )
    return frozenset(rows.scalars())


def assign_fills(
    conn: Connection, account_id: UUID, fill_ids: Collection[str], position_id: UUID
) -> None:
    """Say to which position fills, and the orders they came from, belong."""
    belonging = and_(
        fills.c.account_id == account_id,
        fills.c.fill_id.in_(list(fill_ids)),
        fills.c.position_id.is_(None),
    )
    submitted = (
        select(orders.c.submission_id)
        .join(fills, fills.c.order_id == orders.c.id)
        .where(belonging, orders.c.submission_id.is_not(None))
    )
    conn.execute(
        update(orders)
        .where(orders.c.submission_id.in_(submitted), orders.c.position_id.is_(None))
        .values(position_id=position_id)
    )
    conn.execute(update(fills).where(belonging).values(position_id=position_id))


def provenance(conn: Connection, account_id: UUID, fill_ids: Collection[str]) -> Provenance | None:
    """Return what the entry order behind these fills says, or None if no order of ours made them."""
    entry = conn.execute(
        select(orders.c.submission_id, orders.c.leverage, signals)
        .join(fills, fills.c.order_id == orders.c.id)
        .join(signals, signals.c.id == orders.c.signal_id)
        .where(
            fills.c.account_id == account_id,
            fills.c.fill_id.in_(list(fill_ids)),
            orders.c.purpose == OrderPurpose.ENTRY.value,
        )
        .order_by(fills.c.at)
        .limit(1)
    ).one_or_none()
    if entry is None:
        return None
    siblings = conn.execute(
        select(orders.c.purpose, orders.c.trigger_price).where(
            orders.c.submission_id == entry.submission_id
        )
    )
    triggers: dict[str, Decimal | None] = {row.purpose: row.trigger_price for row in siblings}
    return Provenance(
        signal_id=entry.id,
        leverage=entry.leverage,
        stop_loss_price=triggers.get(OrderPurpose.STOP_LOSS.value),
        take_profit_price=triggers.get(OrderPurpose.TAKE_PROFIT.value),
        trailing_activation_pct=entry.trailing_activation_pct,
        trailing_distance_pct=entry.trailing_distance_pct,
        max_holding_h=entry.max_holding_h,
    )


def purposes_of_fills(
    conn: Connection, account_id: UUID, fill_ids: Collection[str]
) -> dict[str, OrderPurpose | None]:
    """Return why each fill happened: the price that it was triggered by, or the purpose of its order.

    None if it was no trigger of the position's, and no order of ours.
    """
    why = func.coalesce(fills.c.trigger, orders.c.purpose).label("purpose")
    rows = conn.execute(
        select(fills.c.fill_id, why)
        .outerjoin(orders, orders.c.id == fills.c.order_id)
        .where(fills.c.account_id == account_id, fills.c.fill_id.in_(list(fill_ids)))
    )
    return {row.fill_id: OrderPurpose(row.purpose) if row.purpose else None for row in rows}


def new_purposes(
    conn: Connection, account_id: UUID, fill_ids: Collection[str]
) -> dict[str, OrderPurpose | None]:
    """Return, of those fills that belong to no position yet, why they happened; see `purposes_of_fills`."""
    rows = conn.execute(
        select(fills.c.fill_id).where(
            fills.c.account_id == account_id,
            fills.c.fill_id.in_(list(fill_ids)),
            fills.c.position_id.is_(None),
        )
    )
    return purposes_of_fills(conn, account_id, list(rows.scalars()))


def _fill(row: Any) -> Fill:
    return Fill(
        venue=Venue(row.venue),
        account_id=row.account_id,
        fill_id=row.fill_id,
        venue_order_id=row.venue_order_id,
        client_id=row.client_id,
        token=row.token_symbol,
        market_name=row.market_name,
        side=OrderSide(row.side),
        size=row.size,
        price=row.price,
        fee_usd=row.fee_usd,
        closed_pnl_usd=row.closed_pnl_usd,
        at=row.at,
        is_liquidation=row.is_liquidation,
        raw=row.raw,
        trigger=OrderPurpose(row.trigger) if row.trigger else None,
    )
