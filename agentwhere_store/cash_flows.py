"""Cash flows: funding, deposits and withdrawals, stored once; funding is linked to the position that it is paid for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Connection, func, or_, select, update

from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.trade import CashFlow
from agentwhere_store.rows import insert_ignoring_known
from agentwhere_store.tables.trading import cash_flows, positions


def insert_cash_flows(
    conn: Connection, account_id: UUID, new: Sequence[CashFlow], now: datetime
) -> int:
    """Store cash flows that are not known yet, funding linked to the position that was open then."""
    count = insert_ignoring_known(
        conn,
        cash_flows,
        [
            {
                "id": new_id(),
                "venue": flow.venue.value,
                "account_id": account_id,
                "reference": flow.reference,
                "kind": flow.kind,
                "token_symbol": flow.token,
                "amount_usd": flow.amount_usd,
                "at": flow.at,
                "recorded_at": now,
            }
            for flow in new
        ],
        known_by=("venue", "account_id", "reference"),
    )
    if count:
        conn.execute(
            update(cash_flows)
            .where(
                cash_flows.c.account_id == account_id,
                cash_flows.c.position_id.is_(None),
                cash_flows.c.kind == "FUNDING",
                positions.c.account_id == cash_flows.c.account_id,
                positions.c.token_symbol == cash_flows.c.token_symbol,
                positions.c.opened_at <= cash_flows.c.at,
                or_(positions.c.closed_at.is_(None), positions.c.closed_at >= cash_flows.c.at),
            )
            .values(position_id=positions.c.id)
        )
        _refresh_funding(conn, account_id, now)
    return count


def funding_booked(
    conn: Connection, account_id: UUID, at: datetime
) -> list[tuple[UUID, Decimal, list[str]]]:
    """Return what was booked ``at`` that moment: position, amount in USD, and the venue's references."""
    rows = conn.execute(
        select(
            cash_flows.c.position_id,
            func.sum(cash_flows.c.amount_usd).label("amount"),
            func.array_agg(cash_flows.c.reference).label("evidence"),
        )
        .where(
            cash_flows.c.account_id == account_id,
            cash_flows.c.kind == "FUNDING",
            cash_flows.c.position_id.is_not(None),
            cash_flows.c.recorded_at == at,
        )
        .group_by(cash_flows.c.position_id)
    )
    return [(row.position_id, row.amount, sorted(row.evidence)) for row in rows]


def _refresh_funding(conn: Connection, account_id: UUID, now: datetime) -> None:
    """Bring positions up to date with their funding, closed ones too: a payment may be listed after the close."""
    total = (
        select(func.coalesce(func.sum(cash_flows.c.amount_usd), 0))
        .where(cash_flows.c.position_id == positions.c.id)
        .scalar_subquery()
    )
    conn.execute(
        update(positions)
        .where(positions.c.account_id == account_id, positions.c.funding_usd != total)
        .values(funding_usd=total, updated_at=now)
    )
