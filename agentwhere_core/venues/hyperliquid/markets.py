"""From Hyperliquid's market data to our own values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import MalformedReplyError
from agentwhere_core.domain.market import Book, Candle, Market, Quote
from agentwhere_core.domain.time import from_ms
from agentwhere_core.venues.checked import one_per_token, parse
from agentwhere_core.venues.hyperliquid import replies
from agentwhere_core.venues.hyperliquid.outcomes import SERVICE
from agentwhere_core.venues.hyperliquid.replies import Asset, AssetContext
from agentwhere_core.venues.hyperliquid.rules import MIN_NOTIONAL_USD
from agentwhere_core.venues.symbols import canonical

_BASIS_POINTS = Decimal(10_000)
# Margin modes in which a position cannot share the account's margin.
_ISOLATED_MODES = frozenset({"strictIsolated", "noCross"})


def read_universe(reply: Any) -> list[tuple[int, Asset, AssetContext]]:
    """Return (asset id, asset, context) of every perpetual in an answer to ``metaAndAssetCtxs``.

    Raises
    ------
    MalformedReplyError
        If the two lists do not belong together, or there is no market at all.
    """
    meta, contexts = parse(SERVICE, "[universe, contexts]", replies.MARKETS, reply)
    if not contexts or len(meta.universe) != len(contexts):
        raise MalformedReplyError(
            SERVICE,
            f"expected one context per market, got {len(meta.universe)} markets and {len(contexts)} contexts",
        )
    pairs = zip(meta.universe, contexts, strict=True)
    return [(index, asset, context) for index, (asset, context) in enumerate(pairs)]


def market_list(reply: Any, taker_rate: Decimal, now: datetime) -> list[Market]:
    """Return the markets of an answer to ``metaAndAssetCtxs``; ``taker_rate`` is a fraction of notional."""
    return one_per_token(
        _market(index, asset, context, taker_rate * _BASIS_POINTS, now)
        for index, asset, context in read_universe(reply)
    )


def quotes_of(reply: Any, markets: Sequence[Market], now: datetime) -> dict[str, Quote]:
    """Return quotes by token from an answer to ``metaAndAssetCtxs``.

    Bid and ask are the venue's impact prices (the average of selling or buying a few thousand dollars), so the spread
    is a little wider than the book's. Markets without them are absent.
    """
    contexts = {asset.name: context for _, asset, context in read_universe(reply)}
    found: dict[str, Quote] = {}
    for market in markets:
        context = contexts.get(market.market_name)
        if context is None or context.impact_pxs is None or context.mid_px is None:
            continue
        bid, ask = context.impact_pxs
        if 0 < bid <= ask:
            found[market.token] = Quote(
                Venue.HYPERLIQUID, market.token, bid, context.mid_px, ask, now
            )
    return found


def book_of(reply: Any, market: Market) -> Book | None:
    """Return the book of an answer to ``l2Book``, or None if a side of it is empty."""
    book = parse(SERVICE, "a book of bids and asks", replies.BOOK, reply)
    if book.coin != market.market_name:
        raise MalformedReplyError(
            SERVICE, f"expected the book of {market.market_name}, got that of {book.coin}"
        )
    bids, asks = book.levels
    if not bids or not asks:
        return None
    return Book(
        Venue.HYPERLIQUID,
        market.token,
        bids=tuple((level.px, level.sz) for level in bids),
        asks=tuple((level.px, level.sz) for level in asks),
        at=from_ms(book.time),
    )


def quote_of_book(reply: Any, market: Market) -> Quote | None:
    """Return the quote at the top of a book, or None if a side of it is empty."""
    book = book_of(reply, market)
    if book is None:
        return None
    bid, ask = book.bids[0][0], book.asks[0][0]
    return Quote(Venue.HYPERLIQUID, market.token, bid, book.mid, ask, book.at)


def candles_of(reply: Any, market: Market, interval: str, now: datetime) -> list[Candle]:
    """Return the bars of an answer to ``candleSnapshot``, oldest first."""
    bars = parse(SERVICE, "a list of candles", replies.BARS, reply)
    candles = [
        Candle(
            venue=Venue.HYPERLIQUID,
            token=market.token,
            interval=interval,
            open_time=from_ms(bar.open_ms),
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            volume=bar.volume,
            is_closed=from_ms(bar.close_ms) < now,
        )
        for bar in bars
    ]
    return sorted(candles, key=lambda candle: candle.open_time)


def is_isolated_only(market: Market) -> bool:
    """Tell whether positions in the market must have margin of their own."""
    return bool(market.metadata.get("isolated_only", False))


def _market(
    index: int, asset: Asset, context: AssetContext, taker_fee_bps: Decimal, now: datetime
) -> Market:
    symbol = canonical(Venue.HYPERLIQUID, asset.name)
    price = context.mid_px if context.mid_px is not None else context.mark_px
    previous = context.prev_day_px
    return Market(
        venue=Venue.HYPERLIQUID,
        token=symbol.token,
        market_name=asset.name,
        market_index=index,
        size_multiplier=symbol.multiplier,
        is_active=not asset.is_delisted and context.impact_pxs is not None,
        group="CRYPTO",
        size_decimals=asset.sz_decimals,
        price_decimals=None,
        min_size=Decimal(1).scaleb(-asset.sz_decimals),
        min_notional_usd=MIN_NOTIONAL_USD,
        max_leverage=Decimal(asset.max_leverage),
        taker_fee_bps=taker_fee_bps,
        oracle_fee_usd=Decimal(0),
        price=price if price > 0 else None,
        spread_bps=_spread_bps(context),
        volume_24h_usd=context.day_ntl_vlm,
        open_interest_usd=context.open_interest * context.mark_px,
        funding_hourly=context.funding,
        change_24h=price / previous - 1 if previous > 0 else None,
        is_open=True,
        opens_at=None,
        last_synced=now,
        metadata={
            "mark_price": str(context.mark_px),
            "oracle_price": None if context.oracle_px is None else str(context.oracle_px),
            "is_delisted": asset.is_delisted,
            "isolated_only": asset.only_isolated or asset.margin_mode in _ISOLATED_MODES,
        },
    )


def _spread_bps(context: AssetContext) -> Decimal | None:
    if context.impact_pxs is None or not context.mid_px:
        return None
    bid, ask = context.impact_pxs
    return (ask - bid) / context.mid_px * _BASIS_POINTS
