"""A venue's list is replaced whole or not at all, and nothing that history refers to disappears."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Connection, text

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import MalformedReplyError
from agentwhere_core.domain.market import Candle, Market, MarketContext
from agentwhere_store import markets as store
from tests.core.examples import market
from tests.store.examples import NOW, connection

HL = Venue.HYPERLIQUID


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connection(database_url) as conn:
        yield conn


def listed(*tokens: str, venue: Venue = HL) -> list[Market]:
    return [market(venue, token) for token in tokens]


def active(conn: Connection, venue: Venue = HL) -> set[str]:
    return {item.token for item in store.markets(conn, venues=[venue]) if item.is_active}


def test_a_market_comes_back_as_the_venue_said_it(conn: Connection) -> None:
    odd = replace(
        market(Venue.OSTIUM, "XAU", "XAU/USD"),
        size_multiplier=Decimal("0.001"),
        price=Decimal("4039.850000001"),
        spread_bps=None,
        is_open=False,
        opens_at=NOW,
        metadata={"pair": 5, "raw": ["1.10"]},
    )
    store.replace_list(conn, Venue.OSTIUM, [odd])
    assert store.markets(conn) == [odd]
    assert store.markets(conn, tokens={"XAU"}, venues=[Venue.OSTIUM]) == [odd]
    assert store.markets(conn, tokens=[]) == store.markets(conn, venues=[HL]) == []


def test_what_vanishes_is_inactive_and_can_return(conn: Connection) -> None:
    first = store.replace_list(conn, HL, listed("BTC", "ETH", "SOL"))
    assert first.added == ("BTC", "ETH", "SOL")
    second = store.replace_list(conn, HL, listed("BTC", "ETH"))
    assert second.vanished == ("SOL",)
    assert active(conn) == {"BTC", "ETH"}
    assert len(store.markets(conn)) == 3
    assert store.listed_tokens(conn) == {"BTC", "ETH"}
    third = store.replace_list(conn, HL, listed("BTC", "ETH", "SOL"))
    assert (third.added, third.returned, third.vanished) == ((), ("SOL",), ())


@pytest.mark.parametrize("remaining", [(), ("A",)])
def test_an_empty_or_shrunken_list_is_refused_and_wipes_nothing(
    conn: Connection, remaining: tuple[str, ...]
) -> None:
    store.replace_list(conn, HL, listed("A", "B", "C"))
    with pytest.raises(MalformedReplyError, match="nothing was changed"):
        store.replace_list(conn, HL, listed(*remaining))
    assert active(conn) == {"A", "B", "C"}


def test_a_list_of_inactive_markets_counts_as_empty(conn: Connection) -> None:
    store.replace_list(conn, HL, listed("A", "B"))
    halted = [replace(item, is_active=False) for item in listed("A", "B")]
    with pytest.raises(MalformedReplyError):
        store.replace_list(conn, HL, halted)
    assert active(conn) == {"A", "B"}


def test_a_shrunken_list_is_believed_when_told_to(conn: Connection) -> None:
    store.replace_list(conn, HL, listed("A", "B", "C"))
    changes = store.replace_list(conn, HL, listed("A"), may_shrink=True)
    assert changes.vanished == ("B", "C")
    with pytest.raises(MalformedReplyError):
        store.replace_list(conn, HL, [], may_shrink=True)


def test_exactly_half_is_believed(conn: Connection) -> None:
    store.replace_list(conn, HL, listed("A", "B", "C", "D"))
    store.replace_list(conn, HL, listed("A", "B"))
    assert active(conn) == {"A", "B"}


def test_one_venues_sync_leaves_the_others_alone(conn: Connection) -> None:
    store.replace_list(conn, Venue.LIGHTER, listed("BTC", "ETH", venue=Venue.LIGHTER))
    store.replace_list(conn, HL, listed("SOL"))
    assert active(conn, Venue.LIGHTER) == {"BTC", "ETH"}
    assert store.listed_tokens(conn) == {"BTC", "ETH", "SOL"}


def test_a_sync_updates_in_place(conn: Connection) -> None:
    store.replace_list(conn, HL, listed("BTC"))
    before = conn.execute(text("SELECT id FROM agentwhere.venue_markets")).scalar_one()
    newer = replace(market(), price=Decimal(7), last_synced=NOW + timedelta(days=1))
    store.replace_list(conn, HL, [newer])
    assert store.markets(conn) == [newer]
    assert conn.execute(text("SELECT id FROM agentwhere.venue_markets")).scalar_one() == before


def test_summaries_count_listed_active_and_open(conn: Connection) -> None:
    closed = replace(market(HL, "C"), is_open=False)
    halted = replace(market(HL, "D"), is_active=False)
    store.replace_list(conn, HL, [*listed("A", "B"), closed, halted])
    (summary,) = store.summaries(conn)
    assert (summary.venue, summary.listed, summary.active, summary.open) == (HL, 4, 3, 2)


def test_the_same_moment_again_replaces_its_context(conn: Connection) -> None:
    seen = MarketContext(HL, "BTC", NOW, Decimal(1), None, None, None, None, None, None)
    later = replace(seen, at=NOW + timedelta(hours=1))
    store.save_context(conn, [seen, later])
    store.save_context(conn, [replace(seen, volatility_24h=Decimal("0.02"))])
    kept = text("SELECT at, volatility_24h FROM agentwhere.market_context ORDER BY at")
    assert [tuple(row) for row in conn.execute(kept)] == [
        (seen.at, Decimal("0.02")),
        (later.at, None),
    ]


def test_a_forming_candle_is_replaced_and_a_closed_one_stays(conn: Connection) -> None:
    def bar(close: int, *, is_closed: bool) -> Candle:
        low, high = Decimal(1), Decimal(100)
        return Candle(
            HL, "BTC", "1h", NOW, Decimal(10), high, low, Decimal(close), Decimal(5), is_closed
        )

    for candle in (
        bar(11, is_closed=False),
        bar(12, is_closed=False),
        bar(13, is_closed=True),
        bar(14, is_closed=False),
    ):
        store.save_candles(conn, [candle])
    assert store.candles(conn, ["BTC"], "1h", NOW) == [bar(13, is_closed=True)]
    assert store.candles(conn, ["BTC"], "1h", NOW + timedelta(seconds=1)) == []
