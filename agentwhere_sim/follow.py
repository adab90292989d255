"""Follow real venues: poll their public prices, and let the simulated ones be worth the same.

For paper trading. Each venue is read by one public request in its own words, and by itself: while one cannot be
reached its prices stand still, and that is logged. Nothing is ever sent there but these questions.
"""

from __future__ import annotations

import asyncio
import json
import logging
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from agentwhere_sim.universe import hyperliquid_by_name, lighter_markets, ostium_pairs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    import httpx

    from agentwhere_sim.world import World

    Reader = Callable[[httpx.AsyncClient, str, World], Awaitable[dict[str, Decimal]]]

POLL_S = 2.0
_TIMEOUT_S = 10.0
_log = logging.getLogger(__name__)


async def follow(world: World, sources: Mapping[str, str]) -> None:
    """Poll every source until cancelled; ``sources`` are base URLs by venue."""
    import httpx

    async with httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False) as http:
        await asyncio.gather(*(_follow_one(http, world, *source) for source in sources.items()))


async def _follow_one(http: httpx.AsyncClient, world: World, venue: str, url: str) -> None:
    import httpx

    is_silent = False
    while True:
        try:
            world.prices.follow(venue, await READERS[venue](http, url.rstrip("/"), world))
            is_silent = False
        except (httpx.HTTPError, ValueError, KeyError, TypeError, InvalidOperation) as error:
            if not is_silent:
                _log.warning("prices of %s stand still: %s cannot be read: %r", venue, url, error)
            is_silent = True
        await asyncio.sleep(POLL_S)


async def _hyperliquid(http: httpx.AsyncClient, url: str, _world: World) -> dict[str, Decimal]:
    """Read all mids; one coin may be a thousand of what its symbol names."""
    mids = _json(await http.post(f"{url}/info", json={"type": "allMids"}))
    known = hyperliquid_by_name()
    return {
        known[name].underlying.symbol: price / known[name].multiplier
        for name, text in mids.items()
        if name in known and (price := Decimal(text)) > 0
    }


async def _lighter(http: httpx.AsyncClient, url: str, _world: World) -> dict[str, Decimal]:
    """Read the last trade of every market: the venue's one list that has a price for each."""
    details = _json(await http.get(f"{url}/api/v1/orderBookDetails"))
    known = {market.symbol: market for market in lighter_markets()}
    return {
        market.underlying.symbol: price / market.multiplier
        for detail in details["order_book_details"]
        if (market := known.get(detail["symbol"])) is not None
        and (price := Decimal(str(detail["last_trade_price"]))) > 0
    }


async def _ostium(http: httpx.AsyncClient, url: str, world: World) -> dict[str, Decimal]:
    """Read the oracle's prices, and which markets trade now."""
    listed = _json(await http.get(f"{url}/PricePublish/latest-prices"))
    known = {(pair.base, pair.quote): pair.underlying.symbol for pair in ostium_pairs()}
    quoted = {
        symbol: (Decimal(str(price["mid"])), bool(price["isMarketOpen"]))
        for price in listed
        if (symbol := known.get((price["from"], price["to"]))) is not None
    }
    for symbol, is_open in _changed(world, quoted):
        world.hours.override(symbol, "open" if is_open else "closed")
    return {symbol: price for symbol, (price, _) in quoted.items() if price > 0}


def _changed(
    world: World, quoted: Mapping[str, tuple[Decimal, bool]]
) -> Iterator[tuple[str, bool]]:
    """Give the symbols whose market opened or closed since the last poll."""
    for symbol, (_, is_open) in quoted.items():
        if world.hours.held(symbol) != ("open" if is_open else "closed"):
            yield symbol, is_open


def _json(reply: httpx.Response) -> Any:
    return json.loads(reply.raise_for_status().content, parse_float=Decimal)


READERS: Mapping[str, Reader] = {
    "hyperliquid": _hyperliquid,
    "lighter": _lighter,
    "ostium": _ostium,
}
