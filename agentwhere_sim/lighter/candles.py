"""``candles``: bars of a market's path, sampled from the same process that its book is built round.

Shapes as lighter-sdk 1.1.8 reads them: times in milliseconds, prices as numbers, at most 500 bars of a call, zero
values left out. A bar is there from the moment it opens; the last one is still forming.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from agentwhere_sim.lighter.book import step
from agentwhere_sim.lighter.refusals import invalid
from agentwhere_sim.universe import lighter_markets

if TYPE_CHECKING:
    from starlette.requests import Request

    from agentwhere_sim.lighter.book import Quotes
    from agentwhere_sim.universe import LighterMarket
    from agentwhere_sim.world import World

_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_RESOLUTIONS_MS = {
    "1m": _MINUTE_MS,
    "5m": 5 * _MINUTE_MS,
    "15m": 15 * _MINUTE_MS,
    "30m": 30 * _MINUTE_MS,
    "1h": 60 * _MINUTE_MS,
    "4h": 240 * _MINUTE_MS,
    "12h": 720 * _MINUTE_MS,
    "1d": _DAY_MS,
    "1w": 7 * _DAY_MS,
}
_MOST = 500
_SAMPLES = 6


class Candles:
    """Answer what a market's price did."""

    def __init__(self, world: World, quotes: Quotes) -> None:
        self._world = world
        self._quotes = quotes

    async def candles(self, request: Request) -> Response:
        """List the bars of one market between two moments, the last ``count_back`` of them."""
        question = request.query_params
        market = next(
            (one for one in lighter_markets() if str(one.market_id) == question.get("market_id")),
            None,
        )
        if market is None:
            return invalid("market_id")
        length = _RESOLUTIONS_MS.get(question.get("resolution", ""))
        if length is None:
            return invalid("resolution")
        try:
            start, end, count = (
                int(question[name]) for name in ("start_timestamp", "end_timestamp", "count_back")
            )
        except (KeyError, ValueError):
            return invalid("start_timestamp, end_timestamp, count_back")
        now_ms = self._world.now_ms()
        first = -(-start // length) * length
        opens = range(first, min(end, now_ms) + 1, length)[-min(max(count, 0), _MOST) :]
        bars = [self._bar(market, open_ms, length, now_ms) for open_ms in opens] if count else []
        return JSONResponse({"code": 200, "r": question["resolution"], "c": bars})

    def _bar(self, market: LighterMarket, open_ms: int, length: int, now_ms: int) -> dict[str, Any]:
        seen_ms = min(open_ms + length - 1, now_ms)
        instants = [open_ms + length * part // _SAMPLES for part in range(_SAMPLES)]
        tick = step(market.price_decimals)
        path = [
            max(self._quotes.mid(market, at).quantize(tick), tick)
            for at in [*(at for at in instants if at <= seen_ms), seen_ms]
        ]
        quote_volume = market.day_volume_usd * (seen_ms + 1 - open_ms) / _DAY_MS
        base_volume = (quote_volume / path[-1]).quantize(step(market.size_decimals))
        figures = {
            "o": path[0],
            "h": max(path),
            "l": min(path),
            "c": path[-1],
            "v": base_volume,
            "V": Decimal(round(quote_volume, 2)),
        }
        shown = {name: float(value) for name, value in figures.items() if value}
        return {"t": open_ms, **shown, "i": open_ms // 1000}
