"""Equity by day: one row per deployment, venue and day, whoever writes it and however often."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, select, text

from agentwhere_core.domain.enums import Venue
from agentwhere_core.performance.equity import CapitalFlow, PnlChange
from agentwhere_store.engine import make_engine
from agentwhere_store.performance import agent_books, snapshot_equity, stale_standings
from agentwhere_store.tables.operations import equity_daily
from tests.flow.money import deploy, mark_at, move_capital, open_agent, trade

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
TODAY = date(2026, 11, 20)
DAY = timedelta(days=1)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


def test_a_snapshot_adds_up_all_positions_of_a_venue(engine: Engine) -> None:
    with engine.begin() as conn:
        desk = deploy(conn, open_agent(conn, "a", NOW), 1_000, NOW)
        trade(conn, desk, (NOW, "100"), (NOW, "110"), fee="1", funding="-2")
        still_open = trade(conn, desk, (NOW, "100"), fee="1")
        mark_at(conn, still_open, "95", NOW)
        trade(conn, desk, (NOW, "100"), (NOW, "101"), venue=Venue.OSTIUM)
        assert snapshot_equity(conn, NOW) == 2
        rows = conn.execute(select(equity_daily).order_by(equity_daily.c.venue)).all()
    hyperliquid, ostium = rows
    assert hyperliquid.day == TODAY
    assert hyperliquid.realized_pnl_usd == 10
    assert hyperliquid.unrealized_pnl_usd == -5
    assert hyperliquid.fees_usd == 3
    assert hyperliquid.funding_usd == -2
    assert (ostium.realized_pnl_usd, ostium.fees_usd) == (1, 0)


def test_a_snapshot_without_news_writes_nothing(engine: Engine) -> None:
    with engine.begin() as conn:
        desk = deploy(conn, open_agent(conn, "a", NOW), 1_000, NOW)
        trade(conn, desk, (NOW, "100"), (NOW, "110"))
        assert snapshot_equity(conn, NOW) == 1
        assert snapshot_equity(conn, NOW) == 0
        assert snapshot_equity(conn, NOW + DAY) == 0, "a missing day holds what the one before had"


def test_a_change_that_commits_after_a_snapshot_is_in_the_next(engine: Engine) -> None:
    with engine.begin() as conn:
        agent = open_agent(conn, "a", NOW)
        desk = deploy(conn, agent, 1_000, NOW)
        trade(conn, desk, (NOW, "100"), (NOW, "110"))
        snapshot_equity(conn, NOW)
    with engine.begin() as writer:
        trade(writer, desk, (NOW, "100"), (NOW, "105"))
        with engine.begin() as conn:
            assert snapshot_equity(conn, NOW) == 0
    with engine.begin() as conn:
        assert snapshot_equity(conn, NOW) == 1
        (standing,) = stale_standings(conn, NOW)
    assert (standing.closed_positions, standing.net_pnl_usd) == (2, 15)


def test_totals_are_the_sums_of_positions_whatever_happened_to_them(engine: Engine) -> None:
    with engine.begin() as conn:
        desks = [deploy(conn, open_agent(conn, name, NOW), 1_000, NOW) for name in "abc"]
        for desk in desks:
            trade(conn, desk, (NOW, "100"), (NOW, "110"), fee="1")
        snapshot_equity(conn, NOW)
        conn.execute(text("UPDATE agentwhere.positions SET funding_usd = 2"))
        trade(conn, desks[0], (NOW, "100"), (NOW, "90"))
        snapshot_equity(conn, NOW + DAY)
        differing = conn.execute(
            text(
                "SELECT p.deployment_id FROM (SELECT deployment_id, venue, count(closed_at) AS closed,"
                " sum(realized_pnl_usd - fees_usd + funding_usd) AS net FROM agentwhere.positions GROUP BY 1, 2) p"
                " FULL JOIN agentwhere.deployment_totals t USING (deployment_id, venue)"
                " WHERE (p.closed, p.net) IS DISTINCT FROM"
                " (t.closed_positions, t.realized_pnl_usd - t.fees_usd + t.funding_usd)"
            )
        ).all()
        marks = conn.execute(text("SELECT count(*) FROM agentwhere.stale_books")).scalar_one()
    assert differing == []
    assert marks == 0


def test_the_day_is_that_of_utc(engine: Engine) -> None:
    late = datetime.fromisoformat("2026-11-20T23:30:00-05:00")
    with engine.begin() as conn:
        desk = deploy(conn, open_agent(conn, "a", NOW), 1_000, NOW)
        trade(conn, desk, (NOW, "100"), (NOW, "110"))
        snapshot_equity(conn, late)
        assert conn.execute(select(equity_daily.c.day)).scalar_one() == TODAY + DAY


def test_snapshots_at_once_do_not_wait_for_each_other_forever(engine: Engine) -> None:
    with engine.begin() as conn:
        agent = open_agent(conn, "a", NOW)
        for number in range(20):
            desk = deploy(conn, agent, 1_000, NOW, str(number))
            trade(conn, desk, (NOW, "100"), (NOW, "110"))

    def write(number: int) -> int:
        with engine.begin() as conn:
            return snapshot_equity(conn, NOW + number * timedelta(minutes=1))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(16))) == 20


def test_an_agents_book_adds_its_deployments(engine: Engine) -> None:
    with engine.begin() as conn:
        agent = open_agent(conn, "a", NOW)
        first = deploy(conn, agent, 1_000, NOW, "first")
        second = deploy(conn, agent, 500, NOW + DAY, "second")
        move_capital(conn, first, -200, NOW + 2 * DAY)
        move_capital(conn, first, 900, NOW + 9 * DAY)
        trade(conn, first, (NOW, "100"), (NOW, "110"))
        snapshot_equity(conn, NOW)
        trade(conn, second, (NOW + DAY, "100"), (NOW + DAY, "90"), fee="0.5")
        snapshot_equity(conn, NOW + DAY)
        book = agent_books(conn, [agent], NOW + 2 * DAY)[agent]
    assert sorted(book.flows, key=lambda flow: flow.day) == [
        CapitalFlow(TODAY, Decimal(1_000)),
        CapitalFlow(TODAY + DAY, Decimal(500)),
        CapitalFlow(TODAY + 2 * DAY, Decimal(-200)),
    ]
    assert book.pnl == (
        PnlChange(TODAY, Venue.HYPERLIQUID, Decimal(10)),
        PnlChange(TODAY + DAY, Venue.HYPERLIQUID, Decimal(-11)),
    )
