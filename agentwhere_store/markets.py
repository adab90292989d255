"""What venues list, their market context over time, and candles.

A market that disappears from its venue's list becomes inactive and stays: history refers to it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, and_, func, select, update
from sqlalchemy.dialects.postgresql import insert

from agentwhere_core.domain.enums import PositionStatus, Venue
from agentwhere_core.domain.errors import MalformedReplyError
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.market import Candle, Market, MarketContext
from agentwhere_core.where.record import read_oracle_impact, tell_oracle_impact
from agentwhere_store.rows import json_safe
from agentwhere_store.tables.ideas import candles as candle_table
from agentwhere_store.tables.ideas import market_context, venue_markets
from agentwhere_store.tables.trading import positions

_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class MarketChanges:
    """What a sync changed: tokens that are new, came back, or disappeared."""

    listed: int
    active: int
    added: tuple[str, ...]
    returned: tuple[str, ...]
    vanished: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VenueSummary:
    """How many markets a venue lists, how many of them trade, and when it was last asked."""

    venue: Venue
    listed: int
    active: int
    open: int
    last_synced: datetime


def replace_list(
    conn: Connection,
    venue: Venue,
    listed: Sequence[Market],
    *,
    may_shrink: bool = False,
) -> MarketChanges:
    """Make ``listed`` (at most one market per token) the venue's list.

    Raises
    ------
    MalformedReplyError
        If the list is empty, or has less than half of the active markets that were known, and not ``may_shrink``:
        a venue that answers with half a list must not take the other half away. Nothing is changed then.
    """
    known = {
        row.token_symbol: row.is_active
        for row in conn.execute(
            select(venue_markets.c.token_symbol, venue_markets.c.is_active)
            .where(venue_markets.c.venue == venue.value)
            .with_for_update()
        )
    }
    was_active = {token for token, is_active in known.items() if is_active}
    now_active = {market.token for market in listed if market.is_active}
    _refuse_shrunken(venue, len(was_active), len(now_active), may_shrink=may_shrink)
    _upsert(
        conn,
        venue_markets,
        [_market_values(market) for market in listed],
        key=("venue", "token_symbol"),
    )
    tokens = {market.token for market in listed}
    vanished = sorted(was_active - tokens)
    conn.execute(
        update(venue_markets)
        .where(venue_markets.c.venue == venue.value, venue_markets.c.token_symbol.in_(vanished))
        .values(is_active=False)
    )
    return MarketChanges(
        listed=len(tokens),
        active=len(now_active),
        added=tuple(sorted(tokens - known.keys())),
        returned=tuple(sorted(now_active & (known.keys() - was_active))),
        vanished=tuple(vanished),
    )


def markets(
    conn: Connection,
    tokens: Collection[str] | None = None,
    venues: Collection[Venue] | None = None,
) -> list[Market]:
    """Return markets, inactive ones too, by venue and token; all where a filter is None."""
    query = select(venue_markets).order_by(venue_markets.c.venue, venue_markets.c.token_symbol)
    if tokens is not None:
        query = query.where(venue_markets.c.token_symbol.in_(list(tokens)))
    if venues is not None:
        query = query.where(venue_markets.c.venue.in_([venue.value for venue in venues]))
    return [_market(row) for row in conn.execute(query)]


def listed_tokens(conn: Connection) -> frozenset[str]:
    """Return every canonical symbol that is active on at least one venue."""
    active = select(venue_markets.c.token_symbol).distinct().where(venue_markets.c.is_active)
    return frozenset(conn.execute(active).scalars())


def known_tokens(conn: Connection) -> frozenset[str]:
    """Return every canonical symbol that any venue lists or ever listed."""
    return frozenset(conn.execute(select(venue_markets.c.token_symbol).distinct()).scalars())


def summaries(conn: Connection) -> list[VenueSummary]:
    """Return a summary of each venue that was ever synced."""
    active = venue_markets.c.is_active
    rows = conn.execute(
        select(
            venue_markets.c.venue,
            func.count().label("listed"),
            func.count().filter(active).label("active"),
            func.count().filter(and_(active, venue_markets.c.is_open)).label("open"),
            func.max(venue_markets.c.last_synced).label("last_synced"),
        )
        .group_by(venue_markets.c.venue)
        .order_by(venue_markets.c.venue)
    )
    return [
        VenueSummary(Venue(row.venue), row.listed, row.active, row.open, row.last_synced)
        for row in rows
    ]


def held_tokens(conn: Connection) -> frozenset[str]:
    """Return the tokens of all open positions."""
    held = (
        select(positions.c.token_symbol)
        .distinct()
        .where(positions.c.status == PositionStatus.OPEN.value)
    )
    return frozenset(conn.execute(held).scalars())


def save_context(conn: Connection, contexts: Sequence[MarketContext]) -> None:
    """Keep what markets looked like; the same moment again replaces what was known of it."""
    _upsert(
        conn,
        market_context,
        [
            {
                "id": new_id(),
                "venue": item.venue.value,
                "token_symbol": item.token,
                "at": item.at,
                "price": item.price,
                "change_24h": item.change_24h,
                "volume_24h_usd": item.volume_24h_usd,
                "open_interest_usd": item.open_interest_usd,
                "funding_hourly": item.funding_hourly,
                "spread_bps": item.spread_bps,
                "volatility_24h": item.volatility_24h,
            }
            for item in contexts
        ],
        key=("venue", "token_symbol", "at"),
    )


def save_candles(conn: Connection, bars: Sequence[Candle]) -> None:
    """Keep candles; a bar that was still forming is replaced, a closed one stays."""
    _upsert(
        conn,
        candle_table,
        [
            {
                "venue": bar.venue.value,
                "token_symbol": bar.token,
                "interval": bar.interval,
                "open_time": bar.open_time,
                "open": bar.open,
                "high": bar.high,
                "low": bar.low,
                "close": bar.close,
                "volume": bar.volume,
                "is_closed": bar.is_closed,
            }
            for bar in bars
        ],
        key=("venue", "token_symbol", "interval", "open_time"),
        unless=candle_table.c.is_closed,
    )


def candles(
    conn: Connection, tokens: Collection[str], interval: str, since: datetime
) -> list[Candle]:
    """Return candles whose open time is ``since`` or later, by venue, token and time."""
    rows = conn.execute(
        select(candle_table)
        .where(
            candle_table.c.token_symbol.in_(list(tokens)),
            candle_table.c.interval == interval,
            candle_table.c.open_time >= since,
        )
        .order_by(candle_table.c.venue, candle_table.c.token_symbol, candle_table.c.open_time)
    )
    return [
        Candle(
            venue=Venue(row.venue),
            token=row.token_symbol,
            interval=row.interval,
            open_time=row.open_time,
            open=row.open,
            high=row.high,
            low=row.low,
            close=row.close,
            volume=row.volume,
            is_closed=row.is_closed,
        )
        for row in rows
    ]


def _refuse_shrunken(venue: Venue, known: int, now: int, *, may_shrink: bool) -> None:
    if now > 0 and (may_shrink or now * 2 >= known):
        return
    if now == 0:
        raise MalformedReplyError(
            venue.value.lower(),
            f"the list names no active market ({known} were known); nothing was changed. "
            "The next sync tries again; check the venue's status page if it repeats",
        )
    raise MalformedReplyError(
        venue.value.lower(),
        f"the list names {now} active markets where {known} were known; nothing was changed. "
        "The next sync tries again; if the venue did delist them, run "
        f"`agentwhere sync-markets {venue} --may-shrink`",
    )


def _upsert(
    conn: Connection,
    table: Table,
    rows: Sequence[dict[str, Any]],
    *,
    key: tuple[str, ...],
    unless: Any = None,
) -> None:
    """Insert rows, or replace those with the same key except where ``unless`` holds; ids stay."""
    for start in range(0, len(rows), _CHUNK):
        statement = insert(table).values(list(rows[start : start + _CHUNK]))
        replaced = {
            name: statement.excluded[name] for name in rows[0] if name != "id" and name not in key
        }
        conn.execute(
            statement.on_conflict_do_update(
                index_elements=list(key), set_=replaced, where=None if unless is None else ~unless
            )
        )


def _market_values(market: Market) -> dict[str, Any]:
    return {
        "id": new_id(),
        "venue": market.venue.value,
        "token_symbol": market.token,
        "market_name": market.market_name,
        "market_index": market.market_index,
        "size_multiplier": market.size_multiplier,
        "is_active": market.is_active,
        "group": market.group,
        "size_decimals": market.size_decimals,
        "price_decimals": market.price_decimals,
        "min_size": market.min_size,
        "min_notional_usd": market.min_notional_usd,
        "max_leverage": market.max_leverage,
        "taker_fee_bps": market.taker_fee_bps,
        "oracle_fee_usd": market.oracle_fee_usd,
        "price": market.price,
        "spread_bps": market.spread_bps,
        "volume_24h_usd": market.volume_24h_usd,
        "open_interest_usd": market.open_interest_usd,
        "funding_hourly": market.funding_hourly,
        "change_24h": market.change_24h,
        "is_open": market.is_open,
        "opens_at": market.opens_at,
        "last_synced": market.last_synced,
        "metadata": json_safe(market.metadata),
        "close_fee_bps": market.close_fee_bps,
        "gas_fee_usd": market.gas_fee_usd,
        "rollover_hourly": market.rollover_hourly,
        "long_headroom_usd": market.long_headroom_usd,
        "short_headroom_usd": market.short_headroom_usd,
        "oracle_impact": tell_oracle_impact(market.oracle_impact),
    }


def _market(row: Row[Any]) -> Market:
    return Market(
        venue=Venue(row.venue),
        token=row.token_symbol,
        market_name=row.market_name,
        market_index=row.market_index,
        size_multiplier=row.size_multiplier,
        is_active=row.is_active,
        group=row.group,
        size_decimals=row.size_decimals,
        price_decimals=row.price_decimals,
        min_size=row.min_size,
        min_notional_usd=row.min_notional_usd,
        max_leverage=row.max_leverage,
        taker_fee_bps=row.taker_fee_bps,
        oracle_fee_usd=row.oracle_fee_usd,
        price=row.price,
        spread_bps=row.spread_bps,
        volume_24h_usd=row.volume_24h_usd,
        open_interest_usd=row.open_interest_usd,
        funding_hourly=row.funding_hourly,
        change_24h=row.change_24h,
        is_open=row.is_open,
        opens_at=row.opens_at,
        last_synced=row.last_synced,
        metadata=row.metadata,
        close_fee_bps=row.close_fee_bps,
        gas_fee_usd=row.gas_fee_usd,
        rollover_hourly=row.rollover_hourly,
        long_headroom_usd=row.long_headroom_usd,
        short_headroom_usd=row.short_headroom_usd,
        oracle_impact=read_oracle_impact(row.oracle_impact),
    )
