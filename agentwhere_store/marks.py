"""Marks: read what the price of a market concerns in all open positions, and write what it makes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, select, update

from agentwhere_core.domain.enums import PositionStatus, ProtectionState, Side, Venue
from agentwhere_core.domain.exposure import Exposure
from agentwhere_core.domain.sharding import WHOLE, Shard
from agentwhere_store.bulk import driver_rows, incoming_rows
from agentwhere_store.rows import of_shard
from agentwhere_store.tables.trading import positions


class Mark(NamedTuple):
    """What one price does to one open position; a tuple, as COPY takes a hundred thousand of them."""

    position_id: UUID
    price: Decimal
    unrealized_pnl_usd: Decimal
    best_price: Decimal | None
    liquidation_price: Decimal | None


def open_exposures(
    conn: Connection, *, shard: Shard = WHOLE
) -> dict[tuple[Venue, str], list[Exposure]]:
    """Return a shard's open positions, as far as prices concern them, by venue and token."""
    query = select(*_COLUMNS).where(
        positions.c.status == PositionStatus.OPEN.value,
        of_shard(positions.c.deployment_id, shard),
    )
    found: dict[tuple[str, str], list[Exposure]] = defaultdict(list)
    for id_, account_id, venue, token, side, protection, *rest in driver_rows(conn, query):
        found[venue, token].append(
            Exposure(
                id_, account_id, _VENUES[venue], token, _SIDES[side], _STATES[protection], *rest
            )
        )
    return {(_VENUES[venue], token): held for (venue, token), held in found.items()}


def save_marks(conn: Connection, marks: Sequence[Mark], at: datetime) -> None:
    """Write prices and unrealized PnL of many positions in one statement, of those that are still open."""
    if not marks:
        return
    columns = {
        "id": positions.c.id,
        "price": positions.c.current_price,
        "pnl": positions.c.unrealized_pnl_usd,
        "best": positions.c.best_price,
        "liquidation": positions.c.liquidation_price,
    }
    with incoming_rows(conn, columns, marks) as marked:
        conn.execute(
            update(positions)
            .where(positions.c.id == marked.c.id, positions.c.status == PositionStatus.OPEN.value)
            .values(
                current_price=marked.c.price,
                unrealized_pnl_usd=marked.c.pnl,
                best_price=marked.c.best,
                liquidation_price=marked.c.liquidation,
                last_marked=at,
                updated_at=at,
            )
        )


# A column for each of an Exposure's fields, in their order.
_COLUMNS = [
    positions.c["token_symbol" if field.name == "token" else field.name]
    for field in fields(Exposure)
]
# Words as members: to look one up costs a tenth of calling the enum.
_VENUES = {venue.value: venue for venue in Venue}
_SIDES = {side.value: side for side in Side}
_STATES = {state.value: state for state in ProtectionState}
