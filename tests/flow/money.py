"""Money as tests put it into the tables: agents, deployments, and positions folded from fills of known prices."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert

from agentwhere_core.domain.enums import (
    AgentStatus,
    DeploymentStatus,
    ExitReason,
    OrderSide,
    PositionStatus,
    ProtectionState,
    Side,
    Venue,
)
from agentwhere_core.domain.idea import Agent
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.trade import Deployment, Fill, Position, VenueAccount
from agentwhere_core.execution.positions import fold, mark
from agentwhere_store import agents as agent_store
from agentwhere_store import deployments as deployment_store
from agentwhere_store import fills as fill_store
from agentwhere_store import positions as position_store
from agentwhere_store.agents import FollowedSources
from agentwhere_store.marks import Mark, save_marks
from agentwhere_store.tables.operations import capital_flows


@dataclass
class Desk:
    """A deployment with one account per venue."""

    agent_id: UUID
    deployment: Deployment
    accounts: dict[Venue, VenueAccount] = field(default_factory=dict)


def open_agent(conn: Connection, name: str, now: datetime, venue: Venue = Venue.MULTI) -> UUID:
    """Write an active agent that follows nobody, and return its id."""
    agent = Agent(
        id=new_id(),
        name=name,
        creator_wallet="0xcreator",
        venue=venue,
        status=AgentStatus.ACTIVE,
        leverage=Decimal(1),
        stop_loss_pct=None,
        take_profit_pct=None,
        trailing_activation_pct=None,
        trailing_distance_pct=None,
        max_holding_h=None,
    )
    agent_store.create_agent(conn, agent, FollowedSources(), now)
    return agent.id


def deploy(conn: Connection, agent_id: UUID, capital: int, now: datetime, name: str = "a") -> Desk:
    """Write a deployment with accounts on Hyperliquid and Ostium."""
    deployment_id = new_id()
    accounts = {
        venue: VenueAccount(
            id=new_id(),
            deployment_id=deployment_id,
            venue=venue,
            address=f"0x{new_id().hex}",
            signer_address="0xsigner",
            key_name="none",
        )
        for venue in (Venue.HYPERLIQUID, Venue.OSTIUM)
    }
    deployment = Deployment(
        id=deployment_id,
        agent_id=agent_id,
        name=name,
        subscriber_wallet="0xsubscriber",
        capital_usd=Decimal(capital),
        status=DeploymentStatus.ACTIVE,
        accounts=tuple(accounts.values()),
    )
    deployment_store.create_deployment(conn, deployment, now)
    return Desk(agent_id, deployment, accounts)


def trade(
    conn: Connection,
    desk: Desk,
    entry: tuple[datetime, str],
    leave: tuple[datetime, str] | None = None,
    *,
    price_now: str | None = None,
    size: str = "1",
    fee: str = "0",
    funding: str = "0",
    venue: Venue = Venue.HYPERLIQUID,
    signal_id: UUID | None = None,
) -> Position:
    """Buy at ``entry``, sell at ``leave`` (time and price), and fold the fills into a position.

    Each fill pays ``fee``; the position received ``funding``. Without ``leave`` it stays open, marked at ``price_now``.
    """
    account, token = desk.accounts[venue], f"T{new_id().hex[-12:]}"
    moves = [(OrderSide.BUY, entry), *([(OrderSide.SELL, leave)] if leave else [])]
    fills = [
        Fill(
            venue=venue,
            account_id=account.id,
            fill_id=new_id().hex,
            venue_order_id="1",
            client_id=None,
            token=token,
            market_name=token,
            side=side,
            size=Decimal(size),
            price=Decimal(price),
            fee_usd=Decimal(fee),
            closed_pnl_usd=Decimal(0),
            at=at,
            is_liquidation=False,
            raw={},
        )
        for side, (at, price) in moves
    ]
    now = fills[-1].at
    fill_store.insert_fills(conn, account.id, fills, now)
    state = fold(fills)
    position = Position(
        id=new_id(),
        deployment_id=desk.deployment.id,
        agent_id=desk.agent_id,
        account_id=account.id,
        signal_id=signal_id,
        venue=venue,
        token=token,
        market_name=token,
        side=Side.LONG,
        size=state.size,
        entry_price=state.entry_price,
        leverage=Decimal(1),
        status=PositionStatus.CLOSED if leave else PositionStatus.OPEN,
        opened_at=fills[0].at,
        realized_pnl_usd=state.realized_pnl_usd,
        fees_usd=state.fees_usd,
        closed_at=state.closed_at,
        exit_price=state.exit_price,
        exit_reason=ExitReason.MANUAL if leave else None,
        protection=ProtectionState.WAIVED,
    )
    position_store.save_position(conn, position, now)
    fill_store.assign_fills(conn, account.id, [f.fill_id for f in fills], position.id)
    if price_now is not None:
        mark_at(conn, position, price_now, now)
    if funding != "0":
        receive_funding(conn, position, funding)
    return position


def mark_at(conn: Connection, position: Position, price: str, now: datetime) -> None:
    """Mark an open position, as the monitor does."""
    worth = Mark(position.id, Decimal(price), mark(position, Decimal(price)), None, None)
    save_marks(conn, [worth], now)


def receive_funding(conn: Connection, position: Position, amount: str) -> None:
    """Let a position receive funding; negative when paid."""
    from sqlalchemy import update

    from agentwhere_store.tables.trading import positions

    conn.execute(
        update(positions)
        .where(positions.c.id == position.id)
        .values(funding_usd=positions.c.funding_usd + Decimal(amount))
    )


def move_capital(conn: Connection, desk: Desk, amount: int, at: datetime) -> None:
    """Put money into a deployment, or take it out."""
    conn.execute(
        insert(capital_flows).values(
            id=new_id(),
            deployment_id=desk.deployment.id,
            amount_usd=Decimal(amount),
            reference=new_id().hex,
            at=at,
        )
    )


def as_dict(row: Any) -> dict[str, Any]:
    """Return a row by column name."""
    return dict(row._mapping)
