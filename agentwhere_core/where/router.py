"""Which venue takes a trade (R1–R6).

`route` is pure: the same request, configuration, views and time give the same decision, word for word. The decision
carries all of them by value in ``inputs``, so that `replay` recomputes it from its row alone.

A signal that names a venue goes there or nowhere: it is checked and never rerouted, and a venue without an adapter
is passed through unchecked, for the execution step to refuse. A ``MULTI`` signal goes through the priority list of its
token, from which the configured strategy chooses. Without failover only the first venue of the list is considered.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from agentwhere_core.domain.enums import RoutingStrategy, Side, Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.market import Market
from agentwhere_core.domain.reasons import REASON_TEXTS, Reason
from agentwhere_core.domain.trade import (
    FundsAt,
    RoutingConfig,
    RoutingDecision,
    VenueAvailability,
)
from agentwhere_core.venues.symbols import unlike
from agentwhere_core.where.availability import (
    VENUE_NAMES,
    RouteRequest,
    VenueView,
    check_availability,
)
from agentwhere_core.where.strategies import strategy_for

INPUTS_VERSION = 1


def route(
    request: RouteRequest,
    config: RoutingConfig,
    views: Mapping[Venue, VenueView],
    now: datetime,
) -> RoutingDecision:
    """Return the venue for a trade, or the reason why there is none, with everything that was looked at.

    Raises
    ------
    ConfigurationError
        If the configuration names a strategy that this version does not have.
    """
    if request.expires_at is not None and now >= request.expires_at:
        return _too_late(request, config, views, now)
    if request.requested_venue is not Venue.MULTI:
        return _go_where_named(request, config, views, now)
    priority = config.priority_for(request.token)
    if not config.failover_enabled:
        priority = priority[:1]
    others = unlike(_comparable(views, now))

    def check(venue: Venue) -> VenueAvailability:
        view = views.get(venue)
        return check_availability(venue, view, request, now, is_another_thing=venue in others)

    choice = strategy_for(config.routing_strategy).choose(priority, check)
    details = "; ".join(checked.detail for checked in choice.checked)
    if choice.chosen is None:
        selected, reason = None, Reason.NO_VENUE_AVAILABLE
        story = f"{details}; no venue can take {request.side} {request.token}, so it is skipped"
    else:
        selected, reason = choice.chosen.venue, Reason.SELECTED
        story = f"{details}; chosen by {config.routing_strategy}"
    return RoutingDecision(
        requested_venue=Venue.MULTI,
        selected_venue=selected,
        reason=reason,
        story=story,
        checked=choice.checked,
        strategy=config.routing_strategy,
        config_version=config.version,
        inputs=_inputs(request, config, views, now),
    )


def replay(inputs: Mapping[str, Any]) -> RoutingDecision:
    """Recompute a decision from its ``inputs``.

    Raises
    ------
    ConfigurationError
        If the inputs were written by a version of the router that this one does not know.
    """
    if inputs.get("version") != INPUTS_VERSION:
        raise ConfigurationError(
            f"routing inputs of version {inputs.get('version')!r} cannot be replayed by a router "
            f"of version {INPUTS_VERSION}; use the release that wrote them"
        )
    request, config = inputs["request"], inputs["config"]
    token = request["token"]
    return route(
        RouteRequest(
            token=token,
            side=Side(request["side"]),
            margin_usd=Decimal(request["margin_usd"]),
            leverage=Decimal(request["leverage"]),
            requested_venue=Venue(request["requested_venue"]),
            holding_h=Decimal(request["holding_h"]),
            expires_at=_moment(request["expires_at"]),
        ),
        RoutingConfig(
            venue_priority=tuple(Venue(name) for name in config["priority"]),
            routing_strategy=RoutingStrategy(config["routing_strategy"]),
            failover_enabled=config["failover_enabled"],
            version=config["version"],
        ),
        {Venue(name): _view(Venue(name), token, told) for name, told in inputs["views"].items()},
        datetime.fromisoformat(inputs["now"]),
    )


def explain(decision: RoutingDecision) -> list[str]:
    """Return the decision in lines for people, with the cost of each available venue term by term."""
    lines = [f"Requested: {decision.requested_venue}, strategy {decision.strategy}."]
    for place, checked in enumerate(decision.checked, start=1):
        verdict = "available" if checked.is_available else checked.reason.value
        lines.append(f"{place}. {checked.venue}: {verdict}. {_sentence(checked.detail)}")
        if checked.cost is not None:
            cost = checked.cost
            lines.append(
                f"   Expected round trip {cost.total_bps:.2f} bps = taker fees {cost.taker_fee_bps:.2f}"
                f" + spread {cost.spread_bps:.2f} + impact {cost.impact_bps:.2f}"
                f" + funding {cost.funding_bps:.2f} + fixed fees {cost.fixed_bps:.2f}."
            )
        elif not checked.is_available:
            lines.append(f"   What to do: {REASON_TEXTS[checked.reason].remedy}")
    outcome = "skipped" if decision.selected_venue is None else f"goes to {decision.selected_venue}"
    lines.append(f"Result: {outcome} ({decision.reason}).")
    lines.append(_sentence(decision.story))
    return lines


def validate_config(config: RoutingConfig) -> None:
    """Check a configuration before it is written.

    Raises
    ------
    ConfigurationError
        If a list is empty, repeats a venue or names MULTI, a token is not canonical, or the strategy is not supported;
        the message names the field.
    """
    strategy_for(config.routing_strategy)
    _validate_priority("venue_priority", config.venue_priority)
    for token, priority in config.token_overrides.items():
        if not token or token != token.strip().upper():
            raise ConfigurationError(
                f"token_overrides names {token!r}; canonical symbols are in capitals, such as BTC"
            )
        _validate_priority(f"token_overrides[{token}]", priority)


def _validate_priority(field: str, priority: tuple[Venue, ...]) -> None:
    if not priority:
        raise ConfigurationError(f"{field} is empty; name at least one venue")
    if Venue.MULTI in priority:
        raise ConfigurationError(f"{field} names MULTI, which is no venue; name real ones")
    if len(set(priority)) < len(priority):
        raise ConfigurationError(f"{field} names a venue twice; keep its first place only")


def _comparable(views: Mapping[Venue, VenueView], now: datetime) -> list[Market]:
    """Return the markets whose prices mean something today: a delisted one keeps its last price for ever."""
    return [
        view.market
        for view in views.values()
        if view.market is not None
        and view.market.is_active
        and now - view.market.last_synced <= view.max_age
    ]


def _too_late(
    request: RouteRequest,
    config: RoutingConfig,
    views: Mapping[Venue, VenueView],
    now: datetime,
) -> RoutingDecision:
    return RoutingDecision(
        requested_venue=request.requested_venue,
        selected_venue=None,
        reason=Reason.SIGNAL_EXPIRED,
        story=f"the signal expired at {request.expires_at:%Y-%m-%d %H:%M} UTC, before a venue was chosen",
        checked=(),
        strategy=config.routing_strategy,
        config_version=config.version,
        inputs=_inputs(request, config, views, now),
    )


def _go_where_named(
    request: RouteRequest,
    config: RoutingConfig,
    views: Mapping[Venue, VenueView],
    now: datetime,
) -> RoutingDecision:
    venue = request.requested_venue
    view = views.get(venue)
    selected: Venue | None = venue
    reason = Reason.VENUE_NAMED_BY_SIGNAL
    checked: tuple[VenueAvailability, ...] = ()
    if view is None:
        story = f"the signal names {VENUE_NAMES[venue]}, which has no adapter; passed on unchecked"
    else:
        answer = check_availability(venue, view, request, now)
        checked = (answer,)
        if answer.is_available:
            story = f"the signal names its venue; {answer.detail}"
        else:
            selected, reason = None, answer.reason
            story = f"the signal names its venue; {answer.detail}; skipped, and not rerouted"
    return RoutingDecision(
        requested_venue=venue,
        selected_venue=selected,
        reason=reason,
        story=story,
        checked=checked,
        strategy=config.routing_strategy,
        config_version=config.version,
        inputs=_inputs(request, config, {} if view is None else {venue: view}, now),
    )


def _inputs(
    request: RouteRequest,
    config: RoutingConfig,
    views: Mapping[Venue, VenueView],
    now: datetime,
) -> dict[str, Any]:
    """Return everything that the decision was made from, JSON-ready; of a market, what the decision reads."""
    token = request.token
    return {
        "version": INPUTS_VERSION,
        "now": now.isoformat(),
        "request": {
            "token": token,
            "side": request.side.value,
            "margin_usd": str(request.margin_usd),
            "leverage": str(request.leverage),
            "requested_venue": request.requested_venue.value,
            "holding_h": str(request.holding_h),
            "expires_at": _moment_told(request.expires_at),
        },
        "config": {
            "version": config.version,
            "priority": [venue.value for venue in config.priority_for(token)],
            "routing_strategy": config.routing_strategy.value,
            "failover_enabled": config.failover_enabled,
        },
        "views": {venue.value: _told(view, token) for venue, view in views.items()},
    }


def _told(view: VenueView, token: str) -> dict[str, Any]:
    funds = view.funds
    return {
        "market": None if view.market is None else _market_told(view.market),
        "funds": None
        if funds is None
        else {
            "equity_usd": str(funds.equity_usd),
            "free_margin_usd": str(funds.free_margin_usd),
            "has_position": token in funds.open_tokens,
            "has_pending_order": token in funds.pending_tokens,
        },
        "can_execute": view.can_execute,
        "is_enabled": view.is_enabled,
        "is_healthy": view.is_healthy,
        "is_stopped": view.is_stopped,
        "max_age_s": view.max_age.total_seconds(),
    }


def _market_told(market: Market) -> dict[str, Any]:
    return {
        "market_name": market.market_name,
        "size_multiplier": str(market.size_multiplier),
        "is_active": market.is_active,
        "group": market.group,
        "min_size": str(market.min_size),
        "min_notional_usd": str(market.min_notional_usd),
        "max_leverage": str(market.max_leverage),
        "taker_fee_bps": str(market.taker_fee_bps),
        "oracle_fee_usd": str(market.oracle_fee_usd),
        "price": _text(market.price),
        "spread_bps": _text(market.spread_bps),
        "volume_24h_usd": _text(market.volume_24h_usd),
        "funding_hourly": _text(market.funding_hourly),
        "is_open": market.is_open,
        "opens_at": _moment_told(market.opens_at),
        "last_synced": market.last_synced.isoformat(),
    }


def _view(venue: Venue, token: str, told: Mapping[str, Any]) -> VenueView:
    market, funds = told["market"], told["funds"]
    return VenueView(
        market=None if market is None else _market(venue, token, market),
        funds=None
        if funds is None
        else FundsAt(
            equity_usd=Decimal(funds["equity_usd"]),
            free_margin_usd=Decimal(funds["free_margin_usd"]),
            open_tokens=frozenset({token} if funds["has_position"] else ()),
            pending_tokens=frozenset({token} if funds["has_pending_order"] else ()),
        ),
        can_execute=told["can_execute"],
        is_enabled=told["is_enabled"],
        is_healthy=told["is_healthy"],
        is_stopped=told["is_stopped"],
        max_age=timedelta(seconds=told["max_age_s"]),
    )


def _market(venue: Venue, token: str, told: Mapping[str, Any]) -> Market:
    """Return the market as far as a decision reads it; everything else is left blank."""
    return Market(
        venue=venue,
        token=token,
        market_name=told["market_name"],
        market_index=0,
        size_multiplier=Decimal(told["size_multiplier"]),
        is_active=told["is_active"],
        group=told["group"],
        size_decimals=0,
        price_decimals=None,
        min_size=Decimal(told["min_size"]),
        min_notional_usd=Decimal(told["min_notional_usd"]),
        max_leverage=Decimal(told["max_leverage"]),
        taker_fee_bps=Decimal(told["taker_fee_bps"]),
        oracle_fee_usd=Decimal(told["oracle_fee_usd"]),
        price=_decimal(told["price"]),
        spread_bps=_decimal(told["spread_bps"]),
        volume_24h_usd=_decimal(told["volume_24h_usd"]),
        open_interest_usd=None,
        funding_hourly=_decimal(told["funding_hourly"]),
        change_24h=None,
        is_open=told["is_open"],
        opens_at=_moment(told["opens_at"]),
        last_synced=datetime.fromisoformat(told["last_synced"]),
    )


def _moment_told(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
