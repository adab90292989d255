"""Where simulated prices come from: a seeded process, a pin that a test sets, or real venues that are followed.

The mid of a canonical symbol is a pure function of (seed, symbol, time, pins): no state advances, so any instant can be
asked for in any order, candles are samples of the same path, and a restarted simulator continues it. The process is a
sum of linearly interpolated noise over time scales from seconds to weeks, each scale's amplitude growing with the
square root of its period as Brownian motion's does; it stays near the level of ``underlyings.csv``.

A followed price stands over the process from its first observation on; before it the process leads up to it, so that
candles and yesterday's price exist. Each venue has its own, and a symbol that only another venue quotes has that one's.

Floats are the material of the noise only; what leaves this module is a ``Decimal`` of eight significant digits.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import deque
from datetime import timedelta
from decimal import Context, Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from agentwhere_sim.universe import underlyings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentwhere_sim.world import World

_DAY_S = 86_400.0
_PERIODS_S = tuple(16 * _DAY_S / 4**k for k in range(10))
_AMPLITUDE = 0.75
_DIGITS = Context(prec=8)
_FOLLOWED = "followed_prices"
_THINNED_MS = 300_000
_KEPT = 288
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pins (
    id INTEGER PRIMARY KEY, symbol TEXT NOT NULL, from_ms INTEGER NOT NULL, price TEXT)
"""


FOLLOWED_FIRST = ("hyperliquid", "lighter", "ostium")
"""Whose price a symbol has where the venue that is asked is not followed, or does not quote it."""


class Trail:
    """What was observed of one price: every observation now, one in five minutes of the last day."""

    def __init__(self, at_ms: int, price: Decimal) -> None:
        self.first_ms, self.first = at_ms, price
        self.last = at_ms, price
        self._kept: deque[tuple[int, Decimal]] = deque([self.last], maxlen=_KEPT)

    def add(self, at_ms: int, price: Decimal) -> None:
        """Take an observation."""
        if at_ms - self._kept[-1][0] >= _THINNED_MS:
            self._kept.append(self.last)
        self.last = at_ms, price

    def at(self, instant: int) -> Decimal | None:
        """Give the newest price that was known at an instant, or None before the first."""
        if instant >= self.last[0]:
            return self.last[1]
        if instant < self._kept[0][0]:
            return None
        position = bisect_right(self._kept, instant, key=lambda seen: seen[0])
        return self._kept[position - 1][1]


class Prices:
    """Answer what a canonical symbol was worth at any instant, and hold the pins."""

    def __init__(self, world: World) -> None:
        self._world = world
        world.db.define(_SCHEMA)
        world.on_reset(self.reload)
        self.reload()

    def reload(self) -> None:
        """Read the pins and the last followed prices from memory."""
        remembered = json.loads(self._world.db.get(_FOLLOWED) or "{}")
        self._followed = {
            venue: {symbol: Trail(at_ms, Decimal(price)) for symbol, (at_ms, price) in seen.items()}
            for venue, seen in remembered.items()
        }
        self._pins: dict[str, list[tuple[int, Decimal | None]]] = {}
        for row in self._world.db.query("SELECT symbol, from_ms, price FROM pins ORDER BY id"):
            price = None if row["price"] is None else Decimal(row["price"])
            self._pins.setdefault(row["symbol"], []).append((row["from_ms"], price))

    def mid(self, symbol: str, at_ms: int | None = None, venue: str = "") -> Decimal:
        """Tell the mid price of a canonical symbol at an instant (default: now), at a venue where that is followed.

        Raises ``KeyError`` if the symbol is unknown.
        """
        instant = self._world.now_ms() if at_ms is None else at_ms
        history = self._pins.get(symbol)
        if history:
            position = bisect_right(history, instant, key=lambda pin: pin[0])
            pinned = history[position - 1][1] if position else None
            if pinned is not None:
                return pinned
        trail = self._trail(symbol, venue)
        if trail is not None:
            observed = trail.at(instant)
            if observed is not None:
                return observed
            began = self._process(symbol, trail.first_ms)
            return _DIGITS.multiply(trail.first, self._process(symbol, instant) / began)
        return self._process(symbol, instant)

    def _process(self, symbol: str, instant: int) -> Decimal:
        underlying = underlyings()[symbol]
        drift = wander(f"{self._world.seed}:{symbol}", instant / 1000)
        factor = math.exp(underlying.daily_volatility * drift)
        return _DIGITS.multiply(underlying.price_usd, _DIGITS.create_decimal_from_float(factor))

    def basis(self, venue: str, symbol: str, at_ms: int, spread_bps: float) -> Decimal:
        """Tell the factor by which a venue's mid differs from the canonical one, within about ``spread_bps``."""
        if symbol in self._followed.get(venue, {}):
            return Decimal(1)
        swing = math.tanh(noise(f"{self._world.seed}:{venue}:{symbol}", at_ms / 1000 / 900))
        return 1 + Decimal(f"{swing * spread_bps:.3f}") / 10_000

    def pin(self, wishes: Mapping[str, Decimal | None]) -> None:
        """Hold the mids of canonical symbols from now on; ``None`` releases one to the process.

        Raises
        ------
        ValueError
            If a symbol is unknown or a price is not positive; nothing is pinned then.
        """
        for symbol, price in wishes.items():
            if symbol not in underlyings():
                raise ValueError(
                    f"no market is called {symbol!r}; pins take canonical symbols such as BTC or PEPE"
                )
            if price is not None and (not price.is_finite() or price <= 0):
                raise ValueError(f"{symbol} cannot be pinned to {price}: a price is positive")
        now_ms = self._world.now_ms()
        with self._world.db.transaction():
            for symbol, price in wishes.items():
                self._world.db.execute(
                    "INSERT INTO pins (symbol, from_ms, price) VALUES (?, ?, ?)",
                    (symbol, now_ms, None if price is None else str(price)),
                )
        self.reload()
        self._world.tick()

    def follow(self, venue: str, observed: Mapping[str, Decimal]) -> None:
        """Take over what a real venue quotes now, by canonical symbol, in the symbol's own units."""
        now_ms = self._world.now_ms()
        trails = self._followed.setdefault(venue, {})
        for symbol, price in observed.items():
            if symbol not in trails:
                trails[symbol] = Trail(now_ms, price)
            trails[symbol].add(now_ms, price)
        last = {
            venue: {symbol: trail.last for symbol, trail in trails.items()}
            for venue, trails in self._followed.items()
        }
        self._world.db.put(_FOLLOWED, json.dumps(last, default=str))
        self._world.tick()

    def followed(self) -> dict[str, dict[str, str]]:
        """List the newest followed prices by venue."""
        return {
            venue: {symbol: str(trail.last[1]) for symbol, trail in trails.items()}
            for venue, trails in self._followed.items()
        }

    def _trail(self, symbol: str, venue: str) -> Trail | None:
        venues = (venue, *(other for other in FOLLOWED_FIRST if other != venue))
        found = (self._followed.get(one, {}).get(symbol) for one in venues)
        return next((trail for trail in found if trail is not None), None)

    def pinned(self) -> dict[str, str]:
        """List the pins in force."""
        return {
            symbol: str(pins[-1][1])
            for symbol, pins in self._pins.items()
            if pins[-1][1] is not None
        }

    def day_before_ms(self, at_ms: int) -> int:
        """Give the instant 24 hours earlier."""
        return at_ms - int(timedelta(days=1).total_seconds() * 1000)


def wander(key: str, seconds: float) -> float:
    """Give the log-price offset in units of daily volatility."""
    return sum(weight * noise(scale, seconds / period) for scale, period, weight in _scales(key))


def noise(key: str, position: float) -> float:
    """Give a linearly interpolated noise of unit size: deterministic, continuous, mean zero."""
    left = math.floor(position)
    weight = position - left
    return _lattice(key, left) * (1 - weight) + _lattice(key, left + 1) * weight


@lru_cache(maxsize=4096)
def _scales(key: str) -> tuple[tuple[str, float, float], ...]:
    return tuple(
        (f"{key}:{period:.0f}", period, _AMPLITUDE * math.sqrt(period / _DAY_S))
        for period in _PERIODS_S
    )


@lru_cache(maxsize=200_000)
def _lattice(key: str, index: int) -> float:
    digest = blake2b(f"{key}:{index}".encode(), digest_size=8).digest()
    high, low = int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:], "big")
    return (high + low) / 2**32 * math.sqrt(6) - math.sqrt(6)
