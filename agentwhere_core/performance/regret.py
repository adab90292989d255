"""Regret: what the other venues would have cost, once a trade is over (R7).

At the time of the decision, each available venue had an expected round-trip cost. When the trade is closed, its real
cost is known. The regret of an alternative is

    regret = realized cost − expected cost of the alternative

in basis points of notional: positive where the other venue would have been cheaper. The expectation can be wrong by
itself; `TradeRegret.model_error_bps` says by how much it was wrong at the venue that was used, so that a reader can
tell a bad choice from a bad model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.trade import VenueAvailability

_BPS = Decimal(10_000)
_PLACES = Decimal("0.000001")
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """A closed position as far as its cost is concerned.

    Parameters
    ----------
    venue
        Where it was traded.
    notional_usd
        Size of the entry in USD.
    cost_usd
        What the round trip cost: fees, slippage against mid on both ways, and funding paid.
    """

    position_id: UUID
    venue: Venue
    notional_usd: Decimal
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class VenueRegret:
    """One venue's comparison: its cost (realized where selected, expected elsewhere) and the regret over it."""

    venue: Venue
    was_selected: bool
    cost_bps: Decimal
    regret_bps: Decimal
    regret_usd: Decimal


@dataclass(frozen=True, slots=True)
class TradeRegret:
    """All comparisons of one trade, in the order in which the venues were checked.

    ``model_error_bps`` is realized minus expected cost at the selected venue, or None where nothing was expected.
    """

    position_id: UUID
    venues: tuple[VenueRegret, ...]
    model_error_bps: Decimal | None

    @property
    def worst(self) -> VenueRegret | None:
        """The alternative that would have been cheapest, or None if none would have been cheaper."""
        cheaper = [item for item in self.venues if item.regret_bps > 0]
        return max(cheaper, key=lambda item: item.regret_bps, default=None)


def trade_regret(trade: ClosedTrade, checked: Iterable[VenueAvailability]) -> TradeRegret:
    """Compare a closed trade with the venues that its routing decision had found available.

    Venues that were not available, or whose cost was not known, are left out.

    Raises
    ------
    InvariantError
        If the trade's notional is not positive.
    """
    if trade.notional_usd <= 0:
        raise InvariantError(
            f"position {trade.position_id} has a notional of {trade.notional_usd} USD; fold its fills again"
        )
    realized_bps = trade.cost_usd / trade.notional_usd * _BPS
    rows: list[VenueRegret] = []
    model_error = None
    for item in checked:
        if item.venue is trade.venue:
            rows.append(VenueRegret(item.venue, True, _rounded(realized_bps), _ZERO, _ZERO))
            if item.cost is not None:
                model_error = _rounded(realized_bps - item.cost.total_bps)
        elif item.is_available and item.cost is not None:
            regret_bps = realized_bps - item.cost.total_bps
            rows.append(
                VenueRegret(
                    venue=item.venue,
                    was_selected=False,
                    cost_bps=_rounded(item.cost.total_bps),
                    regret_bps=_rounded(regret_bps),
                    regret_usd=_rounded(regret_bps * trade.notional_usd / _BPS),
                )
            )
    return TradeRegret(trade.position_id, tuple(rows), model_error)


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(_PLACES)
