"""Routing decisions as they are kept: the scene that many share, each one's row, and the legs of a split trade."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.routing import ExpectedCost, RoutingDecision, VenueAvailability
from agentwhere_core.where.record import tell_scene
from agentwhere_core.where.scene import Scene
from agentwhere_store.bulk import insert_many_ignoring_known
from agentwhere_store.tables.routing import routing_legs, routing_scenes, venue_routing_history
from agentwhere_store.tables.trading import deployments

_TOLD = (
    "requested_venue",
    "selected_venue",
    "routing_reason",
    "story",
    "checked_venues",
    "venue_availability",
    "routing_strategy",
    "config_version",
    "inputs",
)


class RoutedSignal(NamedTuple):
    """A decision about to be written to the history, with the id under which its scene is kept."""

    signal: Signal
    deployment_id: UUID
    decision: RoutingDecision
    scene_id: UUID
    margin_usd: Decimal
    duration_ms: Decimal


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision as its row, its legs and its scene tell it."""

    id: UUID
    told: Mapping[str, Any]
    scene: Mapping[str, Any] | None


def save_decisions(
    conn: Connection,
    scenes: Mapping[UUID, Scene],
    routed: Sequence[RoutedSignal],
    now: datetime,
) -> int:
    """Append decisions to the history; a decision that is already there stays. Return how many were new.

    ``scenes`` are those that the decisions refer to and that are not kept yet.
    """
    if scenes:
        conn.execute(
            insert(routing_scenes),
            [
                {
                    "id": id_,
                    "token_symbol": scene.token,
                    "scene": tell_scene(scene),
                    "created_at": now,
                }
                for id_, scene in scenes.items()
            ],
        )
    rows = [_row(item, now) for item in routed]
    new = insert_many_ignoring_known(
        conn,
        venue_routing_history,
        rows,
        known_by=("signal_id", "deployment_id", "attempt"),
    )
    _save_legs(conn, rows, routed)
    return new


def tell_decision(decision: RoutingDecision) -> dict[str, Any]:
    """Return a decision as the history keeps it, and its legs as JSON."""
    selected = decision.selected_venue
    return {
        "requested_venue": decision.requested_venue.value,
        "selected_venue": None if selected is None else selected.value,
        "routing_reason": decision.reason.value,
        "story": decision.story,
        "checked_venues": [check.venue.value for check in decision.checked],
        "venue_availability": [_availability(check) for check in decision.checked],
        "routing_strategy": decision.strategy.value,
        "config_version": decision.config_version,
        "inputs": decision.inputs,
        "legs": tell_legs(decision),
    }


def tell_legs(decision: RoutingDecision) -> list[dict[str, Any]]:
    """Return the legs of a trade that is split, and none of one that is not."""
    if len(decision.legs) < 2:
        return []
    return [
        {"leg": number, "venue": leg.venue.value, "share": str(leg.share)}
        for number, leg in enumerate(decision.legs)
    ]


def stored_decision(conn: Connection, routing_id: UUID) -> StoredDecision | None:
    """Return a decision by the id of its row, or None."""
    return next(iter(_stored(conn, [routing_id])), None)


def sample_of_decisions(
    conn: Connection, since: datetime, until: datetime, size: int
) -> list[StoredDecision]:
    """Return up to ``size`` decisions of a time, picked by the hash of their ids: the same ones each time."""
    history = venue_routing_history
    picked = conn.execute(
        select(history.c.id)
        .where(
            history.c.created_at >= since,
            history.c.created_at < until,
            history.c.scene_id.is_not(None),
        )
        .order_by(func.hashtextextended(func.cast(history.c.id, history.c.story.type), 0))
        .limit(size)
    ).scalars()
    return _stored(conn, list(picked))


def decisions_since(conn: Connection, since: datetime, limit: int = 100) -> list[dict[str, Any]]:
    """Return the newest decisions, for people."""
    history = venue_routing_history
    rows = conn.execute(
        select(
            history.c.id,
            history.c.created_at,
            history.c.token_symbol,
            history.c.requested_venue,
            history.c.selected_venue,
            history.c.routing_reason,
            history.c.checked_venues,
            history.c.story,
            history.c.routing_strategy,
            history.c.config_version,
            deployments.c.name.label("deployment"),
        )
        .join(deployments, deployments.c.id == history.c.deployment_id)
        .where(history.c.created_at >= since)
        .order_by(history.c.id.desc())
        .limit(limit)
    )
    return [dict(row._mapping) for row in rows]


def _row(item: RoutedSignal, now: datetime) -> dict[str, Any]:
    told = tell_decision(item.decision)
    del told["legs"]
    return {
        "id": new_id(),
        "signal_id": item.signal.id,
        "deployment_id": item.deployment_id,
        "attempt": 1,
        "token_symbol": item.signal.token,
        **told,
        "scene_id": item.scene_id,
        "routing_duration_ms": item.duration_ms,
        "created_at": now,
    }


def _save_legs(
    conn: Connection, rows: Sequence[Mapping[str, Any]], routed: Sequence[RoutedSignal]
) -> None:
    """Write the legs of split decisions, unless their row was there before."""
    legs = [
        {"routing_id": row["id"], **leg}
        for row, item in zip(rows, routed, strict=True)
        for leg in tell_legs(item.decision)
    ]
    if not legs:
        return
    history = venue_routing_history
    wanted = {leg["routing_id"] for leg in legs}
    written = set(conn.execute(select(history.c.id).where(history.c.id.in_(wanted))).scalars())
    new = [leg for leg in legs if leg["routing_id"] in written]
    if new:
        conn.execute(insert(routing_legs), new)


def _stored(conn: Connection, ids: Iterable[UUID]) -> list[StoredDecision]:
    history, wanted = venue_routing_history, list(ids)
    legs: dict[UUID, list[dict[str, Any]]] = {}
    for row in conn.execute(
        select(routing_legs)
        .where(routing_legs.c.routing_id.in_(wanted))
        .order_by(routing_legs.c.routing_id, routing_legs.c.leg)
    ):
        told = {"leg": row.leg, "venue": row.venue, "share": str(row.share)}
        legs.setdefault(row.routing_id, []).append(told)
    rows = conn.execute(
        select(history.c.id, routing_scenes.c.scene, *(history.c[name] for name in _TOLD))
        .outerjoin(routing_scenes, routing_scenes.c.id == history.c.scene_id)
        .where(history.c.id.in_(wanted))
        .order_by(history.c.id)
    )
    return [
        StoredDecision(
            id=row.id,
            told={name: row._mapping[name] for name in _TOLD} | {"legs": legs.get(row.id, [])},
            scene=row.scene,
        )
        for row in rows
    ]


def _availability(check: VenueAvailability) -> dict[str, Any]:
    return {
        "venue": check.venue.value,
        "available": check.is_available,
        "reason": check.reason.value,
        "detail": check.detail,
        "cost_bps": None if check.cost is None else _cost(check.cost),
    }


def _cost(cost: ExpectedCost) -> dict[str, str]:
    return {
        "taker_fee": str(cost.taker_fee_bps),
        "spread": str(cost.spread_bps),
        "impact": str(cost.impact_bps),
        "funding": str(cost.funding_bps),
        "rollover": str(cost.rollover_bps),
        "oracle": str(cost.oracle_bps),
        "close_fee": str(cost.close_fee_bps),
        "gas": str(cost.gas_bps),
        "total": str(cost.total_bps),
    }
