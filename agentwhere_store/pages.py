"""Lists as people page through them: newest first, continued after the last one they saw.

Keys are UUIDv7, so that the order of keys is the order of making; a page costs the same however far back it lies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, func, select

from agentwhere_core.domain.enums import PositionStatus
from agentwhere_store.positions import PROTECTION
from agentwhere_store.tables.ideas import agents, posts, research_sources, signals, x_accounts
from agentwhere_store.tables.operations import alerts, health_reports, source_scores
from agentwhere_store.tables.routing import venue_routing_history
from agentwhere_store.tables.trading import (
    deployments,
    order_events,
    orders,
    policies,
    policy_decisions,
    position_events,
    positions,
    venue_accounts,
)

Row = dict[str, Any]
Filters = Mapping[str, Any]
"""Column name → wanted value; None asks for all."""


def signal_page(conn: Connection, wanted: Filters, before: UUID | None, limit: int) -> list[Row]:
    """Return signals with the names of their agents."""
    columns = [column for column in signals.c if column.name != "explanation"]
    query = select(*columns, agents.c.name.label("agent")).join(
        agents, agents.c.id == signals.c.agent_id
    )
    return _page(conn, query, signals, wanted, before, limit)


def signal_story(conn: Connection, signal_id: UUID) -> Row | None:
    """Return a signal with its explanation, the posts it rests on, and what became of it, or None."""
    found = _one(
        conn,
        select(signals, agents.c.name.label("agent"))
        .join(agents, agents.c.id == signals.c.agent_id)
        .where(signals.c.id == signal_id),
    )
    if found is None:
        return None
    history, decided = venue_routing_history, policy_decisions
    found["posts"] = _rows(
        conn,
        select(posts.c.id, posts.c.text, posts.c.url, posts.c.published_at, posts.c.source_kind)
        .where(posts.c.id.in_(found["source_post_ids"]))
        .order_by(posts.c.published_at),
    )
    found["policy_decisions"] = _rows(
        conn,
        select(
            decided.c.deployment_id,
            deployments.c.name.label("deployment"),
            decided.c.outcome,
            decided.c.fund_percentage,
            decided.c.leverage,
            decided.c.reasons,
            decided.c.created_at,
        )
        .join(deployments, deployments.c.id == decided.c.deployment_id)
        .where(decided.c.signal_id == signal_id)
        .order_by(decided.c.id),
    )
    found["routing"] = _rows(
        conn,
        select(
            history.c.id,
            history.c.deployment_id,
            history.c.attempt,
            history.c.selected_venue,
            history.c.routing_reason,
            history.c.story,
            history.c.created_at,
        )
        .where(history.c.signal_id == signal_id)
        .order_by(history.c.id),
    )
    found["orders"] = _rows(
        conn, _orders().where(orders.c.signal_id == signal_id).order_by(orders.c.id)
    )
    return found


def order_page(conn: Connection, wanted: Filters, before: UUID | None, limit: int) -> list[Row]:
    """Return orders with the names of their deployments."""
    return _page(conn, _orders(), orders, wanted, before, limit)


def order_story(conn: Connection, order_id: UUID) -> Row | None:
    """Return an order with every move that it made, or None."""
    found = _one(conn, _orders().where(orders.c.id == order_id))
    if found is not None:
        found["events"] = _rows(
            conn,
            select(
                order_events.c.at,
                order_events.c.from_state,
                order_events.c.to_state,
                order_events.c.reason,
                order_events.c.detail,
            )
            .where(order_events.c.order_id == order_id)
            .order_by(order_events.c.id),
        )
    return found


def position_page(conn: Connection, wanted: Filters, before: UUID | None, limit: int) -> list[Row]:
    """Return positions with the state of their protection."""
    return _page(conn, _positions(), positions, wanted, before, limit)


def position_story(conn: Connection, position_id: UUID) -> Row | None:
    """Return a position with everything that happened to it, or None."""
    found = _one(conn, _positions().where(positions.c.id == position_id))
    if found is not None:
        found["events"] = _rows(
            conn,
            select(
                position_events.c.at,
                position_events.c.kind,
                position_events.c.detail,
                position_events.c.evidence,
            )
            .where(position_events.c.position_id == position_id)
            .order_by(position_events.c.id),
        )
    return found


def alert_page(
    conn: Connection, *, is_open: bool | None, before: UUID | None, limit: int
) -> list[Row]:
    """Return alerts: open ones, ended ones, or all."""
    query = select(alerts)
    if is_open is not None:
        query = query.where(alerts.c.closed_at.is_(None) == is_open)
    return _page(conn, query, alerts, {}, before, limit)


def alert_row(conn: Connection, alert_id: UUID) -> Row | None:
    """Return one alert, or None."""
    return _one(conn, select(alerts).where(alerts.c.id == alert_id))


def health_page(conn: Connection, before: UUID | None, limit: int) -> list[Row]:
    """Return health reports that were kept, with the status of each venue and the recommendations."""
    query = select(
        health_reports.c.id,
        health_reports.c.at,
        health_reports.c.status,
        health_reports.c.report["recommendations"].label("recommendations"),
        health_reports.c.report["venues"].label("venues"),
    )
    return _page(conn, query, health_reports, {}, before, limit)


def deployment_rows(
    conn: Connection, agent_id: UUID | None, deployment_id: UUID | None
) -> list[Row]:
    """Return deployments with agent, policy's version, accounts and open positions; no names of keys."""
    held = (
        select(
            positions.c.deployment_id,
            func.count().label("open_positions"),
            func.sum(positions.c.unrealized_pnl_usd).label("unrealized_pnl_usd"),
        )
        .where(positions.c.status == PositionStatus.OPEN.value)
        .group_by(positions.c.deployment_id)
        .subquery()
    )
    query = (
        select(
            deployments,
            agents.c.name.label("agent"),
            policies.c.version.label("policy_version"),
            func.coalesce(held.c.open_positions, 0).label("open_positions"),
            func.coalesce(held.c.unrealized_pnl_usd, 0).label("unrealized_pnl_usd"),
        )
        .join(agents, agents.c.id == deployments.c.agent_id)
        .outerjoin(policies, policies.c.deployment_id == deployments.c.id)
        .outerjoin(held, held.c.deployment_id == deployments.c.id)
        .order_by(deployments.c.id.desc())
    )
    if agent_id is not None:
        query = query.where(deployments.c.agent_id == agent_id)
    if deployment_id is not None:
        query = query.where(deployments.c.id == deployment_id)
    return _rows(conn, query)


def account_rows(conn: Connection, deployment_ids: list[UUID]) -> list[Row]:
    """Return the accounts of deployments, with the money that was last seen there."""
    a = venue_accounts.c
    return _rows(
        conn,
        select(
            a.deployment_id,
            a.venue,
            a.address,
            a.is_enabled,
            a.equity_usd,
            a.free_margin_usd,
            a.last_queried,
        )
        .where(a.deployment_id.in_(deployment_ids))
        .order_by(a.venue),
    )


def source_rows(conn: Connection) -> list[Row]:
    """Return the track record of each source, the heaviest first."""
    score = source_scores
    query = (
        select(
            score,
            func.coalesce(x_accounts.c.handle, research_sources.c.url).label("name"),
        )
        .outerjoin(x_accounts, x_accounts.c.id == score.c.source_id)
        .outerjoin(research_sources, research_sources.c.id == score.c.source_id)
        .order_by(score.c.weight.desc(), score.c.source_id)
    )
    return _rows(conn, query)


def _orders() -> Select[Any]:
    return select(orders, deployments.c.name.label("deployment")).join(
        deployments, deployments.c.id == orders.c.deployment_id
    )


def _positions() -> Select[Any]:
    """Select positions; how one is protected is told while it is open."""
    kept = [
        column for column in positions.c if column.name not in {told.name for told in PROTECTION}
    ]
    return (
        select(
            *kept,
            *PROTECTION,
            agents.c.name.label("agent"),
            deployments.c.name.label("deployment"),
        )
        .join(agents, agents.c.id == positions.c.agent_id)
        .join(deployments, deployments.c.id == positions.c.deployment_id)
    )


def _page(  # noqa: PLR0917 - a query, what it is about, and where the page begins and ends
    conn: Connection,
    query: Select[Any],
    table: Any,
    wanted: Filters,
    before: UUID | None,
    limit: int,
) -> list[Row]:
    conditions: list[ColumnElement[bool]] = [
        table.c[name] == value for name, value in wanted.items() if value is not None
    ]
    if before is not None:
        conditions.append(table.c.id < before)
    return _rows(conn, query.where(*conditions).order_by(table.c.id.desc()).limit(limit))


def _rows(conn: Connection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in conn.execute(query).mappings()]


def _one(conn: Connection, query: Select[Any]) -> Row | None:
    row = conn.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)
