"""Whether a venue can take a trade, and if not, why (R4).

The first obstacle counts, from the most general to the most particular: venue, market, size, account. A venue
without an adapter for orders (``can_execute`` False) can still be chosen: its account cannot be judged, and the
execution step then ends with EXECUTION_NOT_AVAILABLE, in plain sight.
"""

from __future__ import annotations

from decimal import Decimal

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.market import Market
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.routing import FundsAt, VenueAvailability
from agentwhere_core.where.scene import VENUE_NAMES, Obstacle, RouteRequest, Scene, Standing

USABLE_MARGIN = Decimal("0.95")
"""Share of the free margin that a part of a trade may take: venues ask for margin at the limit price, above the mid."""

_BPS = Decimal(10_000)
_ZERO = Decimal(0)


def check_availability(
    venue: Venue,
    scene: Scene,
    request: RouteRequest,
    standing: Standing | None = None,
    *,
    in_part: bool = False,
) -> VenueAvailability:
    """Return whether the venue can take the trade, with the reason, and the expected cost if it can.

    Parameters
    ----------
    standing
        What the deployment can do at the venue; None if it has no account there.
    in_part
        Whether it is enough that the venue can take its own minimum: the rest may go elsewhere.
    """
    name = VENUE_NAMES[venue]
    obstacle = scene.obstacle(venue)
    if standing is not None and standing.is_stopped and not _is_off(obstacle):
        obstacle = Reason.KILL_SWITCH, f"a kill switch stops entries at {name}"
    if obstacle is None and standing is not None and standing.barred is not None:
        reason, why = standing.barred
        obstacle = reason, f"{name} is left out: {why}"
    if obstacle is not None:
        return VenueAvailability(venue, False, *obstacle)
    market = scene.market(venue)
    notional = request.notional_usd
    obstacle = _of_size(name, market, request, notional, in_part=in_part)
    if obstacle is None and scene.sites[venue].can_execute:
        funds = None if standing is None else standing.funds
        obstacle = _of_account(name, market, funds, request, notional, in_part=in_part)
    if obstacle is not None:
        return VenueAvailability(venue, False, *obstacle)
    cost = scene.pricing(venue).cost(notional, request.side, request.holding_h)
    detail = (
        f"{name} lists {request.token} as {market.market_name}, open, "
        f"expected cost {cost.total_bps:.1f} bps"
    )
    return VenueAvailability(venue, True, Reason.AVAILABLE, detail, cost)


def least_usd(market: Market) -> Decimal:
    """Return the smallest notional that the venue takes."""
    if not market.min_size:
        return market.min_notional_usd
    return max(market.min_notional_usd, market.min_size * (market.price or _ZERO))


def most_usd(
    venue: Venue, scene: Scene, request: RouteRequest, standing: Standing | None
) -> Decimal:
    """Return the largest part of the trade, in USD, that the venue's open interest and the account there can take."""
    market = scene.market(venue)
    most = request.notional_usd
    headroom = market.headroom_usd(request.side)
    if headroom is not None:
        most = min(most, headroom)
    if scene.sites[venue].can_execute:
        free = standing.funds.free_margin_usd if standing and standing.funds else _ZERO
        per_usd = 1 / request.leverage + market.taker_fee_bps / _BPS
        most = min(most, free * USABLE_MARGIN / per_usd)
    return most


def _is_off(obstacle: Obstacle | None) -> bool:
    return obstacle is not None and obstacle[0] is Reason.VENUE_DISABLED


def _of_size(
    name: str, market: Market, request: RouteRequest, notional: Decimal, *, in_part: bool
) -> Obstacle | None:
    if request.leverage > market.max_leverage:
        return (
            Reason.LEVERAGE_TOO_HIGH,
            f"{name} allows {market.max_leverage}x on {request.token}, not {request.leverage}x",
        )
    least = least_usd(market)
    if notional < least or notional <= 0:
        return (
            Reason.BELOW_MINIMUM,
            f"{name} takes no order below {least:.2f} USD, and this one is {notional:.2f} USD",
        )
    headroom = market.headroom_usd(request.side)
    if headroom is not None and headroom < (least if in_part else notional):
        left = max(headroom, _ZERO)
        return (
            Reason.OPEN_INTEREST_CAP,
            f"{name} takes {left:.2f} USD more of {request.side}, and this one is {notional:.2f} USD",
        )
    return None


def _of_account(
    name: str,
    market: Market,
    funds: FundsAt | None,
    request: RouteRequest,
    notional: Decimal,
    *,
    in_part: bool,
) -> Obstacle | None:
    if funds is None:
        return Reason.NO_ACCOUNT, f"no account at {name}"
    if request.token in funds.open_tokens:
        return Reason.POSITION_EXISTS, f"a {request.token} position is open at {name}"
    if request.token in funds.pending_tokens:
        return Reason.ORDER_PENDING, f"an order on {request.token} is not settled at {name}"
    margin = request.margin_usd
    if in_part:
        notional = least_usd(market)
        margin = notional / request.leverage
    needed = margin + notional * market.taker_fee_bps / _BPS
    if funds.free_margin_usd < needed:
        return (
            Reason.UNFUNDED,
            f"{name} holds {funds.free_margin_usd:.2f} USD free, and {needed:.2f} USD are needed",
        )
    return None
