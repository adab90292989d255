"""Scenes, trades and standings as JSON, and back: what is kept of a decision so that it can be made again (R6).

Numbers are kept as decimal text, so that nothing is lost on the way. Of a market, what a decision reads is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from agentwhere_core.domain.enums import RoutingStrategy, Side, Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.market import Book, Market, OracleImpact
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.routing import FundsAt, RoutingConfig
from agentwhere_core.where.scene import RouteRequest, Scene, Site, Standing

VERSION = 2

_Levels = tuple[tuple[Decimal, Decimal], ...]


def tell_scene(scene: Scene) -> dict[str, Any]:
    """Return a scene as JSON."""
    config = scene.config
    return {
        "version": VERSION,
        "token": scene.token,
        "now": scene.now.isoformat(),
        "config": {
            "version": config.version,
            "priority": [venue.value for venue in config.priority_for(scene.token)],
            "routing_strategy": config.routing_strategy.value,
            "failover_enabled": config.failover_enabled,
        },
        "sites": {venue.value: _tell_site(site) for venue, site in scene.sites.items()},
    }


def read_scene(told: Mapping[str, Any]) -> Scene:
    """Return the scene that `tell_scene` told.

    Raises
    ------
    ConfigurationError
        If it was told by a version of the router that this one does not know.
    """
    if told.get("version") != VERSION:
        raise ConfigurationError(
            f"a routing scene of version {told.get('version')!r} cannot be replayed by a router "
            f"of version {VERSION}; use the release that wrote it"
        )
    config, token = told["config"], told["token"]
    return Scene(
        token,
        RoutingConfig(
            venue_priority=tuple(Venue(name) for name in config["priority"]),
            routing_strategy=RoutingStrategy(config["routing_strategy"]),
            failover_enabled=config["failover_enabled"],
            version=config["version"],
        ),
        {Venue(name): _site(Venue(name), token, site) for name, site in told["sites"].items()},
        datetime.fromisoformat(told["now"]),
    )


def tell_trade(
    request: RouteRequest, standings: Mapping[Venue, Standing]
) -> dict[str, dict[str, Any]]:
    """Return a trade, and what its deployment can do at each venue, as JSON."""
    expires_at = request.expires_at
    return {
        "request": {
            "token": request.token,
            "side": request.side.value,
            "margin_usd": str(request.margin_usd),
            "leverage": str(request.leverage),
            "requested_venue": request.requested_venue.value,
            "holding_h": str(request.holding_h),
            "expires_at": None if expires_at is None else expires_at.isoformat(),
        },
        "standings": {
            venue.value: _tell_standing(standing, request.token)
            for venue, standing in standings.items()
        },
    }


def read_trade(told: Mapping[str, Any]) -> tuple[RouteRequest, dict[Venue, Standing]]:
    """Return what `tell_trade` told."""
    request = told["request"]
    token = request["token"]
    return (
        RouteRequest(
            token=token,
            side=Side(request["side"]),
            margin_usd=Decimal(request["margin_usd"]),
            leverage=Decimal(request["leverage"]),
            requested_venue=Venue(request["requested_venue"]),
            holding_h=Decimal(request["holding_h"]),
            expires_at=_moment(request["expires_at"]),
        ),
        {Venue(name): _standing(item, token) for name, item in told["standings"].items()},
    )


def _tell_standing(standing: Standing, token: str) -> dict[str, Any]:
    """Return money, and of the rest what is true: most accounts are free to trade, and rows are many."""
    funds = standing.funds
    told: dict[str, Any] = {}
    if standing.is_stopped:
        told["is_stopped"] = True
    if standing.barred is not None:
        told["barred"] = list(standing.barred)
    if funds is not None:
        told["equity_usd"] = str(funds.equity_usd)
        told["free_margin_usd"] = str(funds.free_margin_usd)
        if token in funds.open_tokens:
            told["has_position"] = True
        if token in funds.pending_tokens:
            told["has_pending_order"] = True
    return told


def _standing(told: Mapping[str, Any], token: str) -> Standing:
    is_stopped, barred = told.get("is_stopped", False), None
    if "barred" in told:
        reason, why = told["barred"]
        barred = Reason(reason), why
    if "equity_usd" not in told:
        return Standing(None, is_stopped, barred)
    return Standing(
        FundsAt(
            equity_usd=Decimal(told["equity_usd"]),
            free_margin_usd=Decimal(told["free_margin_usd"]),
            open_tokens=frozenset({token} if told.get("has_position") else ()),
            pending_tokens=frozenset({token} if told.get("has_pending_order") else ()),
        ),
        is_stopped,
        barred,
    )


def _tell_site(site: Site) -> dict[str, Any]:
    return {
        "market": None if site.market is None else _tell_market(site.market),
        "book": None if site.book is None else _tell_book(site.book),
        "can_execute": site.can_execute,
        "is_enabled": site.is_enabled,
        "is_healthy": site.is_healthy,
        "is_stopped": site.is_stopped,
        "max_age_s": site.max_age.total_seconds(),
    }


def _site(venue: Venue, token: str, told: Mapping[str, Any]) -> Site:
    market, book = told["market"], told["book"]
    return Site(
        market=None if market is None else _market(venue, token, market),
        book=None if book is None else _book(venue, token, book),
        can_execute=told["can_execute"],
        is_enabled=told["is_enabled"],
        is_healthy=told["is_healthy"],
        is_stopped=told["is_stopped"],
        max_age=timedelta(seconds=told["max_age_s"]),
    )


def _tell_book(book: Book) -> dict[str, Any]:
    return {
        "bids": [[str(price), str(size)] for price, size in book.bids],
        "asks": [[str(price), str(size)] for price, size in book.asks],
        "at": book.at.isoformat(),
    }


def _book(venue: Venue, token: str, told: Mapping[str, Any]) -> Book:
    bids, asks = _levels(told["bids"]), _levels(told["asks"])
    return Book(venue, token, bids, asks, datetime.fromisoformat(told["at"]))


def _levels(told: list[list[str]]) -> _Levels:
    return tuple((Decimal(price), Decimal(size)) for price, size in told)


def _tell_market(market: Market) -> dict[str, Any]:
    return {
        "market_name": market.market_name,
        "size_multiplier": str(market.size_multiplier),
        "is_active": market.is_active,
        "group": market.group,
        "min_size": str(market.min_size),
        "min_notional_usd": str(market.min_notional_usd),
        "max_leverage": str(market.max_leverage),
        "taker_fee_bps": str(market.taker_fee_bps),
        "close_fee_bps": _text(market.close_fee_bps),
        "oracle_fee_usd": str(market.oracle_fee_usd),
        "gas_fee_usd": str(market.gas_fee_usd),
        "price": _text(market.price),
        "spread_bps": _text(market.spread_bps),
        "volume_24h_usd": _text(market.volume_24h_usd),
        "funding_hourly": _text(market.funding_hourly),
        "rollover_hourly": _text(market.rollover_hourly),
        "long_headroom_usd": _text(market.long_headroom_usd),
        "short_headroom_usd": _text(market.short_headroom_usd),
        "oracle_impact": tell_oracle_impact(market.oracle_impact),
        "is_open": market.is_open,
        "opens_at": None if market.opens_at is None else market.opens_at.isoformat(),
        "last_synced": market.last_synced.isoformat(),
    }


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
        close_fee_bps=_decimal(told["close_fee_bps"]),
        gas_fee_usd=Decimal(told["gas_fee_usd"]),
        rollover_hourly=_decimal(told["rollover_hourly"]),
        long_headroom_usd=_decimal(told["long_headroom_usd"]),
        short_headroom_usd=_decimal(told["short_headroom_usd"]),
        oracle_impact=read_oracle_impact(told["oracle_impact"]),
    )


def tell_oracle_impact(impact: OracleImpact | None) -> dict[str, str] | None:
    """Return the terms of an oracle's price impact as JSON."""
    if impact is None:
        return None
    return {
        "per_usd": str(impact.per_usd),
        "threshold_usd": str(impact.threshold_usd),
        "buy_volume_usd": str(impact.buy_volume_usd),
        "sell_volume_usd": str(impact.sell_volume_usd),
    }


def read_oracle_impact(told: Mapping[str, str] | None) -> OracleImpact | None:
    """Return what `tell_oracle_impact` told."""
    if told is None:
        return None
    return OracleImpact(**{name: Decimal(text) for name, text in told.items()})


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
