"""Marks: what a price does to open positions, written for all of them at once."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import text

from agentwhere_core.domain.exposure import Exposure
from agentwhere_core.domain.sharding import PARTS, shards
from agentwhere_store.marks import Mark, open_exposures, save_marks
from agentwhere_store.positions import open_positions, recent_positions
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


def test_an_exposure_tells_what_its_position_tells(database_url: str) -> None:
    with connection(database_url) as conn:
        desk = deploy(conn, open_agent(conn, "a", NOW), 1_000, NOW)
        trade(conn, desk, (NOW, "100"), (NOW, "101"))
        for price in ("100.5", "102.123456789012345678"):
            trade(conn, desk, (NOW, "100"), price_now=price)
        everything = {
            "stop_loss_price": 95,
            "take_profit_price": 110,
            "trailing_activation_pct": 5,
            "trailing_distance_pct": 2,
            "best_price": Decimal("102.5"),
            "max_holding_h": Decimal("0.5"),
            "liquidation_price": 70,
            "protection": "'MISSING'",
            "protect_by": "now()",
        }
        setting = ", ".join(f"{name} = {value}" for name, value in everything.items())
        conn.execute(text(f"UPDATE agentwhere.positions SET {setting} WHERE status = 'OPEN'"))

        whole = {position.id: position for position in open_positions(conn)}
        exposed = open_exposures(conn)

        assert len(whole) == len(exposed) == 2, "each has a market of its own"
        for place, [exposure] in exposed.items():
            position = whole[exposure.id]
            assert place == (position.venue, position.token)
            for field in fields(Exposure):
                assert getattr(exposure, field.name) == getattr(position, field.name) is not None
        by_shard = [open_exposures(conn, shard=shard) for shard in shards(len(PARTS))]
        assert sorted(map(len, by_shard)) == [*[0] * (len(PARTS) - 1), 2]


def test_a_mark_arrives_exactly_where_a_position_is_open_and_nowhere_else(
    database_url: str,
) -> None:
    with connection(database_url) as conn:
        desk = deploy(conn, open_agent(conn, "a", NOW), 1_000, NOW)
        closed = trade(conn, desk, (NOW, "100"), (NOW, "101"))
        opened = trade(conn, desk, (NOW, "100"))
        untouched = trade(conn, desk, (NOW, "100"))
        price, best = Decimal("87.654321012345678901"), Decimal("104900.125")

        save_marks(
            conn, [Mark(one.id, price, LONG_PNL, best, None) for one in (closed, opened)], NOW
        )

        found = {position.id: position for position in recent_positions(conn, 9)}
        marked = found[opened.id]
        assert (marked.current_price, marked.unrealized_pnl_usd) == (price, LONG_PNL)
        assert (marked.best_price, marked.liquidation_price) == (best, None)
        for other in (closed, untouched):
            assert (found[other.id].current_price, found[other.id].unrealized_pnl_usd) == (None, 0)
