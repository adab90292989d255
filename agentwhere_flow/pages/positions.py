"""Positions and orders: what is held and how it is protected, and what was ordered."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from agentwhere_core.domain.enums import PositionStatus
from agentwhere_flow.pages.reading import rows
from agentwhere_store.positions import PROTECTION
from agentwhere_store.tables.ideas import agents
from agentwhere_store.tables.trading import deployments, orders, positions

if TYPE_CHECKING:
    from agentwhere_flow.system import System

CLOSED_WITHIN = timedelta(days=7)
MOST_OPEN = 500
MOST_CLOSED = 100
MOST_ORDERS = 100

POSITIONS = (
    select(
        positions.c.id,
        positions.c.agent_id,
        agents.c.name.label("agent"),
        deployments.c.name.label("deployment"),
        positions.c.venue,
        positions.c.token_symbol.label("token"),
        positions.c.side,
        positions.c.status,
        positions.c.size,
        positions.c.peak_size,
        positions.c.entry_price,
        positions.c.current_price,
        positions.c.leverage,
        positions.c.stop_loss_price,
        positions.c.take_profit_price,
        positions.c.liquidation_price,
        positions.c.unrealized_pnl_usd,
        positions.c.realized_pnl_usd,
        positions.c.fees_usd,
        positions.c.funding_usd,
        positions.c.exit_reason,
        positions.c.exit_price,
        positions.c.opened_at,
        positions.c.closed_at,
        positions.c.last_marked,
        *PROTECTION,
    )
    .join(agents, agents.c.id == positions.c.agent_id)
    .join(deployments, deployments.c.id == positions.c.deployment_id)
)
"""Positions as every page shows them."""


def positions_page(system: System, now: datetime) -> dict[str, Any]:
    """Return open positions, those that closed within a week, and the newest orders."""
    is_open = positions.c.status == PositionStatus.OPEN.value
    with system.engine.connect() as conn:
        return {
            "at": now.isoformat(),
            "open": rows(
                conn,
                POSITIONS.where(is_open).order_by(positions.c.opened_at.desc()).limit(MOST_OPEN),
            ),
            "openTotal": conn.execute(select(func.count()).where(is_open)).scalar_one(),
            "closed": rows(
                conn,
                POSITIONS.where(positions.c.closed_at > now - CLOSED_WITHIN)
                .order_by(positions.c.closed_at.desc())
                .limit(MOST_CLOSED),
            ),
            "orders": rows(conn, _ORDERS),
        }


_ORDERS = (
    select(
        orders.c.id,
        orders.c.created_at,
        deployments.c.name.label("deployment"),
        orders.c.venue,
        orders.c.token_symbol.label("token"),
        orders.c.purpose,
        orders.c.side,
        orders.c.size,
        orders.c.filled_size,
        orders.c.average_price,
        orders.c.limit_price,
        orders.c.trigger_price,
        orders.c.state,
        orders.c.reason,
        orders.c.detail,
    )
    .join(deployments, deployments.c.id == orders.c.deployment_id)
    .order_by(orders.c.created_at.desc(), orders.c.id.desc())
    .limit(MOST_ORDERS)
)
