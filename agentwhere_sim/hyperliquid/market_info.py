"""``/info`` questions about markets: universe, prices, book, candles, funding."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agentwhere_sim.hyperliquid import rules
from agentwhere_sim.prices import noise
from agentwhere_sim.universe import hyperliquid_by_name, hyperliquid_markets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentwhere_sim.hyperliquid.book import Level, Quotes
    from agentwhere_sim.universe import HyperliquidMarket
    from agentwhere_sim.world import World

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS
_INTERVALS_MS = {
    "1m": _MINUTE_MS,
    "3m": 3 * _MINUTE_MS,
    "5m": 5 * _MINUTE_MS,
    "15m": 15 * _MINUTE_MS,
    "30m": 30 * _MINUTE_MS,
    "1h": _HOUR_MS,
    "2h": 2 * _HOUR_MS,
    "4h": 4 * _HOUR_MS,
    "8h": 8 * _HOUR_MS,
    "12h": 12 * _HOUR_MS,
    "1d": _DAY_MS,
    "3d": 3 * _DAY_MS,
    "1w": 7 * _DAY_MS,
}
_MOST_CANDLES = 5000
_MOST_FUNDINGS = 500
_SAMPLES_PER_CANDLE = 6
_USDC = {
    "name": "USDC",
    "szDecimals": 8,
    "weiDecimals": 8,
    "index": 0,
    "tokenId": "0x6d1e7cde53ba9467b783cb7c530ce054",
    "isCanonical": True,
    "evmContract": None,
    "fullName": None,
}
_PURR = {
    "name": "PURR",
    "szDecimals": 0,
    "weiDecimals": 5,
    "index": 1,
    "tokenId": "0xc1fb593aeffbeb02f85e0308e9956a90",
    "isCanonical": True,
    "evmContract": None,
    "fullName": None,
}


class MarketInfo:
    """Answer questions that concern no user."""

    def __init__(self, world: World, quotes: Quotes) -> None:
        self._world = world
        self._quotes = quotes
        self.questions: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "meta": self._meta,
            "metaAndAssetCtxs": self._meta_and_contexts,
            "spotMeta": self._spot_meta,
            "perpDexs": lambda _question: [None],
            "allMids": self._all_mids,
            "l2Book": self._l2_book,
            "candleSnapshot": self._candles,
            "fundingHistory": self._funding_history,
        }

    def _meta(self, question: Mapping[str, Any]) -> Any:
        if question.get("dex"):
            raise ValueError(f"no dex called {question['dex']}")
        return {
            "universe": [_universe_entry(market) for market in hyperliquid_markets()],
            "marginTables": [],
        }

    def _meta_and_contexts(self, question: Mapping[str, Any]) -> Any:
        now_ms = self._world.now_ms()
        return [
            self._meta(question),
            [self._context(market, now_ms) for market in hyperliquid_markets()],
        ]

    def _context(self, market: HyperliquidMarket, at_ms: int) -> dict[str, Any]:
        mark = self._quotes.mid(market, at_ms)
        before = self._quotes.mid(market, at_ms - _DAY_MS)
        volume = self._volume(market, at_ms - _DAY_MS, at_ms)
        context: dict[str, Any] = {
            "funding": "0.0",
            "openInterest": rules.text(market.open_interest),
            "prevDayPx": rules.text(before),
            "dayNtlVlm": rules.text(rules.usd(volume)),
            "premium": None,
            "oraclePx": rules.text(self._quotes.oracle(market, at_ms)),
            "markPx": rules.text(mark),
            "midPx": None,
            "impactPxs": None,
            "dayBaseVlm": rules.text(rules.floor_size(volume / mark, market.sz_decimals)),
        }
        if not market.delisted:
            bid, ask = self._quotes.top(market, at_ms)
            context |= {
                "funding": rules.text(round(self._quotes.funding_rate(market, at_ms), 10)),
                "premium": rules.text(self._quotes.premium(market, at_ms)),
                "midPx": rules.text(mark),
                "impactPxs": [rules.text(bid), rules.text(ask)],
            }
        return context

    def _volume(self, market: HyperliquidMarket, start_ms: int, end_ms: int) -> Decimal:
        share = Decimal(end_ms - start_ms) / _DAY_MS
        swing = noise(f"{self._world.seed}:volume:{market.name}", start_ms / _HOUR_MS)
        return market.day_volume_usd * share * Decimal(f"{max(1 + 0.3 * swing, 0.1):.4f}")

    def _spot_meta(self, _question: Mapping[str, Any]) -> Any:
        pair = {"name": "PURR/USDC", "tokens": [1, 0], "index": 0, "isCanonical": True}
        return {"universe": [pair], "tokens": [_USDC, _PURR]}

    def _all_mids(self, question: Mapping[str, Any]) -> Any:
        if question.get("dex"):
            raise ValueError(f"no dex called {question['dex']}")
        now_ms = self._world.now_ms()
        return {
            market.name: rules.text(self._quotes.mid(market, now_ms))
            for market in hyperliquid_markets()
            if not market.delisted
        }

    def _l2_book(self, question: Mapping[str, Any]) -> Any:
        market = hyperliquid_by_name().get(question["coin"])
        if market is None:
            return None
        now_ms = self._world.now_ms()
        book = self._quotes.book(market, now_ms)
        levels = [[_level(level) for level in side] for side in (book.bids, book.asks)]
        return {"coin": market.name, "time": now_ms, "levels": levels}

    def _candles(self, question: Mapping[str, Any]) -> Any:
        wanted = question["req"]
        market, interval = hyperliquid_by_name()[wanted["coin"]], wanted["interval"]
        length = _INTERVALS_MS[interval]
        now_ms = self._world.now_ms()
        end_ms = min(int(wanted.get("endTime") or now_ms), now_ms)
        first = int(wanted["startTime"]) // length * length
        opens = range(
            max(first, end_ms // length * length - (_MOST_CANDLES - 1) * length), end_ms + 1, length
        )
        return [self._candle(market, interval, open_ms, length, now_ms) for open_ms in opens]

    def _candle(
        self, market: HyperliquidMarket, interval: str, open_ms: int, length: int, now_ms: int
    ) -> dict[str, Any]:
        close_ms = open_ms + length - 1
        seen_ms = min(close_ms, now_ms)
        instants = [
            open_ms + length * step // _SAMPLES_PER_CANDLE for step in range(_SAMPLES_PER_CANDLE)
        ]
        path = [self._traded(market, at) for at in instants if at <= seen_ms] + [
            self._traded(market, seen_ms)
        ]
        volume = self._volume(market, open_ms, seen_ms + 1) / path[-1]
        return {
            "T": close_ms,
            "c": rules.text(path[-1]),
            "h": rules.text(max(path)),
            "i": interval,
            "l": rules.text(min(path)),
            "n": max(1, int(volume * path[-1] / 2500)),
            "o": rules.text(path[0]),
            "s": market.name,
            "t": open_ms,
            "v": rules.text(rules.floor_size(volume, market.sz_decimals)),
        }

    def _traded(self, market: HyperliquidMarket, at_ms: int) -> Decimal:
        return rules.floor_price(self._quotes.fair(market, at_ms), market.sz_decimals)

    def _funding_history(self, question: Mapping[str, Any]) -> Any:
        market = hyperliquid_by_name()[question["coin"]]
        now_ms = self._world.now_ms()
        end_ms = min(int(question.get("endTime") or now_ms), now_ms)
        first = -(-int(question["startTime"]) // _HOUR_MS) * _HOUR_MS
        hours = range(first, end_ms + 1, _HOUR_MS)[:_MOST_FUNDINGS]
        return [
            {
                "coin": market.name,
                "fundingRate": rules.text(round(self._quotes.funding_rate(market, at_ms), 10)),
                "premium": rules.text(self._quotes.premium(market, at_ms)),
                "time": at_ms,
            }
            for at_ms in hours
        ]


def _universe_entry(market: HyperliquidMarket) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "szDecimals": market.sz_decimals,
        "name": market.name,
        "maxLeverage": market.max_leverage,
        "marginTableId": market.max_leverage,
    }
    if market.only_isolated:
        entry["onlyIsolated"] = True
    if market.delisted:
        entry["isDelisted"] = True
    return entry


def _level(level: Level) -> dict[str, Any]:
    return {"px": rules.text(level.price), "sz": rules.text(level.size), "n": level.orders}
