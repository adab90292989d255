"""What decisions are made from, in two parts: what many share, and what is one trade's own.

A `Scene` is one token at every venue at one moment, with the configuration to choose by: all trades in the token that
are decided together look at the same one. A `RouteRequest` is one trade, and a `Standing` is what its own account at a
venue can do. Scenes are kept once and decisions refer to them, so that thousands of decisions do not repeat the same
markets, and each can still be recomputed; see `where.record`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from agentwhere_core.domain.enums import Side, Venue
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.market import Book, Market
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.routing import FundsAt, RoutingConfig
from agentwhere_core.venues.symbols import unlike
from agentwhere_core.where.costs import Pricing

VENUE_NAMES = {venue: venue.capitalize() for venue in Venue} | {Venue.GMX: "GMX"}

DEFAULT_MAX_AGE = timedelta(hours=26)
DEFAULT_HOLDING_H = Decimal(24)

Obstacle = tuple[Reason, str]


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """A trade that looks for a venue.

    Parameters
    ----------
    token, side
        Canonical symbol, and direction.
    margin_usd, leverage
        What is put up, and its multiple; their product is the notional.
    requested_venue
        The signal's venue; ``MULTI`` leaves the choice to the router.
    holding_h
        Expected holding time in hours, for the funding term of the cost.
    expires_at
        Until when the trade may be made; None if there is no limit.
    """

    token: str
    side: Side
    margin_usd: Decimal
    leverage: Decimal
    requested_venue: Venue = Venue.MULTI
    holding_h: Decimal = DEFAULT_HOLDING_H
    expires_at: datetime | None = None

    @property
    def notional_usd(self) -> Decimal:
        """Size of the position in USD."""
        return self.margin_usd * self.leverage


@dataclass(frozen=True, slots=True)
class Site:
    """What is known of one venue for one token, whoever trades it.

    Parameters
    ----------
    market
        The venue's market of the token, or None if it lists none.
    book
        The market's order book, where it was read.
    can_execute
        Whether this version can place orders there; if not, accounts are not judged.
    is_enabled, is_healthy
        Whether the operator uses the venue, and whether it answers.
    is_stopped
        Whether a kill switch stops all new entries there.
    max_age
        How old the market's data may be.
    """

    market: Market | None
    book: Book | None = None
    can_execute: bool = True
    is_enabled: bool = True
    is_healthy: bool = True
    is_stopped: bool = False
    max_age: timedelta = DEFAULT_MAX_AGE


@dataclass(frozen=True, slots=True)
class Standing:
    """What a deployment can do at one venue: its account's funds (None without account), and what stands against it.

    ``is_stopped`` is a kill switch of the agent or the deployment; ``barred`` is what the subscriber's policy says.
    """

    funds: FundsAt | None = None
    is_stopped: bool = False
    barred: Obstacle | None = None


class Scene:
    """One token at every venue at one moment, with the configuration to choose by.

    What follows from it alone is worked out once: which markets are in no state to be traded, and what they cost.

    Parameters
    ----------
    token, now
        Canonical symbol, and the moment.
    config
        How to choose.
    sites
        What is known of each venue; one that is absent is switched off.
    """

    __slots__ = ("_obstacles", "_pricing", "config", "now", "priority", "sites", "token")

    def __init__(
        self, token: str, config: RoutingConfig, sites: Mapping[Venue, Site], now: datetime
    ) -> None:
        self.token = token
        self.config = config
        self.sites = sites
        self.now = now
        priority = config.priority_for(token)
        self.priority = priority if config.failover_enabled else priority[:1]
        others = unlike(self._comparable())
        self._obstacles = {
            venue: _obstacle(VENUE_NAMES[venue], token, site, now, venue in others)
            for venue, site in sites.items()
        }
        self._pricing: dict[Venue, Pricing] = {}

    def obstacle(self, venue: Venue) -> Obstacle | None:
        """Return why nobody can trade the token at the venue now, or None."""
        if venue not in self.sites:
            return Reason.VENUE_DISABLED, f"{VENUE_NAMES[venue]} is switched off"
        return self._obstacles[venue]

    def market(self, venue: Venue) -> Market:
        """Return the venue's market of the token.

        Raises
        ------
        InvariantError
            If it lists none: ask `obstacle` first.
        """
        site = self.sites.get(venue)
        if site is None or site.market is None:
            raise InvariantError(f"{venue} has no market of {self.token} to trade in")
        return site.market

    def pricing(self, venue: Venue) -> Pricing:
        """Return what the venue's market costs; see `market`."""
        found = self._pricing.get(venue)
        if found is None:
            found = self._pricing[venue] = Pricing(self.market(venue), self.sites[venue].book)
        return found

    def _comparable(self) -> list[Market]:
        """Return the markets whose prices mean something today: a delisted one keeps its last price for ever."""
        return [
            site.market
            for site in self.sites.values()
            if site.market is not None
            and site.market.is_active
            and self.now - site.market.last_synced <= site.max_age
        ]


def _obstacle(
    name: str, token: str, site: Site, now: datetime, is_another_thing: bool
) -> Obstacle | None:
    if not site.is_enabled:
        return Reason.VENUE_DISABLED, f"{name} is switched off"
    if site.is_stopped:
        return Reason.KILL_SWITCH, f"a kill switch stops entries at {name}"
    if not site.is_healthy:
        return Reason.VENUE_UNHEALTHY, f"{name} is not healthy"
    if site.market is None:
        return Reason.NOT_LISTED, f"{name} does not list {token}"
    return _of_market(name, site.market, site.max_age, now, is_another_thing)


def _of_market(
    name: str, market: Market, max_age: timedelta, now: datetime, is_another_thing: bool
) -> Obstacle | None:
    what = f"{name}'s {market.market_name}"
    if not market.is_active:
        return Reason.INACTIVE, f"{what} is not traded now"
    age = now - market.last_synced
    if age > max_age:
        hours = age / timedelta(hours=1)
        return Reason.STALE_DATA, f"what is known of {what} is {hours:.1f} h old"
    # Hours were read at the last sync: a market that was to open since then is open.
    if not market.is_open and (market.opens_at is None or market.opens_at > now):
        until = "" if market.opens_at is None else f" until {market.opens_at:%Y-%m-%d %H:%M} UTC"
        return Reason.MARKET_CLOSED, f"{what} is closed{until}"
    if market.price is None or market.price <= 0:
        return Reason.PRICE_UNAVAILABLE, f"{what} has no price"
    if is_another_thing:
        return (
            Reason.PRICE_DISAGREES,
            f"{what} costs {market.price} USD, so far from other venues that it is another thing",
        )
    return None
