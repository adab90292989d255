"""What markets look like now (W5), for tokens that matter: asked of every venue, each by itself.

Activity comes from the venues' own lists, price and spread from their quotes, volatility from hourly candles, which
are kept so that each is fetched once. A venue that does not answer leaves its figures unknown and hides no other's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import RemoteError
from agentwhere_core.domain.market import Candle, Market, MarketContext, Quote
from agentwhere_core.tracing import carried
from agentwhere_core.what.volatility import volatility_24h
from agentwhere_store import markets as market_store

if TYPE_CHECKING:
    from agentwhere_core.venues.protocol import MarketData
    from agentwhere_flow.report import Tally
    from agentwhere_flow.system import System

INTERVAL = "1h"
HISTORY = timedelta(hours=72)

_BAR = timedelta(hours=1)
_VOLATILITY_WINDOW = timedelta(hours=25)
_THREADS = 4

T = TypeVar("T")
R = TypeVar("R")
MarketKey = tuple[Venue, str]


@dataclass(frozen=True, slots=True)
class _View:
    """One venue's answer: its active markets, and quotes of those that matter."""

    markets: tuple[Market, ...]
    quotes: Mapping[str, Quote]


def collect_context(
    system: System,
    now: datetime,
    focus: Collection[str],
    tally: Tally,
    *,
    only_focus: bool = False,
) -> list[MarketContext]:
    """Ask all venues for the state of their markets, keep it, and return it.

    Parameters
    ----------
    focus
        Tokens that matter: they get fresh quotes and a volatility.
    only_focus
        Leave out all other markets.
    tally
        Gets a problem for each venue, or market's candles, that could not be read.
    """
    views = _each(
        list(system.venues.items()),
        lambda item: _view(item[1], frozenset(focus), now),
        lambda item, error: f"no market context from {item[0]}: {error}",
        tally,
    )
    markets = [
        market
        for view in views
        for market in view.markets
        if not only_focus or market.token in focus
    ]
    quotes = {(q.venue, q.token): q for view in views for q in view.quotes.values()}
    update_candles(system, now, [m for m in markets if m.token in focus], tally)
    with system.engine.begin() as conn:
        volatilities = _volatilities(
            market_store.candles(conn, focus, INTERVAL, now - _VOLATILITY_WINDOW)
        )
        contexts = [
            _context(market, quotes.get(key), volatilities.get(key), now)
            for key, market in {(each.venue, each.token): each for each in markets}.items()
        ]
        market_store.save_context(conn, contexts)
    return contexts


def update_candles(
    system: System, now: datetime, markets: Sequence[Market], tally: Tally
) -> list[Candle]:
    """Fetch the hourly candles of ``markets`` that are not stored yet, store and return them."""
    with system.engine.begin() as conn:
        stored = market_store.candles(
            conn, {market.token for market in markets}, INTERVAL, now - HISTORY
        )
    last_closed = {(bar.venue, bar.token): bar.open_time for bar in stored if bar.is_closed}

    def fetch(market: Market) -> list[Candle]:
        known = last_closed.get((market.venue, market.token))
        start = now - HISTORY if known is None else known + _BAR
        if start + _BAR > now:
            return []
        return system.venues[market.venue].candles(market, INTERVAL, start, now, now)

    fetched = _each(
        markets,
        fetch,
        lambda market, error: f"no candles of {market.token} from {market.venue}: {error}",
        tally,
    )
    bars = [bar for some in fetched for bar in some]
    with system.engine.begin() as conn:
        market_store.save_candles(conn, bars)
    return bars


def most_telling(
    contexts: Sequence[MarketContext], venue: Venue = Venue.MULTI
) -> dict[str, MarketContext]:
    """Return one context for each token: with known volatility before others, then of the largest volume.

    Only those of ``venue`` count, unless that is MULTI.
    """
    usable = [item for item in contexts if venue in (Venue.MULTI, item.venue)]
    ranked = sorted(
        usable, key=lambda item: (item.volatility_24h is not None, item.volume_24h_usd or 0)
    )
    return {item.token: item for item in ranked}


def _view(adapter: MarketData, focus: frozenset[str], now: datetime) -> _View:
    markets = tuple(market for market in adapter.list_markets(now) if market.is_active)
    wanted = [market for market in markets if market.token in focus]
    return _View(markets, adapter.quotes(wanted, now) if wanted else {})


def _volatilities(bars: Sequence[Candle]) -> dict[MarketKey, Decimal | None]:
    return {
        key: volatility_24h(list(group))
        for key, group in groupby(bars, key=lambda bar: (bar.venue, bar.token))
    }


def _each(
    items: Sequence[T],
    ask: Callable[[T], R],
    sentence: Callable[[T, RemoteError], str],
    tally: Tally,
) -> list[R]:
    """Ask about all items, a few at a time; one that fails becomes a problem, and the others are returned."""

    def attempt(item: T) -> R | RemoteError:
        try:
            return ask(item)
        except RemoteError as error:
            return error

    answers: list[R] = []
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="context") as pool:
        for item, answer in zip(items, pool.map(carried(attempt), items), strict=True):
            if isinstance(answer, RemoteError):
                tally.problems.append(sentence(item, answer))
            else:
                answers.append(answer)
    return answers


def _context(
    market: Market, quote: Quote | None, volatility: Decimal | None, now: datetime
) -> MarketContext:
    return MarketContext(
        venue=market.venue,
        token=market.token,
        at=now,
        price=market.price if quote is None else quote.mid,
        change_24h=market.change_24h,
        volume_24h_usd=market.volume_24h_usd,
        open_interest_usd=market.open_interest_usd,
        funding_hourly=market.funding_hourly,
        spread_bps=market.spread_bps if quote is None else quote.spread_bps,
        volatility_24h=volatility,
    )
