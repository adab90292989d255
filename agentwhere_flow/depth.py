"""What the venues' books and oracles say at the moment of routing; market lists are a day old.

Where nothing can be read, a decision works with what the list says: a book that does not answer is no reason to trade
somewhere else, and none to trade nowhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import RemoteError
from agentwhere_core.domain.market import Book, Market, Quote
from agentwhere_core.tracing import carried
from agentwhere_core.where.slippage import ORACLE_PRICED

if TYPE_CHECKING:
    from agentwhere_flow.system import System

MOST_BOOKS = 20
"""Books that are read from one venue in one pass: each is a request, and Lighter allows sixty a minute."""

_Place = tuple[Venue, str]


@dataclass(frozen=True, slots=True)
class Depth:
    """Books and quotes by venue and token, and how many could not be read."""

    books: Mapping[_Place, Book] = field(default_factory=dict)
    quotes: Mapping[_Place, Quote] = field(default_factory=dict)
    unread: int = 0

    def refreshed(self, market: Market) -> Market:
        """Return the market with the price, the spread and the state that were just read."""
        place = (market.venue, market.token)
        book, quote = self.books.get(place), self.quotes.get(place)
        if book is not None:
            return replace(market, price=book.mid)
        if quote is None:
            return market
        is_open = quote.is_open
        return replace(
            market,
            price=quote.mid,
            spread_bps=quote.spread_bps,
            is_open=is_open,
            # A time of opening that has passed would say that it is open after all.
            opens_at=market.opens_at if not is_open and not market.is_open else None,
        )


def read_depth(system: System, markets: Sequence[Market], now: datetime) -> Depth:
    """Read the books of ``markets``, at most `MOST_BOOKS` a venue, and the quotes of those that an oracle prices."""
    by_venue: dict[Venue, list[Market]] = defaultdict(list)
    for market in markets:
        if market.venue in system.venues:
            by_venue[market.venue].append(market)
    books: dict[_Place, Book] = {}
    quotes: dict[_Place, Quote] = {}
    unread = 0
    wanted = [
        market
        for venue, listed in by_venue.items()
        if venue not in ORACLE_PRICED
        for market in listed[:MOST_BOOKS]
    ]

    def read(market: Market) -> Book | None:
        try:
            return system.venues[market.venue].book(market, now)
        except RemoteError:
            return None

    with ThreadPoolExecutor(max_workers=system.settings.execution_concurrency) as pool:
        for market, book in zip(wanted, pool.map(carried(read), wanted), strict=True):
            if book is None:
                unread += 1
            else:
                books[market.venue, market.token] = book
    for venue in ORACLE_PRICED & by_venue.keys():
        try:
            found = system.venues[venue].quotes(by_venue[venue], now)
        except RemoteError:
            unread += len(by_venue[venue])
            continue
        quotes |= {(venue, token): quote for token, quote in found.items()}
    return Depth(books, quotes, unread)
