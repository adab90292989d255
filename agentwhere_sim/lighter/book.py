"""The order book that the venue shows: built afresh round the mid at every instant.

Nobody else trades in it; what one order takes is there again for the next.
"""

from __future__ import annotations

import random
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from agentwhere_sim.prices import noise

if TYPE_CHECKING:
    from agentwhere_sim.universe import LighterMarket
    from agentwhere_sim.world import World

LEVELS = 40
_HALF_SPREADS_BPS = ((10**9, "0.1"), (10**8, "0.4"), (10**7, "1"), (0, "3"))
_BASE_FUNDING = Decimal("0.000012")
_FUNDING_PERIOD_S = 6 * 3600


class Quotes:
    """Answer what a Lighter market quotes."""

    def __init__(self, world: World) -> None:
        self._world = world

    def mid(self, market: LighterMarket, at_ms: int) -> Decimal:
        """Give the mid of an instant in units of the venue's symbol."""
        symbol = market.underlying.symbol
        basis = self._world.prices.basis("lighter", symbol, at_ms, 2.0)
        return self._world.prices.mid(symbol, at_ms, "lighter") * market.multiplier * basis

    def top(self, market: LighterMarket, at_ms: int) -> tuple[Decimal, Decimal]:
        """Give best bid and best ask."""
        mid, tick = self.mid(market, at_ms), step(market.price_decimals)
        half = max(mid * _half_spread(market), tick / 2)
        bid = ((mid - half) / tick).to_integral_value(ROUND_FLOOR) * tick
        ask = ((mid + half) / tick).to_integral_value(ROUND_CEILING) * tick
        return max(bid, tick), ask

    def side(
        self, market: LighterMarket, at_ms: int, *, asks: bool, limit: int
    ) -> list[tuple[Decimal, Decimal]]:
        """Give the best (price, size) levels of one side."""
        bid, ask = self.top(market, at_ms)
        best, direction = (ask, 1) if asks else (bid, -1)
        tick = step(market.price_decimals)
        dice = random.Random(f"{self._world.seed}:{market.symbol}:{asks}:{at_ms // 1000}")
        gap = max(((best * _half_spread(market)) / tick).to_integral_value() * tick, tick)
        top_usd = max(Decimal(300), market.day_volume_usd / 100_000)
        levels = []
        for depth in range(limit):
            price = best + direction * gap * depth
            if price <= 0:
                break
            usd = top_usd * (1 + Decimal(depth) / 3) * Decimal(50 + dice.randrange(101)) / 100
            size = (usd / price).quantize(step(market.size_decimals), ROUND_CEILING)
            levels.append((price, size))
        return levels

    def funding_rate(self, market: LighterMarket, at_ms: int) -> Decimal:
        """Give the hourly funding rate: positive when longs pay."""
        swing = noise(
            f"{self._world.seed}:lighter-premium:{market.symbol}", at_ms / 1000 / _FUNDING_PERIOD_S
        )
        return _BASE_FUNDING + Decimal(f"{swing * 0.00004:.8f}")


def step(decimals: int) -> Decimal:
    """Give the smallest step of a number with so many decimals."""
    return Decimal(1).scaleb(-decimals)


def _half_spread(market: LighterMarket) -> Decimal:
    return (
        Decimal(next(bps for floor, bps in _HALF_SPREADS_BPS if market.day_volume_usd >= floor))
        / 10_000
    )
