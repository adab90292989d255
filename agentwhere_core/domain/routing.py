"""Choosing a venue: how to choose, what an account there can do, and the answer with its costs.

Answers are made by the ten thousand in a pass, and are tuples: these are made in a third of the time that a frozen
dataclass takes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from agentwhere_core.domain.enums import RoutingStrategy, Venue
from agentwhere_core.domain.reasons import Reason

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class RoutingConfig:
    """Where to look for a venue, and how to choose (R2).

    Parameters
    ----------
    venue_priority, routing_strategy, failover_enabled
        Which venues, in which order; how to choose; and whether to look beyond the first.
    token_overrides
        Priority lists of their own for some canonical symbols.
    token_exclusions
        Venues that are never used for some canonical symbols, whichever list names them.
    version
        Counts the changes of one configuration, and is kept with each decision.
    """

    venue_priority: tuple[Venue, ...]
    routing_strategy: RoutingStrategy
    failover_enabled: bool
    token_overrides: dict[str, tuple[Venue, ...]] = field(default_factory=dict)
    version: int = 1
    token_exclusions: dict[str, tuple[Venue, ...]] = field(default_factory=dict)

    def priority_for(self, token: str) -> tuple[Venue, ...]:
        """Return the venues to check for ``token``, first choice first."""
        priority = self.token_overrides.get(token, self.venue_priority)
        excluded = self.token_exclusions.get(token)
        return tuple(v for v in priority if v not in excluded) if excluded else priority


@dataclass(frozen=True, slots=True)
class FundsAt:
    """What an account can do at a venue: equity and free margin in USD, and where it is already engaged."""

    equity_usd: Decimal
    free_margin_usd: Decimal
    open_tokens: frozenset[str] = frozenset()
    pending_tokens: frozenset[str] = frozenset()


class ExpectedCost(NamedTuple):
    """Cost of a round trip at one venue, in basis points of notional, each term by itself; see `where.costs`."""

    taker_fee_bps: Decimal
    spread_bps: Decimal
    impact_bps: Decimal
    funding_bps: Decimal
    rollover_bps: Decimal
    oracle_bps: Decimal
    close_fee_bps: Decimal
    gas_bps: Decimal

    @property
    def slippage_bps(self) -> Decimal:
        """Distance of both fills from mid: what depends on liquidity alone."""
        return self.spread_bps + self.impact_bps

    @property
    def total_bps(self) -> Decimal:
        """Sum of all terms."""
        return sum(self, _ZERO)


class VenueAvailability(NamedTuple):
    """One venue's answer for one trade: available or not, why, and at what expected cost."""

    venue: Venue
    is_available: bool
    reason: Reason
    detail: str = ""
    cost: ExpectedCost | None = None


class RouteLeg(NamedTuple):
    """A part of a trade: its venue, and its share of the whole, above 0 and at most 1."""

    venue: Venue
    share: Decimal = Decimal(1)


class RoutingDecision(NamedTuple):
    """The router's answer; ``selected_venue`` is None when the signal is skipped.

    ``checked`` holds every venue that was looked at, in order. ``legs`` are where the trade goes, the largest share
    first; more than one only where it is split. ``inputs`` is what this decision was made from besides the scene that
    it shares with others, so that both together give it again (R6).
    """

    requested_venue: Venue
    selected_venue: Venue | None
    reason: Reason
    story: str
    checked: tuple[VenueAvailability, ...]
    strategy: RoutingStrategy
    config_version: int
    inputs: dict[str, Any]
    legs: tuple[RouteLeg, ...] = ()
