"""Figures of ten thousand agents over a million closed positions: all of them, and only those that changed."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from sqlalchemy import Engine, text

from agentwhere_flow.metrics import update_metrics
from agentwhere_flow.system import System
from agentwhere_store.tables.ideas import agents
from agentwhere_store.tables.trading import deployments, venue_accounts
from benchmarks.scenes import NOW, account_row, agent_row, copy_rows, deployment_row
from benchmarks.sheet import Sheet, per_second

AGENTS = 10_000
POSITIONS_EACH = 100
DAYS = 90
CHANGED = 100

WRITE_POSITIONS = """
INSERT INTO agentwhere.positions (id, deployment_id, agent_id, account_id, venue, token_symbol, market_name, side,
    size, peak_size, entry_price, leverage, realized_pnl_usd, fees_usd, status, exit_reason, exit_price,
    opened_at, closed_at, updated_at)
SELECT gen_random_uuid(), d.id, d.agent_id, a.id, 'HYPERLIQUID', 'T' || n, 'T' || n, 'LONG', 0, 0.01234, 104250.5, 3,
    round((random() * 40 - 19)::numeric, 6), 0.58, 'CLOSED', 'TAKE_PROFIT', 104812.25,
    :now - interval '1 day' * (1 + n % :days), :now - interval '1 day' * (n % :days), :now
FROM agentwhere.deployments d JOIN agentwhere.venue_accounts a ON a.deployment_id = d.id,
    generate_series(1, :each) AS n
"""
WRITE_EQUITY = """
INSERT INTO agentwhere.equity_daily (deployment_id, venue, day, realized_pnl_usd, unrealized_pnl_usd, fees_usd,
    funding_usd, updated_at)
SELECT deployment_id, 'HYPERLIQUID', day, sum(sum(realized)) OVER up_to_day, 0, sum(sum(fees)) OVER up_to_day, 0, :now
FROM (
    SELECT deployment_id, CAST(timezone('UTC', closed_at) AS date) AS day,
        realized_pnl_usd AS realized, fees_usd AS fees
    FROM agentwhere.positions
) AS closed
GROUP BY deployment_id, day
WINDOW up_to_day AS (PARTITION BY deployment_id ORDER BY day)
"""


@pytest.fixture
def track_records(system: System) -> System:
    """Return a system whose agents have a history of closed positions and daily equity."""
    with system.engine.begin() as conn:
        conn.execute(text("SET LOCAL statement_timeout = 0"))
        crowd = [agent_row(f"agent {number}") for number in range(AGENTS)]
        desks = [deployment_row(agent["id"], "a") for agent in crowd]
        copy_rows(conn, agents, crowd)
        copy_rows(conn, deployments, desks)
        copy_rows(conn, venue_accounts, [account_row(desk["id"]) for desk in desks])
        conn.execute(text(WRITE_POSITIONS), {"now": NOW, "days": DAYS, "each": POSITIONS_EACH})
        conn.execute(text(WRITE_EQUITY), {"now": NOW})
    with system.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("SET statement_timeout = 0"))
        conn.execute(text("VACUUM ANALYZE"))
    return system


def read_only(engine: Engine) -> float:
    """Sum all positions and read all daily equity in plain SQL: what the server must do at least."""
    began = time.perf_counter()
    with engine.begin() as conn:
        conn.execute(
            text("SELECT agent_id, sum(realized_pnl_usd) FROM agentwhere.positions GROUP BY 1")
        ).all()
        conn.execute(
            text(
                "SELECT deployment_id, array_agg(realized_pnl_usd ORDER BY day)"
                " FROM agentwhere.equity_daily GROUP BY 1"
            )
        ).all()
    return time.perf_counter() - began


def change_some(engine: Engine, how_many: int) -> None:
    """Let a closed position of some agents have earned more than it was thought to."""
    with engine.begin() as conn:
        conn.execute(
            text(
                "UPDATE agentwhere.positions SET realized_pnl_usd = realized_pnl_usd + 1 WHERE id IN ("
                "SELECT DISTINCT ON (agent_id) id FROM agentwhere.positions ORDER BY agent_id LIMIT :n)"
            ),
            {"n": how_many},
        )


def test_figures_of_all_agents(
    benchmark: BenchmarkFixture, track_records: System, sheet: Sheet
) -> None:
    engine = track_records.engine
    # Another day makes every agent's figures stale.
    moments = [NOW + timedelta(days=number) for number in range(2)]
    times: list[float] = []
    computed: list[int] = []

    def whole() -> None:
        for moment in moments:
            began = time.perf_counter()
            computed.append(update_metrics(track_records, moment).rows_out)
            times.append(time.perf_counter() - began)

    benchmark.pedantic(whole, rounds=1)
    assert computed == [AGENTS, AGENTS]
    floor = min(read_only(engine) for _ in range(2))
    sheet.add(
        f"figures of {AGENTS:,} agents, {AGENTS * POSITIONS_EACH:,} closed positions, {DAYS} days",
        f"{min(times):.1f} s, {per_second(AGENTS, min(times))}",
        beside=f"summing these positions and reading this equity in SQL: {floor:.1f} s",
        target="< 10 s",
    )
    for count in (CHANGED, 0):
        seconds, found = _again(track_records, moments[-1], count)
        assert found == count
        sheet.add(
            f"the same once more, when {count} agents changed",
            f"{seconds:.1f} s",
            target="O(new rows)",
        )


def _again(system: System, now: Any, changed: int) -> tuple[float, int]:
    change_some(system.engine, changed)
    began = time.perf_counter()
    report = update_metrics(system, now)
    return time.perf_counter() - began, report.rows_out
