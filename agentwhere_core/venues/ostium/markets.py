"""Ostium's public side: pairs from its subgraph, prices from its publisher, hours from its schedule.

Units of the subgraph are those of the contracts (Ostium's ``IOstiumPairsStorage`` and ``IOstiumPairInfos``): fees are
percent × 1e6, leverage × 1e2, dollars × 1e6, open interest in units of the base × 1e18, funding per L2 block × 1e18.
Positions are collateral × leverage, so neither size nor price has a tick of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import Field, TypeAdapter

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import RefusedError
from agentwhere_core.domain.market import Market, OracleImpact, Quote
from agentwhere_core.http import HttpClient
from agentwhere_core.venues.checked import Wire, one_per_token, parse
from agentwhere_core.venues.ostium.node import SERVICE
from agentwhere_core.venues.ostium.subgraph import Subgraph
from agentwhere_core.venues.symbols import canonical

_DECIMALS = 18
_USD = Decimal(10) ** 6
_BASE = Decimal(10) ** 18
_LEVERAGE = Decimal(100)
# A fee of 1e6 is one percent, which is 100 basis points.
_FEE_PER_BASIS_POINT = Decimal(10) ** 4
# The SDK reckons with 10 blocks in 3 seconds.
_BLOCKS_PER_HOUR = Decimal(12_000)
_GROUPS = {
    "crypto": "CRYPTO",
    "forex": "FX",
    "fx": "FX",
    "commodities": "COMMODITY",
    "metals": "COMMODITY",
    "indices": "INDEX",
    "stocks": "STOCK",
    "equities": "STOCK",
}
_PAIR_FIELDS = (
    "id from to feed maxLeverage overnightMaxLeverage longOI shortOI maxOI makerFeeP takerFeeP lastFundingRate "
    "rolloverFeePerBlock group { name minLeverage maxLeverage }"
)
# What older or newer subgraphs may not know; each is asked for until the answer says that it is not there.
_ORACLE_FEE = "oracleFee"
_IMPACT = ("priceImpactK", "netVolThreshold", "buyVolume", "sellVolume")
# The contracts' unit of the impact of a dollar, whose volumes are dollars x 1e18.
_IMPACT_UNIT = Decimal(10) ** 27
# What an entry or exit takes of the chain: roughly, since it depends on what else the transaction finds to do.
_TRADE_GAS = 700_000
_ETHER = "ETH/USD"


class _Group(Wire):
    name: str
    max_leverage: Decimal


class _Fee(Wire):
    min_lev_pos: Decimal
    oracle_fee: Decimal | None = None


class _Pair(Wire):
    id: int
    base: str = Field(alias="from")
    quote: str = Field(alias="to")
    feed: str
    max_leverage: Decimal
    overnight_max_leverage: Decimal
    long_oi: Decimal = Field(alias="longOI")
    short_oi: Decimal = Field(alias="shortOI")
    max_oi: Decimal = Field(alias="maxOI")
    taker_fee_p: Decimal
    last_funding_rate: Decimal
    rollover_fee_per_block: Decimal
    price_impact_k: Decimal = Decimal(0)
    net_vol_threshold: Decimal = Decimal(0)
    buy_volume: Decimal = Decimal(0)
    sell_volume: Decimal = Decimal(0)
    group: _Group
    fee: _Fee

    @property
    def name(self) -> str:
        """Base and quote, e.g. ``XAU/USD``."""
        return f"{self.base}/{self.quote}"


class Price(Wire):
    """What the oracle says of a pair."""

    base: str = Field(alias="from")
    quote: str = Field(alias="to")
    bid: Decimal
    mid: Decimal
    ask: Decimal
    is_market_open: bool
    is_day_trading_closed: bool = False
    timestamp_seconds: int

    @property
    def name(self) -> str:
        """Base and quote, e.g. ``XAU/USD``."""
        return f"{self.base}/{self.quote}"


class _Schedule(Wire):
    is_open_now: bool
    seconds_to_toggle_market_status: int | None = None


_PAIRS = TypeAdapter(dict[str, list[_Pair]])
_PRICES = TypeAdapter(list[Price])
_SCHEDULE = TypeAdapter(_Schedule)


class Markets:
    """Pairs and prices.

    Parameters
    ----------
    http
        Connections, with the hosts that may be reached.
    data_url
        Base URL of prices and hours.
    subgraph
        Where the pairs are listed.
    default_oracle_fee_usd
        Fee per trade to assume where the subgraph does not state it.
    """

    def __init__(
        self,
        http: HttpClient,
        *,
        data_url: str,
        subgraph: Subgraph,
        default_oracle_fee_usd: Decimal,
    ) -> None:
        self._http = http
        self._data_url = data_url
        self._subgraph = subgraph
        self._default_oracle_fee_usd = default_oracle_fee_usd

    def list_markets(self, now: datetime, gas_price: int = 0) -> list[Market]:
        """Return every pair with its price, and for closed ones when they open.

        Parameters
        ----------
        gas_price
            What the chain asks for a unit of gas, in wei; 0 where it is not known.

        Raises
        ------
        RefusedError
            If the subgraph answers with an error.
        """
        pairs, prices = self._pairs(), self.prices()
        ether = prices.get(_ETHER)
        gas_fee_usd = _TRADE_GAS * gas_price * ether.mid / _BASE if ether else Decimal(0)
        return one_per_token(
            self._market(pair, prices.get(pair.name), gas_fee_usd, now) for pair in pairs
        )

    def quotes(self, markets: Sequence[Market]) -> dict[str, Quote]:
        """Return the oracle's bid and ask by token: one request. Quotes carry the oracle's own time."""
        if not markets:
            return {}
        prices = self.prices()
        return {
            market.token: _quote(market.token, prices[market.market_name])
            for market in markets
            if market.market_name in prices and prices[market.market_name].bid > 0
        }

    def _pairs(self) -> list[_Pair]:
        """Fetch all pairs, with what else the subgraph knows of fees and impact."""
        fee, impact = _ORACLE_FEE, " ".join(_IMPACT)
        while True:
            selection = f"{_PAIR_FIELDS} {impact} fee {{ minLevPos {fee} }}"
            try:
                return self._subgraph.list("pairs", selection, _PAIRS)
            except RefusedError as error:
                if fee and fee in str(error):
                    fee = ""
                elif impact and any(name in str(error) for name in _IMPACT):
                    impact = ""
                else:
                    raise

    def prices(self) -> dict[str, Price]:
        """Return what the oracle says of every pair, by name."""
        reply = self._http.read(f"{self._data_url}/PricePublish/latest-prices")
        return {price.name: price for price in parse(SERVICE, "a list of prices", _PRICES, reply)}

    def _market(
        self, pair: _Pair, price: Price | None, gas_fee_usd: Decimal, now: datetime
    ) -> Market:
        symbol = canonical(Venue.OSTIUM, pair.name)
        is_open = price is not None and price.is_market_open
        quote = _quote(symbol.token, price) if price is not None and price.bid > 0 else None
        oracle_fee = pair.fee.oracle_fee
        return Market(
            venue=Venue.OSTIUM,
            token=symbol.token,
            market_name=pair.name,
            market_index=pair.id,
            size_multiplier=symbol.multiplier,
            is_active=price is not None and pair.max_oi > 0,
            group=_GROUPS.get(pair.group.name.strip("\x00 ").lower(), "CRYPTO"),
            size_decimals=_DECIMALS,
            price_decimals=_DECIMALS,
            min_size=Decimal(0),
            min_notional_usd=pair.fee.min_lev_pos / _USD,
            max_leverage=(pair.max_leverage or pair.group.max_leverage) / _LEVERAGE,
            taker_fee_bps=pair.taker_fee_p / _FEE_PER_BASIS_POINT,
            oracle_fee_usd=(
                self._default_oracle_fee_usd if oracle_fee is None else oracle_fee / _USD
            ),
            price=quote.mid if quote else None,
            spread_bps=quote.spread_bps if quote else None,
            volume_24h_usd=None,
            open_interest_usd=(
                (pair.long_oi + pair.short_oi) / _BASE * quote.mid if quote else None
            ),
            funding_hourly=pair.last_funding_rate / _BASE * _BLOCKS_PER_HOUR,
            change_24h=None,
            is_open=is_open,
            opens_at=None if is_open else self._opens_at(pair, now),
            last_synced=now,
            metadata=_metadata(pair),
            # The fee is taken once, when a trade is opened.
            close_fee_bps=Decimal(0),
            gas_fee_usd=gas_fee_usd,
            rollover_hourly=pair.rollover_fee_per_block / _BASE * _BLOCKS_PER_HOUR,
            long_headroom_usd=_headroom_usd(pair, pair.long_oi, quote),
            short_headroom_usd=_headroom_usd(pair, pair.short_oi, quote),
            oracle_impact=_impact(pair),
        )

    def _opens_at(self, pair: _Pair, now: datetime) -> datetime | None:
        """Ask when a closed pair opens; None where the venue gives it no schedule."""
        try:
            reply = self._http.read(
                f"{self._data_url}/trading-hours/asset-schedule",
                params={"asset": f"{pair.base}{pair.quote}"},
            )
        except RefusedError:
            return None
        schedule = parse(SERVICE, "an asset's schedule", _SCHEDULE, reply)
        wait_s = schedule.seconds_to_toggle_market_status
        if schedule.is_open_now or wait_s is None or wait_s < 0:
            return None
        return now + timedelta(seconds=wait_s)


def _quote(token: str, price: Price) -> Quote:
    return Quote(
        venue=Venue.OSTIUM,
        token=token,
        bid=price.bid,
        mid=price.mid,
        ask=price.ask,
        at=datetime.fromtimestamp(price.timestamp_seconds, UTC),
        is_open=price.is_market_open,
    )


def _headroom_usd(pair: _Pair, side: Decimal, quote: Quote | None) -> Decimal | None:
    """Return how much more of one side the venue takes, by its price of now."""
    if quote is None:
        return None
    return max(pair.max_oi / _USD - side / _BASE * quote.mid, Decimal(0))


def _impact(pair: _Pair) -> OracleImpact | None:
    if pair.price_impact_k == 0:
        return None
    return OracleImpact(
        per_usd=pair.price_impact_k / _IMPACT_UNIT,
        threshold_usd=pair.net_vol_threshold / _BASE,
        buy_volume_usd=pair.buy_volume / _BASE,
        sell_volume_usd=pair.sell_volume / _BASE,
    )


def _metadata(pair: _Pair) -> dict[str, Any]:
    """Return what else the venue says of a pair, for the audit."""
    return {
        "group": pair.group.name,
        "feed": pair.feed,
        "max_open_interest_usd": str(pair.max_oi / _USD),
        "long_open_interest": str(pair.long_oi / _BASE),
        "short_open_interest": str(pair.short_oi / _BASE),
        "overnight_max_leverage": str(pair.overnight_max_leverage / _LEVERAGE),
        "rollover_hourly": str(pair.rollover_fee_per_block / _BASE * _BLOCKS_PER_HOUR),
    }
