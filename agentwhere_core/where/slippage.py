"""How far from mid a round trip fills, by what is known of a market: its book, its oracle's terms, or neither.

Three models, all for a position that is opened at market and closed at market, against the market as it is now. Each
gives the spread (half of it on the way in, half on the way out) and the impact of a size on top, both ways. Impact is
zero for no size, never falls with size, and its marginal cost never falls either: that makes splitting a convex
problem.

`BookWalk` takes levels from both sides of the book. A book is shown to a certain depth only; beyond it the distance
from mid is taken to go on growing in proportion to the size, as it does where liquidity is spread evenly.

`OracleTerms` follows Ostium's dynamic spread: volume of one side beyond a threshold moves the next price to that side
by ``per_usd`` for each dollar, so that a trade of x dollars after a volume v costs ``per_usd ÷ 2 × ((v + x − T)₊² −
(v − T)₊²)`` (``TradingCallbacksLib`` of its contracts). Volumes decay with time, which is left out: an upper bound.

`SquareRootLaw` is for markets of which only the day's volume is known: ``daily volatility × √(notional ÷ daily
volume)`` per side (Almgren et al., "Direct Estimation of Equity Market Impact", 2005; Tóth et al., "Anomalous Price
Impact", 2011), with a rough volatility per kind of market. Where the volume is unknown too, the order is taken for a
hundredth of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.market import Book, Market, OracleImpact

UNKNOWN_SPREAD_BPS = Decimal(10)
UNKNOWN_PARTICIPATION = Decimal("0.01")
ORACLE_PRICED = frozenset({Venue.OSTIUM})

DAILY_VOLATILITY_BPS = {
    "CRYPTO": Decimal(300),
    "STOCK": Decimal(200),
    "COMMODITY": Decimal(150),
    "INDEX": Decimal(100),
    "FX": Decimal(50),
}

_BPS = Decimal(10_000)
_ZERO = Decimal(0)


class Slippage(Protocol):
    """What both fills of a round trip lose against mid."""

    @property
    def spread_bps(self) -> Decimal:
        """Width between the best prices in basis points of mid: half of it each way."""
        ...

    def impact_usd(self, notional_usd: Decimal) -> Decimal:
        """Return what a position of this size loses beyond the spread, both ways together."""
        ...


def slippage_of(market: Market, book: Book | None = None) -> Slippage:
    """Return the best model that what is known allows; a book with an empty side says nothing."""
    if book is not None and book.bids and book.asks:
        return BookWalk(book)
    spread_bps = UNKNOWN_SPREAD_BPS if market.spread_bps is None else market.spread_bps
    if market.venue in ORACLE_PRICED:
        return OracleTerms(spread_bps, market.oracle_impact)
    return SquareRootLaw(spread_bps, market)


class BookWalk:
    """Take from both sides of a book, level by level."""

    __slots__ = ("_sides", "spread_bps")

    def __init__(self, book: Book) -> None:
        mid = book.mid
        self.spread_bps = (book.asks[0][0] - book.bids[0][0]) / mid * _BPS
        self._sides = (_Side(book.bids, mid), _Side(book.asks, mid))

    def impact_usd(self, notional_usd: Decimal) -> Decimal:
        """Return what is lost beyond the best prices."""
        return sum((side.impact_usd(notional_usd) for side in self._sides), _ZERO)


class _Side:
    """One side of a book: dollars available up to each level, and what taking them costs beyond the best price."""

    __slots__ = ("_best", "_costs", "_depths", "_distances")

    def __init__(self, levels: Sequence[tuple[Decimal, Decimal]], mid: Decimal) -> None:
        self._distances = [abs(price - mid) / mid for price, _ in levels]
        self._best = self._distances[0]
        self._depths, self._costs = [_ZERO], [_ZERO]
        for distance, (_, size) in zip(self._distances, levels, strict=True):
            usd = size * mid
            self._depths.append(self._depths[-1] + usd)
            self._costs.append(self._costs[-1] + usd * (distance - self._best))

    def impact_usd(self, notional_usd: Decimal) -> Decimal:
        level = bisect_right(self._depths, notional_usd) - 1
        rest = notional_usd - self._depths[level]
        if level < len(self._distances):
            return self._costs[level] + rest * (self._distances[level] - self._best)
        depth, last = self._depths[-1], self._distances[-1]
        if depth == 0:
            return _ZERO
        beyond = last * (notional_usd * notional_usd - depth * depth) / (2 * depth)
        return self._costs[-1] + beyond - rest * self._best


@dataclass(frozen=True, slots=True)
class OracleTerms:
    """Fill at an oracle's bid and ask, moved by recent flow to one side."""

    spread_bps: Decimal
    terms: OracleImpact | None

    def impact_usd(self, notional_usd: Decimal) -> Decimal:
        """Return what flow beyond the threshold costs."""
        terms = self.terms
        if terms is None:
            return _ZERO
        total = _ZERO
        for volume in (terms.buy_volume_usd, terms.sell_volume_usd):
            before = max(volume - terms.threshold_usd, _ZERO)
            after = max(volume + notional_usd - terms.threshold_usd, _ZERO)
            total += terms.per_usd / 2 * (after * after - before * before)
        return total


class SquareRootLaw:
    """Estimate impact from the day's volume."""

    __slots__ = ("_daily", "_volume", "spread_bps")

    def __init__(self, spread_bps: Decimal, market: Market) -> None:
        self.spread_bps = spread_bps
        self._volume = market.volume_24h_usd or None
        self._daily = DAILY_VOLATILITY_BPS.get(market.group, DAILY_VOLATILITY_BPS["CRYPTO"]) / _BPS

    def impact_usd(self, notional_usd: Decimal) -> Decimal:
        """Return the law's impact on both ways."""
        share = notional_usd / self._volume if self._volume else UNKNOWN_PARTICIPATION
        return 2 * self._daily * share.sqrt() * notional_usd
