"""From Lighter's market data to our own values.

Figures of ``orderBookDetails``: fees and the day's change are percent, margin fractions are in 1/10000, open interest
is in units of the base.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.market import Book, Candle, Market, Quote
from agentwhere_core.domain.time import from_ms
from agentwhere_core.venues.checked import one_per_token
from agentwhere_core.venues.lighter.replies import Bar, Detail
from agentwhere_core.venues.lighter.replies import Book as BookAnswer
from agentwhere_core.venues.symbols import canonical

_PERCENT = Decimal(100)
_MARGIN_UNIT = Decimal(10_000)
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


def market_list(details: Iterable[Detail], now: datetime) -> list[Market]:
    """Return the perpetuals among ``details``."""
    return one_per_token(_market(one, now) for one in details if one.market_type == "perp")


def book_of(answer: BookAnswer, market: Market, now: datetime) -> Book | None:
    """Return the book that single orders make, best price first, or None if a side of it is empty."""
    if not answer.bids or not answer.asks:
        return None
    bids, asks = (
        sorted(
            ((order.price, order.remaining_base_amount) for order in orders), reverse=best_is_high
        )
        for orders, best_is_high in ((answer.bids, True), (answer.asks, False))
    )
    return Book(Venue.LIGHTER, market.token, tuple(bids), tuple(asks), now)


def quote_of_book(answer: BookAnswer, market: Market, now: datetime) -> Quote | None:
    """Return the quote at the top of a book, or None if a side of it is empty."""
    book = book_of(answer, market, now)
    if book is None:
        return None
    return Quote(Venue.LIGHTER, market.token, book.bids[0][0], book.mid, book.asks[0][0], now)


def last_prices(
    details: Iterable[Detail], markets: Sequence[Market], now: datetime
) -> dict[str, Quote]:
    """Return quotes by token in which bid and ask are the price of the last trade."""
    prices: Mapping[int, Decimal] = {one.market_id: one.last_trade_price for one in details}
    found = {}
    for market in markets:
        price = prices.get(market.market_index)
        if price is not None and price > 0:
            found[market.token] = Quote(Venue.LIGHTER, market.token, price, price, price, now)
    return found


def candles_of(
    bars: Iterable[Bar], market: Market, interval: str, length: timedelta, now: datetime
) -> list[Candle]:
    """Return bars as candles, oldest first."""
    candles = [
        Candle(
            venue=Venue.LIGHTER,
            token=market.token,
            interval=interval,
            open_time=from_ms(bar.open_ms),
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            volume=bar.volume,
            is_closed=from_ms(bar.open_ms) + length <= now,
        )
        for bar in bars
    ]
    return sorted(candles, key=lambda candle: candle.open_time)


def _market(detail: Detail, now: datetime) -> Market:
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
