"""Lighter, the reading side: its order books and what they say of themselves.

Figures of ``orderBookDetails``: fees and the day's change are percent, margin fractions are in 1/10000, open interest
is in units of the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from pydantic import TypeAdapter

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import RefusedError
from agentwhere_core.domain.market import Candle, Market, Quote
from agentwhere_core.http import HttpClient
from agentwhere_core.venues.checked import PlainWire, one_per_token, parse
from agentwhere_core.venues.symbols import canonical

SERVICE: Final = "lighter"

_OK = 200
_PERCENT = Decimal(100)
_MARGIN_UNIT = Decimal(10_000)
# Each book is a request, and a standard account has 60 a minute.
_BOOKS_AT_ONCE = 10

# Lighter does not say what kind of thing a market is about; what is not listed here is crypto.
_FX = frozenset({"EUR", "GBP", "AUD", "NZD", "USDJPY", "USDCHF", "USDCAD", "USDKRW"})
_COMMODITIES = frozenset({"XAU", "XAG", "XPT", "XPD", "HG", "CL", "BRENT", "NATGAS"})
_INDICES = frozenset({"SPY", "QQQ", "DIA", "IWM", "EWY", "BOTZ", "MAGS", "ROBO", "URA", "KRCOMP"})
_STOCKS = frozenset(
    {
        "AAPL",
        "AMD",
        "AMZN",
        "ASML",
        "BMNR",
        "COIN",
        "CRCL",
        "GOOG",
        "GOOGL",
        "HANMI",
        "HOOD",
        "HYUNDAI",
        "HYUNDAIUSD",
        "INTC",
        "META",
        "MSFT",
        "MSTR",
        "MU",
        "NVDA",
        "ORCL",
        "PLTR",
        "SAMSUNG",
        "SAMSUNGUSD",
        "SKHYNIX",
        "SKHYNIXUSD",
        "SNDK",
        "STRC",
        "TSLA",
    }
)


class _Answer(PlainWire):
    code: int
    message: str = ""


class _MarketConfig(PlainWire):
    force_reduce_only: bool = False
    hidden: bool = False
    trading_hours: str = ""


class _Detail(PlainWire):
    symbol: str
    market_id: int
    market_type: str = "perp"
    status: str
    taker_fee: Decimal
    is_taker_fee_enabled: bool = True
    min_base_amount: Decimal
    min_quote_amount: Decimal
    size_decimals: int
    price_decimals: int
    min_initial_margin_fraction: int
    default_initial_margin_fraction: int
    last_trade_price: Decimal
    daily_quote_token_volume: Decimal
    daily_price_change: Decimal
    open_interest: Decimal
    market_config: _MarketConfig = _MarketConfig()


class _Details(_Answer):
    order_book_details: list[_Detail]


class _Order(PlainWire):
    price: Decimal
    remaining_base_amount: Decimal


class _Orders(_Answer):
    asks: list[_Order]
    bids: list[_Order]


_ANSWER = TypeAdapter(_Answer)
_DETAILS = TypeAdapter(_Details)
_ORDERS = TypeAdapter(_Orders)


class Lighter:
    """Markets and prices of Lighter; it cannot trade there yet.

    Parameters
    ----------
    http
        Connections, with the hosts that may be reached.
    data_url
        Base URL of its REST interface.
    """

    venue: Venue = Venue.LIGHTER
    can_execute: bool = False

    def __init__(self, http: HttpClient, *, data_url: str) -> None:
        self._http = http
        self._api = f"{data_url}/api/v1"

    def list_markets(self, now: datetime) -> list[Market]:
        """Return every perpetual: one request. The venue's list states no spread."""
        details = [detail for detail in self._details() if detail.market_type == "perp"]
        return one_per_token(_market(detail, now) for detail in details)

    def quotes(self, markets: Sequence[Market], now: datetime) -> dict[str, Quote]:
        """Return quotes by token: the top of the book of a few markets, or the last trades of many.

        A book costs a request each, so more than ten markets are answered by one list, where bid and ask are the price
        of the last trade.
        """
        if len(markets) > _BOOKS_AT_ONCE:
            return self._last_prices(markets, now)
        found = {market.token: self.book_quote(market, now) for market in markets}
        return {token: quote for token, quote in found.items() if quote is not None}

    def book_quote(self, market: Market, now: datetime) -> Quote | None:
        """Return the top of one market's book, or None if a side of it is empty."""
        params = {"market_id": market.market_index, "limit": 1}
        reply = self._http.read(f"{self._api}/orderBookOrders", params=params)
        _require_ok(reply)
        book = parse(SERVICE, "a book of bids and asks", _ORDERS, reply)
        if not book.bids or not book.asks:
            return None
        bid = max(order.price for order in book.bids)
        ask = min(order.price for order in book.asks)
        return Quote(Venue.LIGHTER, market.token, bid, (bid + ask) / 2, ask, now)

    def candles(
        self,
        market: Market,  # noqa: ARG002
        interval: str,  # noqa: ARG002
        start: datetime,  # noqa: ARG002
        end: datetime,  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> list[Candle]:
        """Return nothing: history of this venue is not read yet."""
        return []

    def _details(self) -> list[_Detail]:
        reply = self._http.read(f"{self._api}/orderBookDetails")
        _require_ok(reply)
        return parse(SERVICE, "order book details", _DETAILS, reply).order_book_details

    def _last_prices(self, markets: Sequence[Market], now: datetime) -> dict[str, Quote]:
        prices = {detail.market_id: detail.last_trade_price for detail in self._details()}
        found = {}
        for market in markets:
            price = prices.get(market.market_index)
            if price is not None and price > 0:
                found[market.token] = Quote(Venue.LIGHTER, market.token, price, price, price, now)
        return found


def _require_ok(reply: object) -> None:
    """Check the code that Lighter puts into every answer.

    Raises
    ------
    RefusedError
        If it is not 200; the message holds the venue's own.
    """
    answer = parse(SERVICE, "an answer with a code", _ANSWER, reply)
    if answer.code != _OK:
        raise RefusedError(SERVICE, f"code {answer.code}: {answer.message}")


def _market(detail: _Detail, now: datetime) -> Market:
    symbol = canonical(Venue.LIGHTER, detail.symbol)
    price = detail.last_trade_price if detail.last_trade_price > 0 else None
    fee = detail.taker_fee if detail.is_taker_fee_enabled else Decimal(0)
    config = detail.market_config
    return Market(
        venue=Venue.LIGHTER,
        token=symbol.token,
        market_name=detail.symbol,
        market_index=detail.market_id,
        size_multiplier=symbol.multiplier,
        is_active=detail.status == "active" and not (config.force_reduce_only or config.hidden),
        group=_group(symbol.token),
        size_decimals=detail.size_decimals,
        price_decimals=detail.price_decimals,
        min_size=detail.min_base_amount,
        min_notional_usd=detail.min_quote_amount,
        max_leverage=_MARGIN_UNIT / detail.min_initial_margin_fraction
        if detail.min_initial_margin_fraction > 0
        else Decimal(1),
        taker_fee_bps=fee * _PERCENT,
        oracle_fee_usd=Decimal(0),
        price=price,
        spread_bps=None,
        volume_24h_usd=detail.daily_quote_token_volume,
        open_interest_usd=detail.open_interest * price if price else None,
        funding_hourly=None,
        change_24h=detail.daily_price_change / _PERCENT,
        is_open=True,
        opens_at=None,
        last_synced=now,
        metadata={"status": detail.status, "trading_hours": config.trading_hours},
    )


def _group(token: str) -> str:
    if token in _FX:
        return "FX"
    if token in _COMMODITIES:
        return "COMMODITY"
    if token in _INDICES:
        return "INDEX"
    return "STOCK" if token in _STOCKS else "CRYPTO"
