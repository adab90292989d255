"""Markets: each venue's list, all of them together, their context, and candles of the tokens in use.

Each venue is synced by itself: what one venue fails to say, or says too little of, changes nothing that is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.market import Market, MarketContext
from agentwhere_core.venues.symbols import unlike
from agentwhere_flow.context import collect_context, update_candles
from agentwhere_flow.report import StepFailedError, Tally, step
from agentwhere_store import markets as market_store
from agentwhere_store import posts as post_store
from agentwhere_store.markets import MarketChanges

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_flow.system import System

_MOST_NAMES = 10


@step("market_lists")
def sync_markets(system: System, now: datetime, *, venue: Venue, may_shrink: bool = False) -> Tally:
    """Bring what is known of one venue's markets up to date.

    Parameters
    ----------
    may_shrink
        Believe a list with less than half of the markets that were active.

    Raises
    ------
    ConfigurationError
        If the venue is not enabled.
    RemoteError
        If the venue cannot be asked, or its list is not to be believed; nothing is changed.
    """
    adapter = system.venues.get(venue)
    if adapter is None:
        raise ConfigurationError(
            f"{venue} is not among the enabled venues ({', '.join(system.venues)}): add it to AGENTWHERE_VENUES"
        )
    tally = Tally()
    markets = adapter.list_markets(now)
    with system.engine.begin() as conn:
        changes = market_store.replace_list(conn, venue, markets, may_shrink=may_shrink)
    tally.rows_in, tally.rows_out = len(markets), changes.listed
    tally.details |= _figures(venue, markets, changes)
    tally.table += _groups(markets)
    return tally


@step("venue_markets")
def summarize_markets(system: System, now: datetime) -> Tally:
    """Say what all venues list together, and how fresh that is.

    Raises
    ------
    StepFailedError
        If no venue was ever synced.
    """
    tally = Tally()
    with system.engine.begin() as conn:
        summaries = market_store.summaries(conn)
        active = [market for market in market_store.markets(conn) if market.is_active]
    if not summaries:
        raise StepFailedError("no venue's markets are known: run `agentwhere sync-markets`")
    oldest = now - timedelta(hours=system.settings.market_data_max_age_h)
    for summary in summaries:
        tally.table.append(
            {
                "venue": summary.venue.value,
                "listed": summary.listed,
                "active": summary.active,
                "open now": summary.open,
                "last synced": summary.last_synced.isoformat(timespec="seconds"),
            }
        )
        if summary.venue in system.venues and summary.last_synced < oldest:
            tally.problems.append(
                f"{summary.venue}: last synced {summary.last_synced:%Y-%m-%d %H:%M} UTC, too long ago to route by; "
                f"run `agentwhere sync-markets {summary.venue}`"
            )
    known = {summary.venue for summary in summaries}
    tally.problems += [
        f"{venue}: never synced; run `agentwhere sync-markets {venue}`"
        for venue in system.venues
        if venue not in known
    ]
    by_token: dict[str, list[Market]] = defaultdict(list)
    for market in active:
        by_token[market.token].append(market)
    lookalikes = {token: odd for token, items in by_token.items() if (odd := unlike(items))}
    if lookalikes:
        tally.problems.append(_suspicion(lookalikes))
    tally.rows_in = tally.rows_out = sum(summary.listed for summary in summaries)
    tally.details |= {
        "venues": len(summaries),
        "tokens": len(by_token),
        "tokens_on_several_venues": sum(len(items) > 1 for items in by_token.values()),
    }
    return tally


@step("market_context")
def refresh_context(system: System, now: datetime) -> Tally:
    """Record the state of every active market; with volatility for tokens that were mentioned or are held.

    Raises
    ------
    StepFailedError
        If no venue could be asked.
    """
    tally = Tally()
    with system.engine.begin() as conn:
        focus = _tokens_in_use(conn, system, now)
    contexts = collect_context(system, now, focus, tally)
    if not contexts:
        raise StepFailedError(f"no venue told its market context: {'; '.join(tally.problems)}")
    tally.rows_in, tally.rows_out = len(system.venues), len(contexts)
    tally.details |= {
        "tokens_in_use": sorted(focus),
        "venues": sorted({item.venue.value for item in contexts}),
        "with_volatility": sum(item.volatility_24h is not None for item in contexts),
    }
    tally.table += [_context_row(item) for item in _shown(contexts, focus)]
    return tally


@step("candles")
def refresh_candles(system: System, now: datetime) -> Tally:
    """Fetch the hourly candles of tokens that were mentioned or are held, where they are missing."""
    tally = Tally()
    with system.engine.begin() as conn:
        focus = _tokens_in_use(conn, system, now)
        markets = [
            market
            for market in market_store.markets(conn, tokens=focus, venues=list(system.venues))
            if market.is_active
        ]
    bars = update_candles(system, now, markets, tally)
    tally.rows_in, tally.rows_out = len(markets), len(bars)
    tally.details |= {
        "tokens": sorted(focus),
        "markets_with_new_candles": len({(bar.venue, bar.token) for bar in bars}),
    }
    return tally


def _figures(venue: Venue, markets: Sequence[Market], changes: MarketChanges) -> dict[str, object]:
    return {
        "venue": venue.value,
        "active": changes.active,
        "open": sum(market.is_active and market.is_open for market in markets),
        "without_price": sum(market.price is None for market in markets),
        "added": len(changes.added),
        "returned": list(changes.returned[:_MOST_NAMES]),
        "vanished": list(changes.vanished[:_MOST_NAMES]),
        "vanished_count": len(changes.vanished),
    }


def _suspicion(lookalikes: dict[str, frozenset[Venue]]) -> str:
    named = "; ".join(
        f"{token} on {', '.join(sorted(venues))}" for token, venues in sorted(lookalikes.items())
    )
    return (
        f"prices so far apart that the venues must mean different things by one symbol: {named}. "
        "Give them names of their own in agentwhere_core/venues/symbols.py"
    )


def _groups(markets: Sequence[Market]) -> list[dict[str, object]]:
    by_group: dict[str, list[Market]] = defaultdict(list)
    for market in markets:
        by_group[market.group].append(market)
    return [
        {
            "group": group,
            "listed": len(members),
            "active": sum(market.is_active for market in members),
            "open now": sum(market.is_active and market.is_open for market in members),
            "largest leverage": max(market.max_leverage for market in members),
        }
        for group, members in sorted(by_group.items())
    ]


def _tokens_in_use(conn: Connection, system: System, now: datetime) -> frozenset[str]:
    since = now - timedelta(hours=system.settings.signal_window_h)
    mentioned = {mention.token for mention in post_store.mentions_since(conn, since)}
    return market_store.held_tokens(conn) | mentioned


def _shown(contexts: Sequence[MarketContext], focus: frozenset[str]) -> list[MarketContext]:
    """Return what people want to see: tokens in use, else the most traded markets."""
    in_use = [item for item in contexts if item.token in focus]
    busiest = sorted(contexts, key=lambda item: item.volume_24h_usd or 0, reverse=True)
    return sorted(in_use, key=lambda item: (item.token, item.venue)) or busiest[:_MOST_NAMES]


def _context_row(item: MarketContext) -> dict[str, object]:
    return {
        "token": item.token,
        "venue": item.venue.value,
        "price": item.price,
        "24 h change": item.change_24h,
        "24 h volume USD": item.volume_24h_usd,
        "open interest USD": item.open_interest_usd,
        "hourly funding": item.funding_hourly,
        "spread bps": None if item.spread_bps is None else round(item.spread_bps, 2),
        "24 h volatility": item.volatility_24h,
    }
