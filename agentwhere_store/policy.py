"""What each deployment's policy has to decide on, what it decided, and on which days losses stopped it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Numeric, Select, cast, exists, func, select
from sqlalchemy.dialects.postgresql import distinct_on, insert

from agentwhere_core.domain.enums import (
    DeploymentStatus,
    OrderState,
    PolicyOutcome,
    PositionStatus,
    Venue,
)
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.sharding import WHOLE, Shard
from agentwhere_core.domain.trade import PolicyDecision
from agentwhere_core.how.book import Book, Engagement
from agentwhere_store.bulk import insert_many_ignoring_known
from agentwhere_store.performance import net_profit
from agentwhere_store.routing import signal_from_row
from agentwhere_store.rows import EXPIRY_LOOK_BACK, of_shard
from agentwhere_store.tables.ideas import signals
from agentwhere_store.tables.operations import capital_flows, equity_daily
from agentwhere_store.tables.routing import venue_routing_history
from agentwhere_store.tables.trading import (
    deployment_halts,
    deployments,
    orders,
    policies,
    policy_decisions,
    positions,
)


@dataclass(frozen=True, slots=True)
class PolicyWork:
    """A signal that one deployment's policy has not looked at yet."""

    signal: Signal
    deployment_id: UUID


@dataclass(frozen=True, slots=True)
class LimitedDay:
    """How the day went so far for a deployment whose policy limits its daily loss.

    Parameters
    ----------
    pnl_usd
        Realized and unrealized profit since midnight UTC, less fees, plus funding, by the latest marks.
    limit_usd
        How much it may lose: the policy's share of its equity at midnight; 0 if there was none.
    """

    deployment_id: UUID
    name: str
    pnl_usd: Decimal
    limit_usd: Decimal

    @property
    def is_lost(self) -> bool:
        """Whether the losses reached the limit."""
        return self.pnl_usd <= -self.limit_usd


def undecided(conn: Connection, now: datetime, *, shard: Shard = WHOLE) -> list[PolicyWork]:
    """Return signals × a shard's active deployments of their agents that have no policy decision, oldest first.

    Signals that expired lately are among them, so that what became of them is decided and on record.
    """
    decided = exists().where(
        policy_decisions.c.signal_id == signals.c.id,
        policy_decisions.c.deployment_id == deployments.c.id,
    )
    recent = signals.c.expires_at > now - EXPIRY_LOOK_BACK
    by_id = {row.id: signal_from_row(row) for row in conn.execute(select(signals).where(recent))}
    pairs = conn.execute(
        select(signals.c.id, deployments.c.id)
        .join(deployments, deployments.c.agent_id == signals.c.agent_id)
        .where(
            recent,
            deployments.c.status == DeploymentStatus.ACTIVE.value,
            deployments.c.created_at < signals.c.expires_at,
            ~decided,
            of_shard(deployments.c.id, shard),
        )
        .order_by(signals.c.id, deployments.c.id)
    )
    return [
        PolicyWork(by_id[signal], deployment) for signal, deployment in pairs if signal in by_id
    ]


def books(
    conn: Connection, deployment_ids: Collection[UUID], now: datetime, traded_since: datetime
) -> dict[UUID, Book]:
    """Return what deployments hold and may still open, and which tokens they traded after ``traded_since``.

    A signal that was let through counts until it expires, unless its routing found no venue or its entry was filled:
    then the position itself says whether it is open. A refused order counts too, because it may be tried again.
    """
    ids = list(deployment_ids)
    engaged: dict[UUID, list[Engagement]] = defaultdict(list)
    for deployment_id, token, venue, exposure in conn.execute(_engagements(ids, now)):
        known = Venue(venue) if venue is not None and venue != Venue.MULTI else None
        engaged[deployment_id].append(Engagement(token, known, exposure))
    traded: dict[UUID, dict[str, datetime]] = defaultdict(dict)
    at = func.coalesce(positions.c.closed_at, positions.c.opened_at)
    latest = (
        select(positions.c.deployment_id, positions.c.token_symbol, func.max(at))
        .where(positions.c.deployment_id == func.any(ids), at > traded_since)
        .group_by(positions.c.deployment_id, positions.c.token_symbol)
    )
    for deployment_id, token, moment in conn.execute(latest):
        traded[deployment_id][token] = moment.astimezone(UTC)
    stopped = halted(conn, ids, now)
    return {
        id_: Book(
            engagements=tuple(engaged.get(id_, ())),
            last_traded=traded.get(id_, {}),
            is_halted=id_ in stopped,
        )
        for id_ in ids
    }


def save_policy_decisions(
    conn: Connection, decisions: Sequence[PolicyDecision], now: datetime
) -> int:
    """Store decisions; the first for a signal and deployment stays. Return how many were new."""
    return insert_many_ignoring_known(
        conn,
        policy_decisions,
        [
            {
                "id": new_id(),
                "signal_id": decision.signal_id,
                "deployment_id": decision.deployment_id,
                "outcome": decision.outcome.value,
                "fund_percentage": decision.fund_percentage,
                "leverage": decision.leverage,
                "reasons": [reason.value for reason in decision.reasons],
                "created_at": now,
            }
            for decision in decisions
        ],
        known_by=("signal_id", "deployment_id"),
    )


def limited_days(conn: Connection, now: datetime) -> list[LimitedDay]:
    """Return how today, the UTC day of ``now``, went so far for each deployment whose policy limits its loss."""
    today = _day(now)
    limit_pct = cast(policies.c.rules["daily_loss_limit_pct"].astext, Numeric)
    limited = select(policies.c.deployment_id).where(limit_pct.is_not(None))
    total = (
        select(positions.c.deployment_id, func.sum(net_profit(positions)).label("usd"))
        .where(positions.c.deployment_id.in_(limited))
        .group_by(positions.c.deployment_id)
        .subquery()
    )
    latest = (
        select(equity_daily.c.deployment_id, net_profit(equity_daily).label("usd"))
        .ext(distinct_on(equity_daily.c.deployment_id, equity_daily.c.venue))
        .where(equity_daily.c.day < today, equity_daily.c.deployment_id.in_(limited))
        .order_by(equity_daily.c.deployment_id, equity_daily.c.venue, equity_daily.c.day.desc())
        .subquery()
    )
    before = (
        select(latest.c.deployment_id, func.sum(latest.c.usd).label("usd"))
        .group_by(latest.c.deployment_id)
        .subquery()
    )
    moved = (
        select(capital_flows.c.deployment_id, func.sum(capital_flows.c.amount_usd).label("usd"))
        .where(capital_flows.c.at <= now)
        .group_by(capital_flows.c.deployment_id)
        .subquery()
    )
    earned = func.coalesce(before.c.usd, 0)
    at_start = deployments.c.capital_usd + func.coalesce(moved.c.usd, 0) + earned
    rows = conn.execute(
        select(
            deployments.c.id,
            deployments.c.name,
            func.coalesce(total.c.usd, 0) - earned,
            func.greatest(at_start, 0) * limit_pct / 100,
        )
        .join(policies, policies.c.deployment_id == deployments.c.id)
        .outerjoin(total, total.c.deployment_id == deployments.c.id)
        .outerjoin(before, before.c.deployment_id == deployments.c.id)
        .outerjoin(moved, moved.c.deployment_id == deployments.c.id)
        .where(limit_pct.is_not(None))
    )
    return [LimitedDay(*row) for row in rows]


def halted(conn: Connection, deployment_ids: Collection[UUID], now: datetime) -> frozenset[UUID]:
    """Return which of the deployments were stopped on the UTC day of ``now``."""
    rows = conn.execute(
        select(deployment_halts.c.deployment_id).where(
            deployment_halts.c.day == _day(now),
            deployment_halts.c.deployment_id == func.any(list(deployment_ids)),
        )
    )
    return frozenset(rows.scalars())


def halt_today(conn: Connection, lost: LimitedDay, now: datetime) -> None:
    """Stop a deployment's entries for the rest of the UTC day; once stopped, it stays so."""
    conn.execute(
        insert(deployment_halts)
        .values(
            deployment_id=lost.deployment_id,
            day=_day(now),
            pnl_usd=lost.pnl_usd,
            limit_usd=lost.limit_usd,
            at=now,
        )
        .on_conflict_do_nothing()
    )


def _engagements(ids: Sequence[UUID], now: datetime) -> Select[Any]:
    """Select (deployment, token, venue, exposure in percent of capital), one row per deployment, token and venue."""
    was_filled = exists().where(
        orders.c.signal_id == policy_decisions.c.signal_id,
        orders.c.deployment_id == policy_decisions.c.deployment_id,
        orders.c.state == OrderState.FILLED.value,
    )
    price = func.coalesce(positions.c.current_price, positions.c.entry_price)
    held = (
        select(
            positions.c.deployment_id,
            positions.c.token_symbol.label("token"),
            positions.c.venue.label("venue"),
            (positions.c.size * price * 100 / deployments.c.capital_usd).label("exposure"),
        )
        .join(deployments, deployments.c.id == positions.c.deployment_id)
        .where(
            positions.c.status == PositionStatus.OPEN.value,
            positions.c.deployment_id == func.any(ids),
        )
    )
    coming = (
        select(
            policy_decisions.c.deployment_id,
            signals.c.token,
            func.coalesce(venue_routing_history.c.selected_venue, signals.c.venue),
            policy_decisions.c.fund_percentage * policy_decisions.c.leverage,
        )
        .join(signals, signals.c.id == policy_decisions.c.signal_id)
        .outerjoin(
            venue_routing_history,
            (venue_routing_history.c.signal_id == policy_decisions.c.signal_id)
            & (venue_routing_history.c.deployment_id == policy_decisions.c.deployment_id),
        )
        .where(
            policy_decisions.c.deployment_id == func.any(ids),
            signals.c.expires_at > now,
            policy_decisions.c.outcome != PolicyOutcome.REFUSED.value,
            venue_routing_history.c.id.is_(None)
            | venue_routing_history.c.selected_venue.is_not(None),
            ~was_filled,
        )
    )
    both = held.union_all(coming).subquery()
    # An entry that is partly filled stands in both; the larger of the two is what it may come to.
    return select(
        both.c.deployment_id, both.c.token, both.c.venue, func.max(both.c.exposure)
    ).group_by(both.c.deployment_id, both.c.token, both.c.venue)


def _day(now: datetime) -> date:
    return now.astimezone(UTC).date()
