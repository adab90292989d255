"""Simulated Ostium, the reading side: subgraph, price publisher, trading hours.

Units as on chain: leverage x 100, fees in percent x 1e6 (10 bps = 100000), USD amounts x 1e6, prices and base amounts
x 1e18; big integers travel as text. Trades, orders and limits are entities of the subgraph too; nobody has any yet.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentwhere_sim.graphql import Field, GraphQLError, parse, select
from agentwhere_sim.hours import schedule
from agentwhere_sim.prices import noise
from agentwhere_sim.universe import ostium_pairs

if TYPE_CHECKING:
    from starlette.requests import Request

    from agentwhere_sim.universe import OstiumPair
    from agentwhere_sim.world import World

_LEVERAGE = 100
_USD = 10**6
_BASE = 10**18
_PERCENT_OF_BPS = 10**4
_ORACLE_FEE_USD = Decimal("0.1")
_LIQUIDATION_MARGIN_PCT = 25
_MAX_COLLATERAL_PCT = 25
_DEFAULT_PAGE = 100
_ARGUMENTS = {"first", "skip", "orderBy", "orderDirection", "subgraphError"}
_HALF_SPREAD_BPS = {
    "crypto": "1.5",
    "forex": "0.4",
    "commodities": "1.2",
    "indices": "0.8",
    "stocks": "2",
}


def routes(world: World) -> list[Route]:
    """Give the routes below ``/ostium``."""
    service = _Service(world)
    guard = world.faults.guard
    return [
        Route("/subgraph", guard("ostium", service.subgraph), methods=["POST"]),
        Route("/PricePublish/latest-prices", guard("ostium", service.latest_prices)),
        Route("/PricePublish/latest-price", guard("ostium", service.latest_price)),
        Route("/trading-hours/asset-schedule", guard("ostium", service.asset_schedule)),
    ]


class Quotes:
    """Answer what Ostium's oracle says and whether a market trades."""

    def __init__(self, world: World) -> None:
        self._world = world

    def quote(self, pair: OstiumPair) -> tuple[Decimal, Decimal, Decimal]:
        """Give bid, mid and ask of the instant."""
        now_ms = self._world.now_ms()
        symbol = pair.underlying.symbol
        mid = self._world.prices.mid(symbol, now_ms) * self._world.prices.basis(
            "ostium", symbol, now_ms, 1.0
        )
        half = mid * Decimal(_HALF_SPREAD_BPS[pair.group]) / 10_000
        return mid - half, mid, mid + half

    def is_open(self, pair: OstiumPair) -> bool:
        """Tell whether the pair trades now."""
        return self._world.hours.is_open(
            pair.underlying.symbol, schedule(pair.hours), self._world.now()
        )

    def open_interest(self, pair: OstiumPair) -> tuple[Decimal, Decimal]:
        """Give long and short open interest in units of the base."""
        _, mid, _ = self.quote(pair)
        hour = self._world.now_ms() / 3_600_000
        keys = [f"{self._world.seed}:{side}:{pair.pair_id}" for side in ("long", "short")]
        shares = [Decimal(f"{0.3 + 0.08 * noise(key, hour):.6f}") for key in keys]
        long_oi, short_oi = (pair.max_open_interest_usd * share / mid for share in shares)
        return long_oi, short_oi


class _Service:
    """Translate between the simulated venue and HTTP."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._quotes = Quotes(world)

    async def subgraph(self, request: Request) -> Response:
        """Answer a GraphQL query; errors come with HTTP 200, as subgraphs send them."""
        try:
            body = await request.json()
            fields = parse(body["query"], body.get("variables"))
            return JSONResponse({"data": {field.name: self._resolve(field) for field in fields}})
        except GraphQLError as error:
            return JSONResponse({"errors": [{"message": str(error)}]})
        except (KeyError, TypeError, ValueError):
            return JSONResponse(
                {"errors": [{"message": "the body must be JSON with a query"}]}, 400
            )

    def _resolve(self, field: Field) -> Any:
        unknown = set(field.arguments) - _ARGUMENTS
        if field.name == "pairs" and unknown:
            names = ", ".join(sorted(unknown))
            raise GraphQLError(f"the simulated subgraph does not filter pairs by {names}")
        match field.name:
            case "pairs":
                skip, first = (
                    int(field.arguments.get("skip", 0)),
                    int(field.arguments.get("first", _DEFAULT_PAGE)),
                )
                pairs = [self._entity(pair) for pair in ostium_pairs()[skip : skip + first]]
                return select("Pair", pairs, field.selection)
            case "pair":
                wanted = str(field.arguments.get("id"))
                found = next((pair for pair in ostium_pairs() if str(pair.pair_id) == wanted), None)
                return select(
                    "Pair", None if found is None else self._entity(found), field.selection
                )
            case "metaDatas":
                return select(
                    "MetaData",
                    [{"liqMarginThresholdP": str(_LIQUIDATION_MARGIN_PCT)}],
                    field.selection,
                )
            case "trades" | "orders" | "limits":
                return []
            case other:
                raise GraphQLError(f"Type `Query` has no field `{other}`")

    def _entity(self, pair: OstiumPair) -> dict[str, Any]:
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
            "rolloverFeePerBlock": "0",
            "maxFundingFeePerBlock": "0",
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
                "oracleFee": _whole(_ORACLE_FEE_USD * _USD),
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
