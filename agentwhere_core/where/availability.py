"""Whether a venue can take a trade, and if not, why (R4).

The first obstacle counts, from the most general to the most particular: venue, market, size, account. A venue
without an adapter for orders (``can_execute`` False) can still be chosen: its account cannot be judged, and the
execution step then ends with EXECUTION_NOT_AVAILABLE, in plain sight.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from agentwhere_core.domain.enums import Side, Venue
from agentwhere_core.domain.market import Market
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import FundsAt, VenueAvailability
from agentwhere_core.where.costs import expected_cost

VENUE_NAMES = {
    Venue.SPOT: "Spot",
    Venue.GMX: "GMX",
    Venue.HYPERLIQUID: "Hyperliquid",
    Venue.OSTIUM: "Ostium",
    Venue.LIGHTER: "Lighter",
    Venue.MULTI: "Multi",
}

DEFAULT_MAX_AGE = timedelta(hours=26)
DEFAULT_HOLDING_H = Decimal(24)

_BPS = Decimal(10_000)


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
class VenueView:
    """What is known of one venue for one trade.

    Parameters
    ----------
    market
        The venue's market of the token, or None if it lists none.
    funds
        The deployment's account there, or None if it has none.
    can_execute
        Whether this version can place orders there; if not, the account is not judged.
    is_enabled, is_healthy
        Whether the operator uses the venue, and whether it answers.
    is_stopped
        Whether a kill switch (global, agent, deployment or venue) stops new entries there.
    max_age
        How old the market's data may be.
    """

    market: Market | None
    funds: FundsAt | None = None
    can_execute: bool = True
    is_enabled: bool = True
    is_healthy: bool = True
    is_stopped: bool = False
    max_age: timedelta = DEFAULT_MAX_AGE


def check_availability(
    venue: Venue,
    view: VenueView | None,
    request: RouteRequest,
    now: datetime,
    *,
    is_another_thing: bool = False,
) -> VenueAvailability:
    """Return whether the venue can take the trade, with the reason, and the expected cost if it can.

    Parameters
    ----------
    view
        What is known of the venue; None if it has no adapter, or is switched off altogether.
    is_another_thing
        Whether the market's price says that its ticker means something else there; see `symbols.unlike`.
    """
    name = VENUE_NAMES[venue]
    if view is None or not view.is_enabled:
        return _refused(venue, Reason.VENUE_DISABLED, f"{name} is switched off")
    if view.is_stopped:
        return _refused(venue, Reason.KILL_SWITCH, f"a kill switch stops entries at {name}")
    if not view.is_healthy:
        return _refused(venue, Reason.VENUE_UNHEALTHY, f"{name} is not healthy")
    market = view.market
    if market is None:
        return _refused(venue, Reason.NOT_LISTED, f"{name} does not list {request.token}")
    obstacle = _of_market(name, market, view.max_age, now, is_another_thing)
    obstacle = obstacle or _of_size(name, market, request)
    if view.can_execute:
        obstacle = obstacle or _of_account(name, market, view.funds, request)
    if obstacle is not None:
        return _refused(venue, *obstacle)
    cost = expected_cost(market, request.notional_usd, request.side, request.holding_h)
    detail = (
        f"{name} lists {request.token} as {market.market_name}, open, "
        f"expected cost {cost.total_bps:.1f} bps"
    )
    return VenueAvailability(venue, True, Reason.AVAILABLE, detail, cost)


_Obstacle = tuple[Reason, str]


def _refused(venue: Venue, reason: Reason, detail: str) -> VenueAvailability:
    return VenueAvailability(venue, False, reason, detail)


def _of_market(
    name: str, market: Market, max_age: timedelta, now: datetime, is_another_thing: bool
) -> _Obstacle | None:
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


def _of_size(name: str, market: Market, request: RouteRequest) -> _Obstacle | None:
    if request.leverage > market.max_leverage:
        return (
            Reason.LEVERAGE_TOO_HIGH,
            f"{name} allows {market.max_leverage}x on {request.token}, not {request.leverage}x",
        )
    notional = request.notional_usd
    price = market.price or Decimal(0)
    least = max(market.min_notional_usd, market.min_size * price)
    if notional < least or notional <= 0:
        return (
            Reason.BELOW_MINIMUM,
            f"{name} takes no order below {least:.2f} USD, and this one is {notional:.2f} USD",
        )
    return None


def _of_account(
    name: str, market: Market, funds: FundsAt | None, request: RouteRequest
) -> _Obstacle | None:
    if funds is None:
        return Reason.NO_ACCOUNT, f"no account at {name}"
    if request.token in funds.open_tokens:
        return Reason.POSITION_EXISTS, f"a {request.token} position is open at {name}"
    if request.token in funds.pending_tokens:
        return Reason.ORDER_PENDING, f"an order on {request.token} is not settled at {name}"
    needed = request.margin_usd + request.notional_usd * market.taker_fee_bps / _BPS
    if funds.free_margin_usd < needed:
        return (
            Reason.UNFUNDED,
            f"{name} holds {funds.free_margin_usd:.2f} USD free, and {needed:.2f} USD are needed",
        )
    return None
