"""Agents, deployments and signals for the store's tests, and a connection to an empty database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Connection

from agentwhere_core.domain.enums import AgentStatus, DeploymentStatus, Side, Venue
from agentwhere_core.domain.idea import Agent, Signal
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.trade import Deployment, Policy, VenueAccount
from agentwhere_store.engine import make_engine

NOW = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
BATCH = "2026-11-20T18:00Z"


@contextmanager
def connection(url: str) -> Iterator[Connection]:
    """Give a connection in a transaction that is committed at the end."""
    engine = make_engine(url)
    try:
        with engine.begin() as conn:
            yield conn
    finally:
        engine.dispose()


def agent(name: str = "Desk", status: AgentStatus = AgentStatus.ACTIVE) -> Agent:
    """Return an agent with protective stops."""
    return Agent(
        id=new_id(),
        name=name,
        creator_wallet="0x" + "1" * 40,
        venue=Venue.MULTI,
        status=status,
        leverage=Decimal(3),
        stop_loss_pct=Decimal(5),
        take_profit_pct=Decimal("10.5"),
        trailing_activation_pct=None,
        trailing_distance_pct=None,
        max_holding_h=Decimal(72),
    )


def deployment(
    agent_id: UUID,
    name: str = "bold",
    *,
    policy: Policy | None = None,
    status: DeploymentStatus = DeploymentStatus.ACTIVE,
    address: str | None = None,
) -> Deployment:
    """Return a deployment with one account of its own."""
    deployment_id = new_id()
    wallet = address or f"0x{deployment_id.hex:0>40}"
    account = VenueAccount(new_id(), deployment_id, Venue.HYPERLIQUID, wallet, wallet, "key")
    return Deployment(
        id=deployment_id,
        agent_id=agent_id,
        name=name,
        subscriber_wallet=wallet,
        capital_usd=Decimal("10000.25"),
        status=status,
        policy=policy or Policy(),
        accounts=(account,),
    )


def signal(agent_id: UUID, token: str = "BTC", *, batch: str = BATCH, ttl_h: int = 6) -> Signal:
    """Return a signal made at `NOW`."""
    post_id = new_id()
    return Signal(
        id=new_id(),
        agent_id=agent_id,
        batch=batch,
        token=token,
        side=Side.LONG,
        venue=Venue.MULTI,
        fund_percentage=Decimal("6.15"),
        confidence=Decimal("0.8"),
        leverage=Decimal(3),
        stop_loss_pct=Decimal(5),
        take_profit_pct=Decimal(10),
        trailing_activation_pct=None,
        trailing_distance_pct=None,
        max_holding_h=None,
        created_at=NOW,
        expires_at=NOW + timedelta(hours=ttl_h),
        reasoning="LONG BTC",
        source_post_ids=(post_id,),
        explanation={"posts": [{"post_id": str(post_id)}], "score": "0.58"},
    )
