"""An open position as far as prices concern it.

A monitor looks at every open position in every tick. It carries no more of each than its mark and its exit depend on;
the few that must be closed are then read whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

from agentwhere_core.domain.enums import ProtectionState, Side, Venue
from agentwhere_core.domain.trade import Position


@dataclass(frozen=True, slots=True)
class Exposure:
    """What decides on an open position's mark and exit; each field means what it means in `Position`."""

    id: UUID
    account_id: UUID
    venue: Venue
    token: str
    side: Side
    protection: ProtectionState
    size: Decimal
    entry_price: Decimal
    opened_at: datetime
    stop_loss_price: Decimal | None
    take_profit_price: Decimal | None
    trailing_activation_pct: Decimal | None
    trailing_distance_pct: Decimal | None
    best_price: Decimal | None
    max_holding_h: Decimal | None
    liquidation_price: Decimal | None
    protect_by: datetime | None


Exposed: TypeAlias = Position | Exposure
"""A position, whole or as far as prices concern it."""
