"""Open positions: read, marked with prices in memory, exits decided, written; and the whole monitor."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from sqlalchemy import Engine, text

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.market import Market, Quote
from agentwhere_flow.garbage import collected_rarely
from agentwhere_flow.marking import mark_positions
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from agentwhere_store import markets as market_store
from agentwhere_store.marks import open_exposures
from agentwhere_store.tables.ideas import agents
from agentwhere_store.tables.trading import deployments, positions, venue_accounts
from benchmarks.scenes import (
    HL,
    NOW,
    account_row,
    agent_row,
    copy_rows,
    deployment_row,
    market,
)
from benchmarks.sheet import Sheet, per_second

TOKENS = 200
MANY = 100_000
ENTRY = Decimal("104250.5")
PRICE = Decimal("104812.25")
TARGETS = {12: "< 1 s", 10_000: "", MANY: "< 5 s"}


def write_positions(engine: Engine, count: int) -> None:
    """Write open, protected positions, at most `TOKENS` per account, of which none is to be closed."""
    with engine.begin() as conn:
        agent = agent_row("Bench")
        copy_rows(conn, agents, [agent])
        desks = [deployment_row(agent["id"], f"d{n}") for n in range(-(-count // TOKENS))]
        accounts = [account_row(desk["id"]) for desk in desks]
        copy_rows(conn, deployments, desks)
        copy_rows(conn, venue_accounts, accounts)
        copy_rows(conn, positions, _positions(agent["id"], accounts, count))
        market_store.replace_list(conn, HL, [market(HL, f"T{n}") for n in range(TOKENS)])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE"))


def _positions(
    agent_id: Any, accounts: Sequence[dict[str, Any]], count: int
) -> Iterator[dict[str, Any]]:
    for number in range(count):
        account = accounts[number // TOKENS]
        yield {
            "id": new_id(),
            "deployment_id": account["deployment_id"],
            "agent_id": agent_id,
            "account_id": account["id"],
            "venue": HL.value,
            "token_symbol": f"T{number % TOKENS}",
            "market_name": f"T{number % TOKENS}",
            "side": "LONG",
            "size": Decimal("0.01234"),
            "peak_size": Decimal("0.01234"),
            "entry_price": ENTRY,
            "leverage": Decimal(3),
            "stop_loss_price": ENTRY * Decimal("0.95"),
            "take_profit_price": ENTRY * Decimal("1.1"),
            "trailing_activation_pct": Decimal(5),
            "trailing_distance_pct": Decimal(2),
            "max_holding_h": Decimal(72),
            "fees_usd": Decimal("0.58"),
            "opened_at": NOW - timedelta(hours=5),
            "updated_at": NOW,
        }


def mark_all(system: System) -> tuple[int, float]:
    """Mark and check every open position as the step does; return how many, and the seconds of reading."""
    quotes = {(HL, f"T{n}"): Quote(HL, f"T{n}", PRICE, PRICE, PRICE, NOW) for n in range(TOKENS)}
    began = time.perf_counter()
    with system.engine.begin() as conn:
        exposed = open_exposures(conn)
    read = time.perf_counter() - began
    marked = mark_positions(system, exposed, quotes, (), NOW, to_kill=())
    assert not marked.decisions
    return marked.count, read


def update_in_place(engine: Engine) -> float:
    """Set the same columns of all open positions to constants in one durable statement: what the server needs alone."""
    with engine.begin() as conn:
        began = time.perf_counter()
        conn.execute(
            text(
                "UPDATE agentwhere.positions SET current_price = 1, unrealized_pnl_usd = 1, best_price = 1,"
                " liquidation_price = 1, last_marked = now(), updated_at = now() WHERE status = 'OPEN'"
            )
        )
        conn.commit()
    return time.perf_counter() - began


def vacuum(engine: Engine) -> None:
    """Give every round a table without the dead rows of the round before, as autovacuum does in time."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM agentwhere.positions"))


@pytest.mark.parametrize("count", [12, 10_000, MANY])
def test_marking(benchmark: BenchmarkFixture, system: System, sheet: Sheet, count: int) -> None:
    engine = system.engine
    write_positions(engine, count)
    reading: list[float] = []

    def work() -> int:
        with collected_rarely():
            marked, seconds = mark_all(system)
        reading.append(seconds)
        return marked

    marked = benchmark.pedantic(work, setup=lambda: vacuum(engine), rounds=3, warmup_rounds=1)
    assert marked == count
    took = benchmark.stats.stats.min
    vacuum(engine)
    floor = update_in_place(engine)
    sheet.add(
        f"{count:,} open positions read, marked, checked for exits, written",
        f"{took:.3f} s, {per_second(count, took)} (reading {min(reading):.3f} s of it)",
        beside=f"UPDATE of the same rows to constants: {floor:.3f} s",
        target=TARGETS[count],
    )


class QuotingVenue:
    """A venue with prices in memory and no orders, so that only our own time is measured."""

    venue = HL
    can_execute = False

    def quotes(self, markets: Sequence[Market], now: datetime) -> Mapping[str, Quote]:
        return {m.token: Quote(HL, m.token, PRICE, PRICE, PRICE, now) for m in markets}


def test_the_whole_monitor(benchmark: BenchmarkFixture, system: System, sheet: Sheet) -> None:
    write_positions(system.engine, MANY)
    system.venues = {Venue.HYPERLIQUID: QuotingVenue()}  # type: ignore[misc]
    report = benchmark.pedantic(
        monitor_positions, args=(system, NOW), setup=lambda: vacuum(system.engine), rounds=2
    )
    assert report.rows_out == MANY
    took = benchmark.stats.stats.min
    sheet.add(
        f"the step positions over {MANY:,} open positions, equity snapshot included",
        f"{took:.2f} s, {per_second(MANY, took)}",
        target=TARGETS[MANY],
    )
