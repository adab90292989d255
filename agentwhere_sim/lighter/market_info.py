"""What anyone may ask: markets, their details, their order books.

Shapes as the public REST endpoints answer (recorded May 2026). Books are built afresh round the mid at every instant.
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

_DAY_MS = 86_400_000
_ORDER_LIFE_MS = 28 * _DAY_MS
_MOST_ORDERS = 250
_QUOTE_LIMIT = "281474976.710655"
_QUOTE_DECIMALS = 6
_LIQUIDATION_FEE = "1.0000"
_FIRST_ASK, _FIRST_BID = 281_474_976_710_656, 562_949_953_421_311
_CONFIG = {
    "market_margin_mode": 0,
    "insurance_fund_account_index": 281474976710655,
    "liquidation_mode": 0,
    "force_reduce_only": False,
    "trading_hours": "",
    "funding_fee_discounts_enabled": False,
    "hidden": False,
    "rfq_enabled": True,
}


class MarketInfo:
    """Answer what the venue says of its markets."""

    def __init__(self, world: World, quotes: Quotes) -> None:
        self._world = world
        self._quotes = quotes

    async def order_books(self, request: Request) -> Response:
        """List the markets."""
        markets = _asked(request)
        if markets is None:
            return invalid("market_id")
        return JSONResponse({"code": 200, "order_books": [_listing(market) for market in markets]})

    async def order_book_details(self, request: Request) -> Response:
        """List the markets with decimals, margins and the day's figures."""
        markets = _asked(request)
        if markets is None:
            return invalid("market_id")
        details = [self._details(market) for market in markets]
        return JSONResponse(
            {"code": 200, "order_book_details": details, "spot_order_book_details": []}
        )

    async def order_book_orders(self, request: Request) -> Response:
        """List the best orders of one market."""
        markets = _asked(request)
        if markets is None or "market_id" not in request.query_params:
            return invalid("market_id")
        wanted = request.query_params.get("limit", "")
        if not wanted.isdigit() or not 1 <= int(wanted) <= _MOST_ORDERS:
            return invalid("limit")
        now_ms = self._world.now_ms()
        answer: dict[str, Any] = {"code": 200}
        for side, first, sign in (("asks", _FIRST_ASK, 1), ("bids", _FIRST_BID, -1)):
            levels = self._quotes.side(markets[0], now_ms, asks=side == "asks", limit=int(wanted))
            base = first + sign * (now_ms // 1000)
            orders = [
                _order(markets[0], base + sign * n, level, now_ms) for n, level in enumerate(levels)
            ]
            answer |= {f"total_{side}": len(orders), side: orders}
        return JSONResponse(answer)

    def _details(self, market: LighterMarket) -> dict[str, Any]:
        now_ms = self._world.now_ms()
        tick = step(market.price_decimals)
        path = [
            self._quotes.mid(market, now_ms - part * _DAY_MS // 8).quantize(tick)
            for part in range(9)
        ]
        last, before = path[0], path[-1]
        change = (last - before) / before * 100 if before else Decimal(0)
        return _listing(market) | {
            "size_decimals": market.size_decimals,
            "price_decimals": market.price_decimals,
            "quote_multiplier": 1,
            "default_initial_margin_fraction": market.default_initial_margin_fraction,
            "min_initial_margin_fraction": market.min_initial_margin_fraction,
            "maintenance_margin_fraction": market.maintenance_margin_fraction,
            "closeout_margin_fraction": market.closeout_margin_fraction,
            "last_trade_price": float(last),
            "daily_trades_count": int(market.day_volume_usd / 1500),
            "daily_base_token_volume": float(
                (market.day_volume_usd / last).quantize(step(market.size_decimals))
            ),
            "daily_quote_token_volume": float(market.day_volume_usd),
            "daily_price_low": float(min(path)),
            "daily_price_high": float(max(path)),
            "daily_price_change": float(change),
            "open_interest": float(market.open_interest),
            "daily_chart": {},
            "market_config": _CONFIG,
            "strategy_index": 2,
        }


def _asked(request: Request) -> list[LighterMarket] | None:
    wanted = request.query_params.get("market_id")
    if wanted in (None, "255"):
        return list(lighter_markets())
    found = [market for market in lighter_markets() if str(market.market_id) == wanted]
    return found or None


def _listing(market: LighterMarket) -> dict[str, Any]:
    return {
        "symbol": market.symbol,
        "market_id": market.market_id,
        "market_type": "perp",
        "base_asset_id": 0,
        "quote_asset_id": 0,
        "status": "active",
        "taker_fee": market.taker_fee,
        "is_taker_fee_enabled": True,
        "maker_fee": market.maker_fee,
        "is_maker_fee_enabled": True,
        "liquidation_fee": _LIQUIDATION_FEE,
        "min_base_amount": market.min_base_amount,
        "min_quote_amount": market.min_quote_amount,
        "order_quote_limit": _QUOTE_LIMIT,
        "supported_size_decimals": market.size_decimals,
        "supported_price_decimals": market.price_decimals,
        "supported_quote_decimals": _QUOTE_DECIMALS,
    }


def _order(
    market: LighterMarket, index: int, level: tuple[Decimal, Decimal], now_ms: int
) -> dict[str, Any]:
    price, size = level
    amount = f"{size:.{market.size_decimals}f}"
    return {
        "order_index": index,
        "order_id": str(index),
        "owner_account_index": 281_474_976_600_000 + index % 50_000,
        "initial_base_amount": amount,
        "remaining_base_amount": amount,
        "price": f"{price:.{market.price_decimals}f}",
        "order_expiry": now_ms + _ORDER_LIFE_MS,
        "transaction_time": 0,
    }
