"""Fills, cash flows, and the positions that are folded from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from agentwhere_core.domain.enums import ExitReason, OrderSide, PositionStatus, Side, Venue
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.trade import (
    AccountState,
    CashFlow,
    Fill,
    Position,
    VenueAccount,
)
from sqlalchemy import (
    ColumnElement,
    Connection,
    Numeric,
    Uuid,
    and_,
    bindparam,
    column,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from agentwhere_store.rows import insert_ignoring_known, json_safe
from agentwhere_store.tables.trading import (
    cash_flows,
    deployments,
    fills,
    orders,
    position_events,
    positions,
    venue_accounts,
)


@dataclass(frozen=True, slots=True)
class StoredFill:
    """A fill with its row's id and the order it belongs to."""

    id: UUID
    order_id: UUID | None
    position_id: UUID | None
    fill: Fill


@dataclass(frozen=True, slots=True)
class WatchedAccount:
    """An account that must be compared with its venue, and since when its fills are wanted."""

    account: VenueAccount
    agent_id: UUID
    fills_since: datetime


@dataclass(frozen=True, slots=True)
class Mark:
    """What one price does to one open position."""

    position_id: UUID
    price: Decimal
    unrealized_pnl_usd: Decimal
    best_price: Decimal | None
    liquidation_price: Decimal | None


def watched_accounts(conn: Connection, venues: Collection[Venue]) -> list[WatchedAccount]:
    """Return enabled accounts that ever had an order or hold a position, at the given venues."""
    engaged = exists().where(orders.c.account_id == venue_accounts.c.id)
    rows = conn.execute(
        select(venue_accounts, deployments.c.agent_id)
        .join(deployments, deployments.c.id == venue_accounts.c.deployment_id)
        .where(
            venue_accounts.c.venue.in_([venue.value for venue in venues]),
            venue_accounts.c.is_enabled,
            engaged,
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
        )
        for row in rows
    ]


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


def insert_fills(
    conn: Connection, account_id: UUID, new: Sequence[Fill], read_until: datetime, now: datetime
) -> int:
    """Store fills that are not known yet, linked to our orders, and remember how far was read."""
    by_client: dict[str, UUID] = {}
    by_venue_id: dict[str, UUID] = {}
    rows = conn.execute(
        select(orders.c.id, orders.c.client_id, orders.c.venue_order_id).where(
            orders.c.account_id == account_id,
            orders.c.client_id.in_([f.client_id for f in new if f.client_id])
            | orders.c.venue_order_id.in_([f.venue_order_id for f in new]),
        )
    )
    for row in rows:
        by_client[row.client_id] = row.id
        if row.venue_order_id:
            by_venue_id[row.venue_order_id] = row.id
    count = insert_ignoring_known(
        conn,
        fills,
        [
            {
                "id": new_id(),
                "venue": fill.venue.value,
                "account_id": account_id,
                "fill_id": fill.fill_id,
                "venue_order_id": fill.venue_order_id,
                "client_id": fill.client_id,
                "order_id": by_client.get(fill.client_id or "")
                or by_venue_id.get(fill.venue_order_id),
                "token_symbol": fill.token,
                "market_name": fill.market_name,
                "side": fill.side.value,
                "size": fill.size,
                "price": fill.price,
                "fee_usd": fill.fee_usd,
                "closed_pnl_usd": fill.closed_pnl_usd,
                "is_liquidation": fill.is_liquidation,
                "raw": json_safe(fill.raw),
                "at": fill.at,
                "recorded_at": now,
            }
            for fill in new
        ],
        known_by=("venue", "account_id", "fill_id"),
    )
    conn.execute(
        update(venue_accounts)
        .where(venue_accounts.c.id == account_id)
        .values(fills_since=read_until)
    )
    return count


def insert_cash_flows(
    conn: Connection, account_id: UUID, new: Sequence[CashFlow], now: datetime
) -> int:
    """Store cash flows that are not known yet, funding linked to the position that was open then."""
    count = insert_ignoring_known(
        conn,
        cash_flows,
        [
            {
                "id": new_id(),
                "venue": flow.venue.value,
                "account_id": account_id,
                "reference": flow.reference,
                "kind": flow.kind,
                "token_symbol": flow.token,
                "amount_usd": flow.amount_usd,
                "at": flow.at,
                "recorded_at": now,
            }
            for flow in new
        ],
        known_by=("venue", "account_id", "reference"),
    )
    if count:
        conn.execute(
            update(cash_flows)
            .where(
                cash_flows.c.account_id == account_id,
                cash_flows.c.position_id.is_(None),
                cash_flows.c.kind == "FUNDING",
                positions.c.account_id == cash_flows.c.account_id,
                positions.c.token_symbol == cash_flows.c.token_symbol,
                positions.c.opened_at <= cash_flows.c.at,
                func.coalesce(positions.c.closed_at, func.now()) >= cash_flows.c.at,
            )
            .values(position_id=positions.c.id)
        )
        _refresh_funding(conn, account_id)
    return count


def _refresh_funding(conn: Connection, account_id: UUID) -> None:
    total = (
        select(func.coalesce(func.sum(cash_flows.c.amount_usd), 0))
        .where(cash_flows.c.position_id == positions.c.id)
        .scalar_subquery()
    )
    conn.execute(
        update(positions)
        .where(positions.c.account_id == account_id, positions.c.status == "OPEN")
        .values(funding_usd=total)
    )


def unassigned_fills(conn: Connection, account_id: UUID) -> dict[str, list[StoredFill]]:
    """Return fills that no position has taken up yet, by token, oldest first."""
    found: dict[str, list[StoredFill]] = {}
    for stored in _fills(
        conn, and_(fills.c.account_id == account_id, fills.c.position_id.is_(None))
    ):
        found.setdefault(stored.fill.token, []).append(stored)
    return found


def fills_of_position(conn: Connection, position_id: UUID) -> list[StoredFill]:
    """Return a position's fills, oldest first."""
    return _fills(conn, fills.c.position_id == position_id)


def assign_fills(conn: Connection, fill_ids: Collection[UUID], position_id: UUID) -> None:
    """Say to which position fills belong."""
    conn.execute(
        update(fills).where(fills.c.id.in_(list(fill_ids))).values(position_id=position_id)
    )


def save_position(conn: Connection, position: Position, now: datetime) -> None:
    """Insert a position, or bring its row up to date."""
    row: dict[str, Any] = {
        "size": position.size,
        "peak_size": position.size,
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
        opened_at=position.opened_at,
        **row,
    )
    row["peak_size"] = func.greatest(positions.c.peak_size, statement.excluded.size)
    conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=row))


def save_marks(conn: Connection, marks: Sequence[Mark], at: datetime) -> None:
    """Write prices and unrealized PnL of many open positions in one statement."""
    if not marks:
        return
    from sqlalchemy.dialects.postgresql import ARRAY

    marked = (
        func.unnest(
            bindparam("ids", [m.position_id for m in marks], ARRAY(Uuid)),
            bindparam("prices", [m.price for m in marks], ARRAY(Numeric)),
            bindparam("pnls", [m.unrealized_pnl_usd for m in marks], ARRAY(Numeric)),
            bindparam("bests", [m.best_price for m in marks], ARRAY(Numeric)),
            bindparam("liquidations", [m.liquidation_price for m in marks], ARRAY(Numeric)),
        )
        .table_valued(
            column("id", Uuid),
            column("price", Numeric),
            column("pnl", Numeric),
            column("best", Numeric),
            column("liquidation", Numeric),
        )
        .render_derived()
    )
    conn.execute(
        update(positions)
        .where(positions.c.id == marked.c.id, positions.c.status == PositionStatus.OPEN.value)
        .values(
            current_price=marked.c.price,
            unrealized_pnl_usd=marked.c.pnl,
            best_price=marked.c.best,
            liquidation_price=func.coalesce(marked.c.liquidation, positions.c.liquidation_price),
            last_marked=at,
            updated_at=at,
        )
    )


def add_event(
    conn: Connection,
    position_id: UUID,
    *,
    kind: str,
    detail: str,
    evidence: Mapping[str, Any],
    at: datetime,
) -> None:
    """Append what happened to a position, with the evidence for it."""
    conn.execute(
        insert(position_events).values(
            id=new_id(),
            position_id=position_id,
            kind=kind,
            detail=detail,
            evidence=json_safe(evidence),
            at=at,
        )
    )


def open_positions(
    conn: Connection, *, account_ids: Collection[UUID] | None = None
) -> list[Position]:
    """Return open positions, of all accounts or of some."""
    condition: ColumnElement[bool] = positions.c.status == PositionStatus.OPEN.value
    if account_ids is not None:
        condition = and_(condition, positions.c.account_id.in_(list(account_ids)))
    return _positions(conn, condition)


def closed_since(conn: Connection, since: datetime) -> list[Position]:
    """Return positions that closed after ``since``."""
    return _positions(conn, positions.c.closed_at > since)


def recent_positions(conn: Connection, limit: int) -> list[Position]:
    """Return open positions first, then the newest closed ones."""
    return _positions(conn, positions.c.id.is_not(None), limit=limit)


def _positions(
    conn: Connection, condition: ColumnElement[bool], limit: int | None = None
) -> list[Position]:
    rows = conn.execute(
        select(positions)
        .where(condition)
        .order_by(positions.c.status.desc(), positions.c.id.desc())
        .limit(limit)
    )
    return [
        Position(
            id=row.id,
            deployment_id=row.deployment_id,
            agent_id=row.agent_id,
            account_id=row.account_id,
            signal_id=row.signal_id,
            venue=Venue(row.venue),
            token=row.token_symbol,
            market_name=row.market_name,
            side=Side(row.side),
            size=row.size,
            entry_price=row.entry_price,
            leverage=row.leverage,
            status=PositionStatus(row.status),
            opened_at=row.opened_at,
            stop_loss_price=row.stop_loss_price,
            take_profit_price=row.take_profit_price,
            trailing_activation_pct=row.trailing_activation_pct,
            trailing_distance_pct=row.trailing_distance_pct,
            best_price=row.best_price,
            max_holding_h=row.max_holding_h,
            liquidation_price=row.liquidation_price,
            current_price=row.current_price,
            unrealized_pnl_usd=row.unrealized_pnl_usd,
            realized_pnl_usd=row.realized_pnl_usd,
            fees_usd=row.fees_usd,
            funding_usd=row.funding_usd,
            closed_at=row.closed_at,
            exit_price=row.exit_price,
            exit_reason=ExitReason(row.exit_reason) if row.exit_reason else None,
        )
        for row in rows
    ]


def _fills(conn: Connection, condition: ColumnElement[bool]) -> list[StoredFill]:
    rows = conn.execute(select(fills).where(condition).order_by(fills.c.at, fills.c.fill_id))
    return [
        StoredFill(
            id=row.id,
            order_id=row.order_id,
            position_id=row.position_id,
            fill=Fill(
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
            ),
        )
        for row in rows
    ]
