"""Situations to begin a test with, made by the product's own functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from agentwhere_core.domain.enums import PolicyOutcome, Side, Venue
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.trade import PolicyDecision
from agentwhere_flow.routing import route_signals
from agentwhere_flow.system import System
from agentwhere_store import agents as agent_store
from agentwhere_store import deployments as deployment_store
from agentwhere_store import policy as policy_store
from agentwhere_store import signals as signal_store
from tests.flow.world import utc_now


def place_signal(
    system: System,
    token: str,
    *,
    deployment: str,
    side: Side = Side.LONG,
    venue: Venue = Venue.MULTI,
    fund_percentage: str = "10",
    stop_loss_pct: str | None = "5",
    take_profit_pct: str | None = "10",
    max_holding_h: str | None = None,
    route: bool = True,
) -> Signal:
    """Give one deployment a signal that passed its policy, and route it unless ``route`` is False."""
    now = utc_now()
    signal = propose(
        system,
        token,
        side=side,
        venue=venue,
        fund_percentage=fund_percentage,
        stop_loss_pct=stop_loss_pct,
        take_profit_pct=take_profit_pct,
        max_holding_h=max_holding_h,
        now=now,
    )
    with system.engine.begin() as conn:
        found = next(item for item in deployment_store.deployments(conn) if item.name == deployment)
        decision = PolicyDecision(
            signal_id=signal.id,
            deployment_id=found.id,
            outcome=PolicyOutcome.PASSED,
            fund_percentage=signal.fund_percentage,
            leverage=signal.leverage,
            reasons=(),
        )
        policy_store.save_policy_decisions(conn, [decision], now)
    if route:
        route_signals(system, now)
    return signal


def propose(
    system: System,
    token: str,
    *,
    side: Side = Side.LONG,
    venue: Venue = Venue.MULTI,
    fund_percentage: str = "8",
    stop_loss_pct: str | None = "5",
    take_profit_pct: str | None = "10",
    max_holding_h: str | None = None,
    now: datetime | None = None,
) -> Signal:
    """Make a signal of the demonstration's agent, which no policy has looked at."""
    now = now or utc_now()
    with system.engine.begin() as conn:
        (agent,) = agent_store.active_agents(conn)
        signal = Signal(
            id=new_id(),
            agent_id=agent.id,
            batch=f"test {new_id()}",
            token=token,
            side=side,
            venue=venue,
            fund_percentage=Decimal(fund_percentage),
            confidence=Decimal("0.8"),
            leverage=Decimal(2),
            stop_loss_pct=_number(stop_loss_pct),
            take_profit_pct=_number(take_profit_pct),
            trailing_activation_pct=None,
            trailing_distance_pct=None,
            max_holding_h=_number(max_holding_h),
            created_at=now,
            expires_at=now + timedelta(hours=6),
            reasoning="a test wants it",
        )
        signal_store.insert_signals(conn, [signal])
    return signal


def allow_unprotected(system: System, deployment: str) -> None:
    """Let a deployment trade signals without a stop loss as they are."""
    with system.engine.begin() as conn:
        found = next(item for item in deployment_store.deployments(conn) if item.name == deployment)
        policy = replace(found.policy, allow_unprotected=True)
        deployment_store.put_policy(conn, found.id, policy, utc_now())


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
