"""The order book that the venue shows: a deterministic ladder round the mid at every instant.

Spread and depth follow the market's daily volume. Nobody else trades in it, and what one order takes is there again for
the next; an order larger than the visible ladder is filled in part.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_sim.hyperliquid import rules
from agentwhere_sim.prices import noise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentwhere_sim.universe import HyperliquidMarket
    from agentwhere_sim.world import World

LEVELS = 20
_TOP_SHARE_OF_VOLUME = Decimal("0.00002")
_MIN_TOP_USD = Decimal(400)
_HALF_SPREADS_BPS = ((10**9, "0.05"), (10**8, "0.2"), (10**7, "0.5"), (10**6, "1"), (0, "2"))
_BASE_FUNDING = Decimal("0.0000125")
_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Level:
    """One price of the book with its size in coins and its number of orders."""

    price: Decimal
    size: Decimal
    orders: int


@dataclass(frozen=True, slots=True)
class Book:
    """Both sides, best first."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    def opposite(self, *, is_buy: bool) -> tuple[Level, ...]:
        """Give the side that an order of this direction takes from."""
        return self.asks if is_buy else self.bids


class Quotes:
    """Answer what a market quotes at any instant."""

    def __init__(self, world: World) -> None:
        self._world = world

    def fair(self, market: HyperliquidMarket, at_ms: int) -> Decimal:
        """Give the price that the book is built round: the canonical mid times the coin's multiplier."""
        symbol = market.underlying.symbol
        return self._world.prices.mid(symbol, at_ms, "hyperliquid") * market.multiplier

    def top(self, market: HyperliquidMarket, at_ms: int) -> tuple[Decimal, Decimal]:
        """Give best bid and best ask."""
        fair = self.fair(market, at_ms)
        half = max(fair * _half_spread(market), rules.tick(fair, market.sz_decimals) / 2)
        return (
            rules.floor_price(fair - half, market.sz_decimals),
            rules.ceil_price(fair + half, market.sz_decimals),
        )

    def mid(self, market: HyperliquidMarket, at_ms: int) -> Decimal:
        """Give the middle of best bid and best ask; also the mark price."""
        bid, ask = self.top(market, at_ms)
        return (bid + ask) / 2

    def oracle(self, market: HyperliquidMarket, at_ms: int) -> Decimal:
        """Give the oracle price, close to the mid."""
        basis = self._world.prices.basis("oracle", market.underlying.symbol, at_ms, 1.0)
        return rules.floor_price(self.fair(market, at_ms) * basis, market.sz_decimals)

    def premium(self, market: HyperliquidMarket, at_ms: int) -> Decimal:
        """Give the premium that funding follows."""
        swing = noise(f"{self._world.seed}:premium:{market.name}", at_ms / 1000 / _HOUR_S / 6)
        return Decimal(f"{swing * 0.0004:.8f}")

    def funding_rate(self, market: HyperliquidMarket, at_ms: int) -> Decimal:
        """Give the hourly funding rate: an eighth of premium plus clamped interest, as the venue's formula has it."""
        premium = self.premium(market, at_ms)
        interest = _BASE_FUNDING * 8
        clamped = min(max(interest - premium, Decimal("-0.0005")), Decimal("0.0005"))
        return (premium + clamped) / 8

    def book(self, market: HyperliquidMarket, at_ms: int) -> Book:
        """Build the ladder of an instant; empty for a delisted market."""
        if market.delisted:
            return Book((), ())
        bid, ask = self.top(market, at_ms)
        dice = random.Random(f"{self._world.seed}:{market.name}:{at_ms // 1000}")
        return Book(tuple(_side(market, bid, -1, dice)), tuple(_side(market, ask, 1, dice)))


def _half_spread(market: HyperliquidMarket) -> Decimal:
    bps = next(text for floor, text in _HALF_SPREADS_BPS if market.day_volume_usd >= floor)
    return Decimal(bps) / 10_000


def _side(
    market: HyperliquidMarket, best: Decimal, direction: int, dice: random.Random
) -> Iterator[Level]:
    top_usd = max(_MIN_TOP_USD, market.day_volume_usd * _TOP_SHARE_OF_VOLUME)
    step = best * (2 * _half_spread(market) + Decimal("0.00003"))
    price = best
    for depth in range(LEVELS):
        wanted = best + direction * step * depth
        tick = rules.tick(wanted, market.sz_decimals)
        if depth:
            rounded = (wanted / tick).to_integral_value() * tick
            price = max(rounded, price + tick) if direction > 0 else min(rounded, price - tick)
        if price <= 0:
            return
        share = Decimal(60 + dice.randrange(81)) / 100
        usd = top_usd * (1 + Decimal(depth) / 2) * share
        size = max(rules.floor_size(usd / price, market.sz_decimals), rules.lot(market.sz_decimals))
        yield Level(price, size, 1 + dice.randrange(3))
