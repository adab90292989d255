"""Whose numbers the nonces are: ours, rising; or the venue's, which may come again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.time import to_ms
from agentwhere_store.engine import make_engine
from agentwhere_store.orders import next_nonce

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    engine = make_engine(database_url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_our_own_nonces_rise_even_when_time_does_not(conn: Connection) -> None:
    taken = [
        next_nonce(conn, Venue.HYPERLIQUID, "0xa", at)
        for at in (NOW, NOW, NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    ]
    now_ms = to_ms(NOW)
    assert taken == [now_ms, now_ms + 1, now_ms + 2, now_ms + 3_600_000]


def test_counted_nonces_are_the_venues(conn: Connection) -> None:
    """A number whose request never arrived is expected again, and taken again."""
    taken = [next_nonce(conn, Venue.LIGHTER, "7:4", NOW, expected=n) for n in (0, 1, 1, 2, 1)]
    assert taken == [0, 1, 1, 2, 1]
