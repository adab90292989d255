"""Marking: what the prices of now make of every open position, and which of them must be closed for it.

All are looked at by as much as prices concern, market by market, and their marks are written at once. Those for which
an exit is due are then read whole and decided by what their rows say: what was closed meanwhile is not among them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import ExitReason, Venue
from agentwhere_core.domain.exposure import Exposure
from agentwhere_core.domain.market import Quote
from agentwhere_core.domain.trade import Position
from agentwhere_core.execution.exits import (
    ExitDecision,
    advance_best_price,
    decide_exit,
    decide_exits,
)
from agentwhere_core.execution.positions import mark
from agentwhere_flow.reconcile import Compared
from agentwhere_store import marks as store
from agentwhere_store import positions as position_store

if TYPE_CHECKING:
    from agentwhere_flow.system import System

Exposures = Mapping[tuple[Venue, str], Sequence[Exposure]]
"""Open positions by venue and token."""


@dataclass(frozen=True, slots=True)
class Marked:
    """What marking came to: how many positions have a price, and which of them must be closed, and why.

    Protection that is overdue is no reason here: whether it still is, shows when the venues have been asked.
    """

    count: int
    due: Sequence[Position]
    decisions: Sequence[ExitDecision]


def mark_positions(
    system: System,
    held: Exposures,
    quotes: Mapping[tuple[Venue, str], Quote],
    compared: Sequence[Compared],
    now: datetime,
    *,
    to_kill: Collection[UUID],
) -> Marked:
    """Write price, unrealized PnL, best price and liquidation price of every position that has a price.

    Exits are decided by the liquidation price of now. It stays as it was where the account could not be read.

    Parameters
    ----------
    to_kill
        Ids of positions that a kill switch demands to be closed.
    """
    liquidation = _liquidation_prices(compared)
    marks: list[store.Mark] = []
    due: list[UUID] = []
    for place, exposures in held.items():
        quote = quotes.get(place)
        if quote is None:
            continue
        for known in exposures:
            position = _with_liquidation_price(known, liquidation)
            marks.append(_mark(position, quote.mid))
            if decide_exit(position, quote.mid, now, kill_switch=position.id in to_kill):
                due.append(position.id)
    with system.engine.begin() as conn:
        store.save_marks(conn, marks, now)
        still_open = position_store.open_positions(conn, ids=due) if due else []
    prices = {place: quote.mid for place, quote in quotes.items()}
    decisions = [
        decision
        for decision in decide_exits(still_open, prices, now, to_kill=to_kill)
        if decision.reason is not ExitReason.UNPROTECTED
    ]
    return Marked(len(marks), still_open, decisions)


def _mark(position: Exposure, price: Decimal) -> store.Mark:
    return store.Mark(
        position_id=position.id,
        price=price,
        unrealized_pnl_usd=mark(position, price),
        best_price=advance_best_price(position, price),
        liquidation_price=position.liquidation_price,
    )


def _liquidation_prices(compared: Sequence[Compared]) -> dict[UUID, dict[str, Decimal | None]]:
    """Return the liquidation prices of every account that could be read, by token."""
    return {
        item.watched.account.id: {
            position.token: position.liquidation_price for position in item.state.positions
        }
        for item in compared
        if item.state is not None
    }


def _with_liquidation_price(
    position: Exposure, prices: Mapping[UUID, Mapping[str, Decimal | None]]
) -> Exposure:
    """Return a position with the liquidation price of now, if its account could be read."""
    of_account = prices.get(position.account_id)
    if of_account is None:
        return position
    price = of_account.get(position.token)
    return (
        position
        if price == position.liquidation_price
        else replace(position, liquidation_price=price)
    )
