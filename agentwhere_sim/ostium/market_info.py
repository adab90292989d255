"""What Ostium publishes about its markets: pairs, oracle prices, trading hours.

Units as on chain: leverage x 100, fees in percent x 1e6 (10 bps = 100000), USD amounts x 1e6, prices and base amounts
x 1e18; big integers travel as text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from agentwhere_sim.hours import schedule
from agentwhere_sim.prices import noise
from agentwhere_sim.universe import ostium_pairs

if TYPE_CHECKING:
    from starlette.requests import Request

    from agentwhere_sim.universe import OstiumPair
    from agentwhere_sim.world import World

ORACLE_FEE_USD = Decimal("0.1")
LIQUIDATION_MARGIN_PCT = 25

_LEVERAGE = 100
_USD = 10**6
_BASE = 10**18
_PERCENT_OF_BPS = 10**4
_MAX_COLLATERAL_PCT = 25
_NO_DYNAMIC_SPREAD = ("priceImpactK", "netVolThreshold", "decayRate", "buyVolume", "sellVolume")
# Cost of holding: a share of notional per year of blocks, charged to whatever is not crypto.
_ROLLOVER_PER_YEAR = Decimal("0.04")
_BLOCKS_PER_YEAR = 12_000 * 24 * 365
_HALF_SPREAD_BPS = {
    "crypto": "1.5",
    "forex": "0.4",
    "commodities": "1.2",
    "indices": "0.8",
    "stocks": "2",
}


def rollover_rate(pair: OstiumPair) -> int:
    """Give what holding a pair costs per block, as a share of notional x 1e18."""
    if pair.group == "crypto":
        return 0
    return int(_ROLLOVER_PER_YEAR * _BASE / _BLOCKS_PER_YEAR)


class Quotes:
    """Answer what Ostium's oracle says and whether a market trades."""

    def __init__(self, world: World) -> None:
        self._world = world

    def quote(self, pair: OstiumPair, at_ms: int | None = None) -> tuple[Decimal, Decimal, Decimal]:
        """Give bid, mid and ask of an instant (default: now)."""
        instant = self._world.now_ms() if at_ms is None else at_ms
        symbol = pair.underlying.symbol
        mid = self._world.prices.mid(symbol, instant, "ostium") * self._world.prices.basis(
            "ostium", symbol, instant, 1.0
        )
        half = mid * Decimal(_HALF_SPREAD_BPS[pair.group]) / 10_000
        return mid - half, mid, mid + half

    def is_open(self, pair: OstiumPair, at_ms: int | None = None) -> bool:
        """Tell whether the pair trades at an instant (default: now)."""
        instant = (
            self._world.now() if at_ms is None else datetime.fromtimestamp(at_ms / 1000, tz=UTC)
        )
        return self._world.hours.is_open(pair.underlying.symbol, schedule(pair.hours), instant)

    def open_interest(self, pair: OstiumPair) -> tuple[Decimal, Decimal]:
        """Give long and short open interest in units of the base."""
        _, mid, _ = self.quote(pair)
        hour = self._world.now_ms() / 3_600_000
        keys = [f"{self._world.seed}:{side}:{pair.pair_id}" for side in ("long", "short")]
        shares = [Decimal(f"{0.3 + 0.08 * noise(key, hour):.6f}") for key in keys]
        long_oi, short_oi = (pair.max_open_interest_usd * share / mid for share in shares)
        return long_oi, short_oi


class MarketInfo:
    """Describe the markets: as entities of the subgraph, and by the price publisher."""

    def __init__(self, world: World, quotes: Quotes) -> None:
        self._world = world
        self._quotes = quotes

    def entity(self, pair: OstiumPair) -> dict[str, Any]:
        """Give a pair as the subgraph has it."""
        long_oi, short_oi = self._quotes.open_interest(pair)
        _, mid, _ = self._quotes.quote(pair)
        fee = _whole(pair.taker_fee_bps * _PERCENT_OF_BPS)
        zeros = (
            "curFundingLong",
            "curFundingShort",
            "curRollover",
            "accRollover",
            "accFundingLong",
            "accFundingShort",
        )
        return {
            "id": str(pair.pair_id),
            "from": pair.base,
            "to": pair.quote,
            "feed": _feed_id(pair),
            "maxLeverage": str(pair.max_leverage * _LEVERAGE),
            "overnightMaxLeverage": str(pair.overnight_max_leverage * _LEVERAGE),
            "makerMaxLeverage": str(pair.max_leverage * _LEVERAGE),
            "longOI": _whole(long_oi * _BASE),
            "shortOI": _whole(short_oi * _BASE),
            "maxOI": _whole(pair.max_open_interest_usd * _USD),
            "makerFeeP": fee,
            "takerFeeP": fee,
            "spreadP": "0",
            "volume": _whole(pair.max_open_interest_usd * 3 * _USD),
            "lastTradePrice": _whole(mid * _BASE),
            "totalOpenTrades": "0",
            "totalOpenLimitOrders": "0",
            "lastFundingRate": "0",
            "lastFundingBlock": "0",
            "lastRolloverBlock": "0",
            "rolloverFeePerBlock": str(rollover_rate(pair)),
            "maxFundingFeePerBlock": "0",
            **dict.fromkeys(_NO_DYNAMIC_SPREAD, "0"),
            **dict.fromkeys(zeros, "0"),
            "group": {
                "id": pair.group,
                "name": pair.group,
                "minLeverage": str(_LEVERAGE),
                "maxLeverage": str(
                    max(p.max_leverage for p in ostium_pairs() if p.group == pair.group) * _LEVERAGE
                ),
                "maxCollateralP": str(_MAX_COLLATERAL_PCT * _LEVERAGE),
                "longCollateral": "0",
                "shortCollateral": "0",
            },
            "fee": {
                "id": str(pair.pair_id),
                "minLevPos": _whole(pair.min_notional_usd * _USD),
                "oracleFee": _whole(ORACLE_FEE_USD * _USD),
            },
        }

    async def latest_prices(self, _request: Request) -> Response:
        """List bid, mid and ask of all pairs."""
        return JSONResponse([self._price(pair) for pair in ostium_pairs()])

    async def latest_price(self, request: Request) -> Response:
        """Give bid, mid and ask of one asset."""
        pair = _asked(request)
        return _unknown_asset(request) if pair is None else JSONResponse(self._price(pair))

    async def asset_schedule(self, request: Request) -> Response:
        """Tell when an asset trades."""
        pair = _asked(request)
        if pair is None:
            return _unknown_asset(request)
        week = schedule(pair.hours)
        hours = [
            {
                "weekday": one.weekday,
                "opens": f"{one.opens:%H:%M}",
                "hours": one.length.total_seconds() / 3600,
            }
            for one in week.sessions
        ]
        return JSONResponse(
            {
                "asset": pair.name,
                "timezone": week.zone,
                "openingHours": hours,
                "nextPublicHoliday": None,
                "isOpenNow": self._quotes.is_open(pair),
                "secondsToToggleMarketStatus": week.seconds_to_toggle(self._world.now()),
            }
        )

    def _price(self, pair: OstiumPair) -> dict[str, Any]:
        bid, mid, ask = self._quotes.quote(pair)
        is_open = self._quotes.is_open(pair)
        return {
            "feed_id": _feed_id(pair),
            "bid": _number(bid),
            "mid": _number(mid),
            "ask": _number(ask),
            "isMarketOpen": is_open,
            "isDayTradingClosed": not is_open,
            "from": pair.base,
            "to": pair.quote,
            "timestampSeconds": self._world.now_ms() // 1000,
        }


def _asked(request: Request) -> OstiumPair | None:
    asset = request.query_params.get("asset")
    return next((pair for pair in ostium_pairs() if pair.name == asset), None)


def _unknown_asset(request: Request) -> Response:
    return JSONResponse(
        {"message": f"Asset {request.query_params.get('asset')} not found", "statusCode": 404}, 404
    )


def _feed_id(pair: OstiumPair) -> str:
    return "0x" + sha256(f"feed:{pair.name}".encode()).hexdigest()


def _whole(amount: Decimal) -> str:
    return str(int(amount))


def _number(price: Decimal) -> float:
    return float(f"{price:.8g}")
