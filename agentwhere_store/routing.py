"""Routing: configuration, the work to be routed, and the history of decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, exists, select
from sqlalchemy.dialects.postgresql import insert

from agentwhere_core.domain.enums import PolicyOutcome, RoutingStrategy, Side, Venue
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import PolicyDecision, RoutingConfig, RoutingDecision
from agentwhere_store.bulk import insert_many_ignoring_known
from agentwhere_store.rows import EXPIRY_LOOK_BACK, json_safe
from agentwhere_store.tables.ideas import signals
from agentwhere_store.tables.operations import kill_switches
from agentwhere_store.tables.trading import (
    deployments,
    policy_decisions,
    venue_routing_config,
    venue_routing_history,
)


@dataclass(frozen=True, slots=True)
class RoutingWork:
    """A signal that passed one deployment's policy and has no routing decision yet."""

    signal: Signal
    decision: PolicyDecision


@dataclass(frozen=True, slots=True)
class RoutedSignal:
    """A decision about to be written to the history."""

    signal: Signal
    deployment_id: UUID
    decision: RoutingDecision
    margin_usd: Decimal
    duration_ms: Decimal


@dataclass(frozen=True, slots=True)
class KillSwitches:
    """What is stopped now; ``stops`` answers for one trade."""

    is_global: bool
    agents: frozenset[UUID]
    deployments: frozenset[UUID]
    venues: frozenset[Venue]

    def stops(self, *, agent_id: UUID, deployment_id: UUID, venue: Venue) -> bool:
        """Return whether new entries of this deployment at this venue are stopped."""
        return (
            self.is_global
            or venue in self.venues
            or agent_id in self.agents
            or deployment_id in self.deployments
        )


def routing_configs(conn: Connection) -> dict[UUID | None, RoutingConfig]:
    """Return the configuration by agent; the global one stands under None."""
    return {
        row.agent_id: RoutingConfig(
            venue_priority=tuple(Venue(venue) for venue in row.venue_priority),
            routing_strategy=RoutingStrategy(row.routing_strategy),
            failover_enabled=row.failover_enabled,
            token_overrides={
                token: tuple(Venue(venue) for venue in venues)
                for token, venues in row.token_overrides.items()
            },
            version=row.version,
        )
        for row in conn.execute(select(venue_routing_config))
    }


def put_routing_config(
    conn: Connection, agent_id: UUID | None, config: RoutingConfig, now: datetime
) -> None:
    """Write the global (None) or an agent's configuration; the version goes up by one with each write."""
    values = {
        "venue_priority": [venue.value for venue in config.venue_priority],
        "routing_strategy": config.routing_strategy.value,
        "failover_enabled": config.failover_enabled,
        "token_overrides": json_safe(config.token_overrides),
        "updated_at": now,
    }
    statement = insert(venue_routing_config).values(
        id=new_id(), agent_id=agent_id, version=1, created_at=now, **values
    )
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["agent_id"],
            set_={**values, "version": venue_routing_config.c.version + 1},
        )
    )


def signal_from_row(row: Any) -> Signal:
    """Return the signal whose columns ``row`` carries."""
    return Signal(
        id=row.id,
        agent_id=row.agent_id,
        batch=row.batch,
        token=row.token,
        side=Side(row.side),
        venue=Venue(row.venue),
        fund_percentage=row.fund_percentage,
        confidence=row.confidence,
        leverage=row.leverage,
        stop_loss_pct=row.stop_loss_pct,
        take_profit_pct=row.take_profit_pct,
        trailing_activation_pct=row.trailing_activation_pct,
        trailing_distance_pct=row.trailing_distance_pct,
        max_holding_h=row.max_holding_h,
        created_at=row.created_at,
        expires_at=row.expires_at,
        reasoning=row.reasoning,
        source_post_ids=tuple(row.source_post_ids),
        explanation=row.explanation,
        quantity=row.quantity,
    )


def unrouted(conn: Connection, now: datetime, limit: int = 20_000) -> list[RoutingWork]:
    """Return signals × deployments that passed policy and have no routing decision, oldest first.

    Signals that expired lately are among them, so that their end is on record.
    """
    decided = exists().where(
        venue_routing_history.c.signal_id == policy_decisions.c.signal_id,
        venue_routing_history.c.deployment_id == policy_decisions.c.deployment_id,
    )
    rows = conn.execute(
        select(
            signals,
            policy_decisions.c.deployment_id,
            policy_decisions.c.outcome,
            policy_decisions.c.fund_percentage.label("decided_percentage"),
            policy_decisions.c.leverage.label("decided_leverage"),
            policy_decisions.c.reasons,
        )
        .join(policy_decisions, policy_decisions.c.signal_id == signals.c.id)
        .where(
            signals.c.expires_at > now - EXPIRY_LOOK_BACK,
            policy_decisions.c.outcome != PolicyOutcome.REFUSED.value,
            ~decided,
        )
        .order_by(policy_decisions.c.id)
        .limit(limit)
    )
    return [
        RoutingWork(
            signal=signal_from_row(row),
            decision=PolicyDecision(
                signal_id=row.id,
                deployment_id=row.deployment_id,
                outcome=PolicyOutcome(row.outcome),
                fund_percentage=row.decided_percentage,
                leverage=row.decided_leverage,
                reasons=tuple(Reason(code) for code in row.reasons),
            ),
        )
        for row in rows
    ]


def save_decisions(conn: Connection, routed: Sequence[RoutedSignal], now: datetime) -> int:
    """Append decisions to the history; a decision that is already there stays. Return how many were new."""
    return insert_many_ignoring_known(
        conn,
        venue_routing_history,
        [
            {
                "id": new_id(),
                "signal_id": item.signal.id,
                "deployment_id": item.deployment_id,
                "attempt": 1,
                "token_symbol": item.signal.token,
                "requested_venue": item.decision.requested_venue.value,
                "selected_venue": item.decision.selected_venue
                and item.decision.selected_venue.value,
                "routing_reason": item.decision.reason.value,
                "story": item.decision.story,
                "checked_venues": [check.venue.value for check in item.decision.checked],
                "venue_availability": [_availability(check) for check in item.decision.checked],
                "routing_strategy": item.decision.strategy.value,
                "config_version": item.decision.config_version,
                "inputs": item.decision.inputs,
                "routing_duration_ms": item.duration_ms,
                "created_at": now,
            }
            for item in routed
        ],
        known_by=("signal_id", "deployment_id", "attempt"),
    )


def _availability(check: Any) -> dict[str, Any]:
    cost = check.cost
    return {
        "venue": check.venue.value,
        "available": check.is_available,
        "reason": check.reason.value,
        "detail": check.detail,
        "cost_bps": None
        if cost is None
        else {
            "taker_fee": str(cost.taker_fee_bps),
            "spread": str(cost.spread_bps),
            "impact": str(cost.impact_bps),
            "funding": str(cost.funding_bps),
            "fixed": str(cost.fixed_bps),
            "total": str(cost.total_bps),
        },
    }


def engaged_switches(conn: Connection) -> KillSwitches:
    """Return every kill switch that is engaged now."""
    rows = list(
        conn.execute(
            select(kill_switches.c.scope, kill_switches.c.target).where(
                kill_switches.c.released_at.is_(None)
            )
        )
    )
    return KillSwitches(
        is_global=any(row.scope == "GLOBAL" for row in rows),
        agents=frozenset(UUID(row.target) for row in rows if row.scope == "AGENT"),
        deployments=frozenset(UUID(row.target) for row in rows if row.scope == "DEPLOYMENT"),
        venues=frozenset(Venue(row.target) for row in rows if row.scope == "VENUE"),
    )


def decisions_since(conn: Connection, since: datetime, limit: int = 100) -> list[dict[str, Any]]:
    """Return the newest decisions, for people."""
    rows = conn.execute(
        select(
            venue_routing_history.c.created_at,
            venue_routing_history.c.token_symbol,
            venue_routing_history.c.requested_venue,
            venue_routing_history.c.selected_venue,
            venue_routing_history.c.routing_reason,
            venue_routing_history.c.checked_venues,
            venue_routing_history.c.story,
            deployments.c.name.label("deployment"),
        )
        .join(deployments, deployments.c.id == venue_routing_history.c.deployment_id)
        .where(venue_routing_history.c.created_at >= since)
        .order_by(venue_routing_history.c.id.desc())
        .limit(limit)
    )
    return [dict(row._mapping) for row in rows]
