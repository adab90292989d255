"""Routing: where signals went over time, what that cost and would have cost elsewhere, and each decision's story."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import Float, cast, func, literal, select

from agentwhere_flow.pages.reading import row, rows
from agentwhere_store.tables.operations import routing_regret
from agentwhere_store.tables.routing import venue_routing_config, venue_routing_history
from agentwhere_store.tables.trading import deployments

if TYPE_CHECKING:
    from agentwhere_flow.system import System

RECENT = 100
NOWHERE = "NONE"


class Span(StrEnum):
    """How far back the page looks."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"

    @property
    def length(self) -> timedelta:
        """The whole span."""
        return _LENGTHS[self][0]

    @property
    def step(self) -> timedelta:
        """The width of one column of the chart."""
        return _LENGTHS[self][1]


_LENGTHS = {
    Span.HOUR: (timedelta(hours=1), timedelta(minutes=5)),
    Span.DAY: (timedelta(days=1), timedelta(hours=1)),
    Span.WEEK: (timedelta(weeks=1), timedelta(hours=6)),
}


def routing_page(system: System, now: datetime, span: Span) -> dict[str, Any]:
    """Return shares over time, cost and regret, the configuration in force, and the newest decisions."""
    since = now - span.length
    with system.engine.connect() as conn:
        return {
            "at": now.isoformat(),
            "since": since.isoformat(),
            "stepSeconds": int(span.step.total_seconds()),
            "config": row(
                conn,
                select(venue_routing_config).where(venue_routing_config.c.agent_id.is_(None)),
            ),
            "shares": rows(conn, _shares(since, span.step)),
            "costs": rows(conn, _costs(since)),
            "decisions": rows(conn, _decisions(since)),
        }


def _shares(since: datetime, step: timedelta) -> Any:
    history = venue_routing_history.c
    bucket = func.date_bin(step, history.created_at, literal(since)).label("at")
    venue = func.coalesce(history.selected_venue, NOWHERE).label("venue")
    return (
        select(bucket, venue, func.count().label("decisions"))
        .where(history.created_at >= since)
        .group_by(bucket, venue)
        .order_by(bucket, venue)
    )


def _costs(since: datetime) -> Any:
    """Return the query of what closed trades cost by venue and strategy, and what the cheapest alternative would."""
    history, regret = venue_routing_history.c, routing_regret.c
    selected = routing_regret.alias("selected")
    best = (
        select(regret.position_id, func.max(regret.regret_bps).label("regret_bps"))
        .where(regret.was_selected.is_(False))
        .group_by(regret.position_id)
        .subquery()
    )
    missed = func.greatest(func.coalesce(best.c.regret_bps, 0), 0)
    return (
        select(
            selected.c.venue,
            history.routing_strategy.label("strategy"),
            func.count().label("trades"),
            cast(func.avg(selected.c.cost_bps), Float).label("cost_bps"),
            cast(func.avg(missed), Float).label("regret_bps"),
            func.count().filter(missed > 0).label("beaten"),
        )
        .select_from(selected)
        .join(venue_routing_history, history.id == selected.c.routing_id)
        .outerjoin(best, best.c.position_id == selected.c.position_id)
        .where(selected.c.was_selected, selected.c.computed_at >= since)
        .group_by(selected.c.venue, history.routing_strategy)
        .order_by(selected.c.venue, history.routing_strategy)
    )


def _decisions(since: datetime) -> Any:
    history = venue_routing_history.c
    return (
        select(
            history.id,
            history.created_at,
            history.token_symbol,
            deployments.c.name.label("deployment"),
            history.requested_venue,
            history.selected_venue,
            history.routing_reason,
            history.routing_strategy,
            history.story,
            history.checked_venues,
            history.venue_availability,
            history.config_version,
            cast(history.routing_duration_ms, Float).label("routing_duration_ms"),
        )
        .join(deployments, deployments.c.id == history.deployment_id)
        .where(history.created_at >= since)
        .order_by(history.created_at.desc(), history.id.desc())
        .limit(RECENT)
    )
