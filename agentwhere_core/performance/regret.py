"""Regret: what the other venues would have cost, once a trade is over (R7).

When a trade is closed, what it cost is known: fees, the distance of its fills from mid, and funding. What another venue
that was available would have cost is worked out for the size and the holding time that the trade really had: fees by
that venue's terms, spread and impact by its book as the decision saw it, and funding by the rates that were observed
there meanwhile (by the rate at the decision where none was). The regret of an alternative is

    regret = realized cost − cost of the alternative

in basis points of notional: positive where the other venue would have been cheaper. The expectation can be wrong by
itself; `TradeRegret.model_error_bps` says by how much it was wrong at the venue that was used, so that a reader can
tell a bad choice from a bad model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from agentwhere_core.domain.enums import Side, Venue
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.where.availability import check_availability
from agentwhere_core.where.scene import RouteRequest, Scene, Standing

_BPS = Decimal(10_000)
_PLACES = Decimal("0.000001")
_ZERO = Decimal(0)
_HOUR_S = Decimal(3600)


@dataclass(frozen=True, slots=True)
class CostShare:
    """A cost in basis points of notional, by what it was paid for."""

    fees_bps: Decimal
    slippage_bps: Decimal
    funding_bps: Decimal

    @property
    def total_bps(self) -> Decimal:
        """Sum of all parts."""
        return self.fees_bps + self.slippage_bps + self.funding_bps


@dataclass(frozen=True, slots=True)
class Fills:
    """One way of a trade: what was exchanged, for how much of it the mid was known, and what that lost against mid."""

    notional_usd: Decimal = _ZERO
    known_usd: Decimal = _ZERO
    lost_usd: Decimal = _ZERO


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """A closed position as far as its cost is concerned.

    Parameters
    ----------
    venue, side
        Where and in which direction it was traded.
    entry, exit
        What was exchanged each way; the notional of the trade is the entry's.
    fees_usd, funding_usd
        What was paid; negative funding was received.
    held
        How long it was open.
    """

    position_id: UUID
    venue: Venue
    side: Side
    entry: Fills
    exit: Fills
    fees_usd: Decimal
    funding_usd: Decimal
    held: timedelta

    @property
    def notional_usd(self) -> Decimal:
        """Size of the entry in USD."""
        return self.entry.notional_usd

    @property
    def held_h(self) -> Decimal:
        """How long it was open, in hours."""
        return Decimal(str(self.held.total_seconds())) / _HOUR_S


@dataclass(frozen=True, slots=True)
class Chosen:
    """The decision behind a trade: what it saw and for which trade, as they were kept."""

    scene: Scene
    request: RouteRequest
    standings: Mapping[Venue, Standing]


@dataclass(frozen=True, slots=True)
class VenueRegret:
    """One venue's comparison: its cost (realized where selected, reckoned elsewhere) and the regret over it."""

    venue: Venue
    was_selected: bool
    cost: CostShare
    regret_bps: Decimal
    regret_usd: Decimal


@dataclass(frozen=True, slots=True)
class TradeRegret:
    """All comparisons of one trade: the venue that was used, then the others that were available, by priority.

    ``model_error_bps`` is realized minus expected cost at the venue that was used, or None where nothing was expected.
    """

    position_id: UUID
    venues: tuple[VenueRegret, ...]
    model_error_bps: Decimal | None

    @property
    def worst(self) -> VenueRegret | None:
        """The alternative that would have been cheapest, or None if none would have been cheaper."""
        cheaper = [item for item in self.venues if item.regret_bps > 0]
        return max(cheaper, key=lambda item: item.regret_bps, default=None)


def trade_regret(trade: ClosedTrade, chosen: Chosen, rates: Mapping[Venue, Decimal]) -> TradeRegret:
    """Compare a closed trade with the venues that were available when it was routed.

    Parameters
    ----------
    rates
        Mean hourly funding that each venue stated while the trade was open, as a fraction; absent where unknown.

    Raises
    ------
    InvariantError
        If the trade's notional is not positive.
    """
    if trade.notional_usd <= 0:
        raise InvariantError(
            f"position {trade.position_id} has a notional of {trade.notional_usd} USD; fold its fills again"
        )
    expected = _cost_at(trade.venue, trade, chosen, {}) if _has_market(trade, chosen) else None
    realized = _realized(trade, expected)
    rows = [VenueRegret(trade.venue, True, realized, _ZERO, _ZERO)]
    for venue in _alternatives(trade, chosen):
        cost = _cost_at(venue, trade, chosen, rates)
        regret_bps = realized.total_bps - cost.total_bps
        regret_usd = _rounded(regret_bps * trade.notional_usd / _BPS)
        rows.append(VenueRegret(venue, False, cost, regret_bps, regret_usd))
    error = None if expected is None else realized.total_bps - expected.total_bps
    return TradeRegret(trade.position_id, tuple(rows), error)


def _alternatives(trade: ClosedTrade, chosen: Chosen) -> Iterator[Venue]:
    """Yield the venues that the trade could have gone to, whether or not the strategy looked at them."""
    scene = chosen.scene
    order = scene.config.priority_for(scene.token)
    for venue in order:
        if venue is trade.venue or venue not in scene.sites:
            continue
        standing = chosen.standings.get(venue)
        if check_availability(venue, scene, chosen.request, standing).is_available:
            yield venue


def _has_market(trade: ClosedTrade, chosen: Chosen) -> bool:
    site = chosen.scene.sites.get(trade.venue)
    return site is not None and site.market is not None


def _cost_at(
    venue: Venue, trade: ClosedTrade, chosen: Chosen, rates: Mapping[Venue, Decimal]
) -> CostShare:
    """Return what this trade, with its own size and holding time, costs at a venue."""
    pricing = chosen.scene.pricing(venue)
    cost = pricing.cost(trade.notional_usd, trade.side, trade.held_h)
    funding_bps = cost.funding_bps
    if venue in rates:
        funding_bps = trade.side.sign * rates[venue] * trade.held_h * _BPS
    return CostShare(
        fees_bps=_rounded(cost.taker_fee_bps + cost.close_fee_bps + cost.oracle_bps + cost.gas_bps),
        slippage_bps=_rounded(cost.slippage_bps),
        funding_bps=_rounded(funding_bps + cost.rollover_bps),
    )


def _realized(trade: ClosedTrade, expected: CostShare | None) -> CostShare:
    """Return what the trade cost; the expectation stands in for fills whose mid is not known."""
    half_bps = _ZERO if expected is None else expected.slippage_bps / 2
    lost_usd = sum(_lost((trade.entry, trade.exit), half_bps), _ZERO)
    per_usd = _BPS / trade.notional_usd
    return CostShare(
        fees_bps=_rounded(trade.fees_usd * per_usd),
        slippage_bps=_rounded(lost_usd * per_usd),
        funding_bps=_rounded(trade.funding_usd * per_usd),
    )


def _lost(ways: Iterable[Fills], half_bps: Decimal) -> Iterator[Decimal]:
    for way in ways:
        yield way.lost_usd + (way.notional_usd - way.known_usd) * half_bps / _BPS


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(_PLACES)
