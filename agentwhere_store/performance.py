"""Performance: equity by day, and what follows from it for agents, sources and routing.

Equity is kept as cumulative profit per (deployment, venue, UTC day), so that the last snapshot of a day is that day's
close, and a missing day is one on which nothing was looked at.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from agentwhere_store.tables.operations import equity_daily
from agentwhere_store.tables.trading import positions


def snapshot_equity(conn: Connection, now: datetime) -> int:
    """Write today's cumulative profit of every (deployment, venue) that ever held a position.

    Realized and unrealized PnL are before costs; fees are positive when paid, funding is positive when received.

    Returns
    -------
    int
        How many (deployment, venue) pairs were written.
    """
    totals = select(
        positions.c.deployment_id,
        positions.c.venue,
        literal(now.astimezone(UTC).date()).label("day"),
        func.sum(positions.c.realized_pnl_usd),
        func.sum(positions.c.unrealized_pnl_usd),
        func.sum(positions.c.fees_usd),
        func.sum(positions.c.funding_usd),
        literal(now).label("updated_at"),
    ).group_by(positions.c.deployment_id, positions.c.venue)
    figures = ["realized_pnl_usd", "unrealized_pnl_usd", "fees_usd", "funding_usd", "updated_at"]
    statement = insert(equity_daily).from_select(
        ["deployment_id", "venue", "day", *figures], totals
    )
    written = conn.execute(
        statement.on_conflict_do_update(
            index_elements=["deployment_id", "venue", "day"],
            set_={name: statement.excluded[name] for name in figures},
        )
    )
    return written.rowcount
