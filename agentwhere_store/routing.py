"""Routing: configuration with its versions, the work to be routed, and what is stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, exists, select
from sqlalchemy.dialects.postgresql import insert

from agentwhere_core.domain.enums import PolicyOutcome, RoutingStrategy, Side, Venue
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.routing import RoutingConfig
from agentwhere_core.domain.sharding import WHOLE, Shard
from agentwhere_core.domain.trade import PolicyDecision
from agentwhere_core.where.config import validate_config
from agentwhere_store.rows import EXPIRY_LOOK_BACK, json_safe, of_shard
from agentwhere_store.tables.ideas import signals
from agentwhere_store.tables.operations import kill_switches
from agentwhere_store.tables.routing import (
    routing_config_versions,
    venue_routing_config,
    venue_routing_history,
)
from agentwhere_store.tables.trading import policy_decisions


@dataclass(frozen=True, slots=True)
class RoutingWork:
    """A signal that passed one deployment's policy and has no routing decision yet."""

    signal: Signal
    decision: PolicyDecision


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """A configuration as it once stood: who wrote it, and when."""

    config: RoutingConfig
    author: str
    at: datetime


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
    rows = conn.execute(select(venue_routing_config))
    return {row.agent_id: _config(row) for row in rows}


def put_routing_config(
    conn: Connection,
    agent_id: UUID | None,
    config: RoutingConfig,
    now: datetime,
    *,
    author: str = "system",
) -> int:
    """Write the global (None) or an agent's configuration, keep it among its versions, and return its version.

    The version goes up by one with each write, whatever ``config`` says of it.

    Raises
    ------
    ConfigurationError
        If the configuration cannot work; nothing is written.
    """
    validate_config(config)
    values = {
        "venue_priority": [venue.value for venue in config.venue_priority],
        "routing_strategy": config.routing_strategy.value,
        "failover_enabled": config.failover_enabled,
        "token_overrides": json_safe(config.token_overrides),
        "token_exclusions": json_safe(config.token_exclusions),
    }
    statement = insert(venue_routing_config).values(
        id=new_id(), agent_id=agent_id, version=1, created_at=now, updated_at=now, **values
    )
    version = conn.execute(
        statement.on_conflict_do_update(
            index_elements=["agent_id"],
            set_={
                **values,
                "updated_at": now,
                "version": venue_routing_config.c.version + 1,
            },
        ).returning(venue_routing_config.c.version)
    ).scalar_one()
    conn.execute(
        insert(routing_config_versions).values(
            id=new_id(),
            agent_id=agent_id,
            version=version,
            author=author,
            created_at=now,
            **values,
        )
    )
    return int(version)


def config_versions(conn: Connection, agent_id: UUID | None) -> list[ConfigVersion]:
    """Return every configuration that an agent (None: the whole system) ever had, newest first."""
    table = routing_config_versions
    rows = conn.execute(
        select(table)
        .where(table.c.agent_id.is_not_distinct_from(agent_id))
        .order_by(table.c.version.desc())
    )
    return [ConfigVersion(_config(row), row.author, row.created_at) for row in rows]


def _config(row: Any) -> RoutingConfig:
    return RoutingConfig(
        venue_priority=tuple(Venue(venue) for venue in row.venue_priority),
        routing_strategy=RoutingStrategy(row.routing_strategy),
        failover_enabled=row.failover_enabled,
        token_overrides=_by_token(row.token_overrides),
        version=row.version,
        token_exclusions=_by_token(row.token_exclusions),
    )


def _by_token(lists: Mapping[str, Sequence[str]]) -> dict[str, tuple[Venue, ...]]:
    return {token: tuple(Venue(venue) for venue in venues) for token, venues in lists.items()}


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


def unrouted(
    conn: Connection, now: datetime, limit: int = 20_000, *, shard: Shard = WHOLE
) -> list[RoutingWork]:
    """Return a shard's signals × deployments that passed policy and have no routing decision, oldest first.

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
            of_shard(policy_decisions.c.deployment_id, shard),
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
