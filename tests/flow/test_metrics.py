"""Fills become positions, positions equity, and equity figures that a reader can check by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from agentwhere_core.domain.enums import Venue
from agentwhere_flow.metrics import BATCH, update_metrics
from agentwhere_flow.settings import Settings
from agentwhere_flow.system import System
from agentwhere_store.performance import snapshot_equity
from agentwhere_store.tables.operations import agent_metrics, agent_metrics_history
from tests.flow.money import Desk, deploy, mark_at, move_capital, open_agent, trade

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
FIGURES = ("apr", "sharpe", "sortino", "max_drawdown", "cagr", "volatility", "total_return")


def day(number: int, hour: int = 12) -> datetime:
    """Return an hour of the day ``number`` of the agent's life; the first is 0."""
    return START.replace(hour=hour) + timedelta(days=number)


@pytest.fixture
def system(database_url: str, tmp_path: Path) -> Iterator[System]:
    system = System(Settings(DATABASE_URL=database_url, home=tmp_path))
    yield system
    system.close()


@pytest.fixture
def conn(system: System) -> Iterator[Connection]:
    """A connection that commits every statement, so that steps see what a test wrote."""
    with system.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        yield conn


def earn(conn: Connection, desk: Desk, number: int, usd: int, **more: Any) -> None:
    """Earn ``usd`` by one closed position on a day, and take that day's last snapshot."""
    trade(conn, desk, (day(number, 10), "5000"), (day(number, 11), str(5000 + usd)), **more)
    snapshot_equity(conn, day(number, 23))


def current(conn: Connection, agent_id: UUID) -> dict[str, Any]:
    return dict(
        conn.execute(select(agent_metrics).where(agent_metrics.c.agent_id == agent_id))
        .one()
        ._mapping
    )


def test_a_closed_position_counts_at_once_after_fees_and_funding(
    system: System, conn: Connection
) -> None:
    agent = open_agent(conn, "a", START)
    desk = deploy(conn, agent, 10_000, START)
    trade(conn, desk, (day(9, 10), "1000"), (day(9, 11), "1500"), fee="10", funding="-30")
    report = update_metrics(system, day(9))
    found = current(conn, agent)
    assert (report.rows_in, report.rows_out) == (1, 1)
    assert found["net_pnl_usd"] == 500 - 2 * 10 - 30
    assert found["equity_usd"] == 10_450
    assert found["closed_positions"] == 1
    assert found["days_si"] == 10
    assert float(found["total_return_si"]) == pytest.approx(0.045, abs=1e-12)
    assert float(found["apr_si"]) == pytest.approx(0.045 * 365 / 10, abs=1e-12)


def test_unrealized_profit_is_equity(system: System, conn: Connection) -> None:
    agent = open_agent(conn, "a", START)
    desk = deploy(conn, agent, 10_000, START)
    position = trade(conn, desk, (day(1), "1000"), price_now="1000")
    mark_at(conn, position, "800", day(1))
    snapshot_equity(conn, day(1, 23))
    mark_at(conn, position, "1100", day(8))
    update_metrics(system, day(8))
    found = current(conn, agent)
    assert found["equity_usd"] == 10_100
    assert float(found["max_drawdown_si"]) == pytest.approx(-0.02, abs=1e-12)


def test_a_deposit_is_no_profit(system: System, conn: Connection) -> None:
    agent = open_agent(conn, "a", START)
    desk = deploy(conn, agent, 10_000, START)
    earn(conn, desk, 2, 1_000)
    move_capital(conn, desk, 9_000, day(5))
    earn(conn, desk, 6, 2_000)
    move_capital(conn, desk, -12_000, day(8))
    earn(conn, desk, 9, 500)
    update_metrics(system, day(9))
    found = current(conn, agent)
    growth = (1 + 1_000 / 10_000) * (1 + 2_000 / 20_000) * (1 + 500 / 10_000)
    assert float(found["total_return_si"]) == pytest.approx(growth - 1, abs=1e-12)
    assert float(found["apr_30d"]) == pytest.approx((growth - 1) * 365 / 10, abs=1e-12)
    assert found["equity_usd"] == 10_500
    assert found["net_pnl_usd"] == 3_500


def test_an_agent_younger_than_a_week_has_no_annual_figures(
    system: System, conn: Connection
) -> None:
    agent = open_agent(conn, "a", START)
    desk = deploy(conn, agent, 10_000, START)
    earn(conn, desk, 3, 1_000)
    update_metrics(system, day(5))
    found = current(conn, agent)
    assert found["days_si"] == 6
    assert all(found[f"{name}_{w}"] is None for name in ("apr", "sharpe") for w in ("30d", "si"))
    assert float(found["total_return_si"]) == pytest.approx(0.1)
    update_metrics(system, day(6))
    assert current(conn, agent)["apr_si"] is not None


def test_days_when_the_system_was_off_have_no_return(system: System, conn: Connection) -> None:
    agents = [open_agent(conn, name, START) for name in ("watched", "unwatched")]
    watched, unwatched = (deploy(conn, agent, 10_000, START) for agent in agents)
    earn(conn, watched, 0, 100)
    earn(conn, unwatched, 0, 100)
    for number in range(1, 9):
        snapshot_equity(conn, day(number, 23))
    # The second agent's rows of the days between are gone, as if nobody had looked.
    conn.exec_driver_sql(
        "DELETE FROM agentwhere.equity_daily WHERE day > '2026-03-02' AND deployment_id = %s",
        (unwatched.deployment.id,),
    )
    earn(conn, watched, 9, 100)
    earn(conn, unwatched, 9, 100)
    update_metrics(system, day(9))
    first, second = (current(conn, agent) for agent in agents)
    assert first["days_si"] == second["days_si"] == 10
    assert all(first[f"{name}_si"] == second[f"{name}_si"] for name in FIGURES)


def test_a_venue_specific_agent_counts_its_venue_only(system: System, conn: Connection) -> None:
    agents = [
        open_agent(conn, "multi", START),
        open_agent(conn, "ostium", START, Venue.OSTIUM),
    ]
    for agent in agents:
        desk = deploy(conn, agent, 10_000, START)
        earn(conn, desk, 2, 1_000, venue=Venue.HYPERLIQUID)
        earn(conn, desk, 3, -100, venue=Venue.OSTIUM)
    update_metrics(system, day(9))
    multi, ostium = (current(conn, agent) for agent in agents)
    assert (multi["net_pnl_usd"], multi["closed_positions"]) == (900, 2)
    assert (ostium["net_pnl_usd"], ostium["closed_positions"]) == (-100, 1)
    assert float(ostium["total_return_si"]) == pytest.approx(-0.01, abs=1e-12)


def test_sixteen_trades_a_day_and_one_give_equal_figures(system: System, conn: Connection) -> None:
    agents = [open_agent(conn, name, START) for name in ("once", "often")]
    once, often = (deploy(conn, agent, 10_000, START) for agent in agents)
    for number, pnl in enumerate([160, -80, 320, 0, -240, 160, 480, -80, 16, 64]):
        earn(conn, once, number, pnl, fee="8")
        for part in range(16):
            at = day(number, 10) + timedelta(minutes=part)
            price = Decimal(1000) + Decimal(pnl) / 16
            trade(conn, often, (at, "1000"), (at, str(price)), fee="0.5")
        snapshot_equity(conn, day(number, 23))
    update_metrics(system, day(9, 23))
    first, second = (current(conn, agent) for agent in agents)
    assert (first["closed_positions"], second["closed_positions"]) == (10, 160)
    figures = [name for name in first if name.endswith(("_30d", "_90d", "_si"))]
    assert {name: first[name] for name in figures} == {name: second[name] for name in figures}
    assert first["sharpe_30d"] is not None


def test_two_deployments_count_by_their_money(system: System, conn: Connection) -> None:
    agent = open_agent(conn, "a", START)
    small = deploy(conn, agent, 1_000, START, "small")
    large = deploy(conn, agent, 9_000, START, "large")
    earn(conn, small, 2, 100)
    earn(conn, large, 3, -90)
    update_metrics(system, day(9))
    growth = (1 + 100 / 10_000) * (1 - 90 / 10_100)
    assert float(current(conn, agent)["total_return_si"]) == pytest.approx(growth - 1, abs=1e-12)


def test_only_agents_whose_money_moved_are_computed_again(system: System, conn: Connection) -> None:
    agents = [open_agent(conn, name, START) for name in ("busy", "idle")]
    busy, idle = (deploy(conn, agent, 10_000, START) for agent in agents)
    earn(conn, busy, 1, 100)
    earn(conn, idle, 1, 100)
    assert update_metrics(system, day(8)).rows_out == 2
    assert update_metrics(system, day(8, 13)).rows_out == 0
    trade(conn, busy, (day(8, 13), "10"), (day(8, 14), "11"))
    assert update_metrics(system, day(8, 14)).rows_out == 1
    move_capital(conn, idle, 500, day(8, 14))
    assert update_metrics(system, day(8, 15)).rows_out == 1
    assert current(conn, agents[1])["equity_usd"] == 10_600
    assert update_metrics(system, day(9)).rows_out == 2


def test_history_keeps_one_row_per_agent_and_day(system: System, conn: Connection) -> None:
    agent = open_agent(conn, "a", START)
    desk = deploy(conn, agent, 10_000, START)
    for number in (7, 8):
        for hour in (10, 12):
            trade(conn, desk, (day(number, hour), "10"), (day(number, hour), "11"))
            update_metrics(system, day(number, hour))
    history = conn.execute(
        select(
            agent_metrics_history.c.as_of,
            agent_metrics_history.c.net_pnl_usd,
            agent_metrics_history.c.closed_positions,
        ).order_by(agent_metrics_history.c.as_of)
    )
    assert [tuple(row) for row in history] == [
        (day(7).date(), Decimal(2), 2),
        (day(8).date(), Decimal(4), 4),
    ]


def test_an_agent_that_lost_everything_shows_it(system: System, conn: Connection) -> None:
    agent = open_agent(conn, "a", START)
    desk = deploy(conn, agent, 1_000, START)
    earn(conn, desk, 2, -1_200)
    report = update_metrics(system, day(9))
    found = current(conn, agent)
    assert found["total_return_si"] == -1
    assert found["equity_usd"] == -200
    assert report.details["lost_everything"] == ["a on 2026-03-04"]


def test_nothing_to_measure_is_no_failure(system: System) -> None:
    report = update_metrics(system, START)
    assert (report.rows_in, report.rows_out, report.problems) == (0, 0, ())


def test_a_short_lucky_history_does_not_stand_above_a_long_good_one(
    system: System, conn: Connection
) -> None:
    lucky = deploy(conn, open_agent(conn, "lucky week", day(32)), 10_000, day(32))
    steady = deploy(conn, open_agent(conn, "steady months", START), 10_000, START)
    for number in range(40):
        earn(conn, steady, number, 60 if number % 3 else -50)
        if number >= 32:
            earn(conn, lucky, number, 100 if number % 2 else -20)

    report = update_metrics(system, day(39, 23))

    assert [row["agent"] for row in report.table] == ["steady months", "lucky week"]
    by_name = {row["agent"]: row for row in report.table}
    assert float(by_name["lucky week"]["Sharpe"]) > float(by_name["steady months"]["Sharpe"])


def test_the_curves_are_those_of_the_returns(system: System, conn: Connection) -> None:
    desk = deploy(conn, open_agent(conn, "a", START), 10_000, START)
    earn(conn, desk, 1, 1_000)
    move_capital(conn, desk, 9_000, day(2))
    earn(conn, desk, 3, -2_000)
    growth, drawdown = update_metrics(system, day(4)).plots
    assert [round(value, 6) for _, value in growth.lines["a"]] == [0, 10, 10, -1, -1]
    assert [round(value, 6) for _, value in drawdown.lines["a"]] == [0, 0, 0, -10, -10]


def test_every_agent_of_a_crowd_gets_its_own_figures(system: System) -> None:
    earned = {0: 2_500, BATCH: -20_000, 2 * BATCH: 5_000}
    with system.engine.begin() as conn:
        crowd = [open_agent(conn, f"agent {n}", START) for n in range(2 * BATCH + 1)]
        desks = [deploy(conn, agent, 10_000, START) for agent in crowd]
        for number, usd in earned.items():
            trade(conn, desks[number], (day(8), "50000"), (day(8), str(50_000 + usd)))
    report = update_metrics(system, day(9))
    with system.engine.connect() as conn:
        told = {row.agent_id: row.total_return_si for row in conn.execute(select(agent_metrics))}
    assert report.rows_out == len(told) == len(crowd)
    assert report.details["lost_everything"] == [f"agent {BATCH} on 2026-03-11"]
    moved = {crowd.index(agent): value for agent, value in told.items() if value}
    assert moved == {0: Decimal("0.25"), BATCH: -1, 2 * BATCH: Decimal("0.5")}


def test_a_portion_that_fails_takes_no_other_with_it_and_is_made_up_for(system: System) -> None:
    with system.engine.begin() as conn:
        crowd = [open_agent(conn, f"agent {n}", START) for n in range(BATCH + 1)]
        for number, agent in enumerate(crowd):
            deploy(conn, agent, 10_000 + (number == 0), START)
        conn.exec_driver_sql(
            "ALTER TABLE agentwhere.agent_metrics ADD CONSTRAINT bad CHECK (equity_usd <> 10001)"
        )
    with pytest.raises(IntegrityError):
        update_metrics(system, day(9))
    with system.engine.begin() as conn:
        assert conn.execute(select(agent_metrics.c.agent_id)).scalars().all() == crowd[BATCH:]
        conn.exec_driver_sql("ALTER TABLE agentwhere.agent_metrics DROP CONSTRAINT bad")
    assert update_metrics(system, day(9)).rows_out == BATCH
    assert update_metrics(system, day(9)).rows_out == 0
