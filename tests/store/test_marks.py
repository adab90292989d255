"""Marks: what a price does to open positions, written for all of them at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import text

from agentwhere_store.positions import Mark, save_marks
from tests.flow.money import deploy, open_agent, trade
from tests.store.examples import connection

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
LONG_PNL = Decimal("-12.345678901234567891")
BESIDE = "SELECT pg_stat_get_xact_tuples_hot_updated('agentwhere.positions'::regclass)"


def test_a_mark_moves_no_index_entry(database_url: str) -> None:
    """Else every mark of every position would be written five times, and their pages would grow without end."""
    with connection(database_url) as conn:
        desk = deploy(conn, open_agent(conn, "a", NOW), 1_000, NOW)
        opened = [trade(conn, desk, (NOW, "104250.5")) for _ in range(60)]
        price, best = Decimal("104812.25"), Decimal("104900.125")
        before = conn.execute(text(BESIDE)).scalar_one()

        marks = [Mark(one.id, price, LONG_PNL, best, Decimal("70123.456789")) for one in opened]
        save_marks(conn, marks, NOW + timedelta(minutes=5))

        assert conn.execute(text(BESIDE)).scalar_one() - before == len(opened)
