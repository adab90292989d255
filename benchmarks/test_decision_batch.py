"""Ten thousand decisions with their durable history rows, beside COPY of the very same rows."""

from __future__ import annotations

import io
import multiprocessing
import time
import timeit
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from multiprocessing.connection import Connection as PipeConnection
from uuid import UUID

from pytest_benchmark.fixture import BenchmarkFixture
from sqlalchemy import Connection, Engine, text

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.market import Book, Market, Quote
from agentwhere_core.domain.sharding import Shard, shards
from agentwhere_core.domain.trade import AccountState, VenueAccount
from agentwhere_core.where.router import route
from agentwhere_core.where.scene import RouteRequest, Scene
from agentwhere_flow.garbage import collected_rarely
from agentwhere_flow.routing import route_signals
from agentwhere_flow.system import System
from agentwhere_store import markets as market_store
from agentwhere_store.decisions import RoutedSignal, save_decisions
from agentwhere_store.engine import make_engine
from agentwhere_store.routing import RoutingWork, unrouted
from benchmarks.scenes import (
    HL,
    LIGHTER,
    NOW,
    OSTIUM,
    STANDINGS,
    chosen_at_once,
    market,
    write_routing_work,
)
from benchmarks.sheet import Sheet, per_second

SIGNALS = DEPLOYMENTS = 100
BATCH = SIGNALS * DEPLOYMENTS
TARGET = "> 20,000/s"
HISTORY = "agentwhere.venue_routing_history"


def decide(
    work: Sequence[RoutingWork], scenes: Mapping[str, tuple[UUID, Scene]]
) -> list[RoutedSignal]:
    """Decide all, by scenes that were read before."""
    return [
        RoutedSignal(
            signal=item.signal,
            deployment_id=item.decision.deployment_id,
            decision=route(
                RouteRequest(item.signal.token, item.signal.side, Decimal(50), Decimal(2)),
                scenes[item.signal.token][1],
                STANDINGS,
            ),
            scene_id=scenes[item.signal.token][0],
            margin_usd=Decimal(50),
            duration_ms=Decimal("0.04"),
        )
        for item in work
    ]


def clear(engine: Engine) -> None:
    with engine.begin() as conn:
        conn.execute(text(f"TRUNCATE {HISTORY} CASCADE"))


def copy_again(engine: Engine, rounds: int) -> float:
    """Put the rows of the history back by COPY, in one durable transaction; return the least time."""
    with engine.begin() as conn:
        saved = io.BytesIO()
        with driver(conn).cursor().copy(f"COPY {HISTORY} TO STDOUT (FORMAT binary)") as rows:
            for chunk in rows:
                saved.write(chunk)
    times = []
    for _ in range(rounds):
        clear(engine)
        began = time.perf_counter()
        with (
            engine.begin() as conn,
            driver(conn).cursor().copy(f"COPY {HISTORY} FROM STDIN (FORMAT binary)") as into,
        ):
            into.write(saved.getvalue())
        times.append(time.perf_counter() - began)
    return min(times)


def driver(conn: Connection):  # type: ignore[no-untyped-def]
    return conn.connection.driver_connection


def decide_and_save(engine: Engine, work: Sequence[RoutingWork]) -> int:
    """Decide all by scenes that are made anew, and commit them to the history."""
    scenes = {f"T{n}": (new_id(), chosen_at_once(f"T{n}")) for n in range(SIGNALS)}
    routed = decide(work, scenes)
    with engine.begin() as conn:
        return save_decisions(conn, dict(scenes.values()), routed, NOW)


def run_shard(url: str, shard: Shard, pipe: PipeConnection) -> None:
    """Decide a shard's part whenever told to, and say how many decisions were new; end when told nothing more."""
    engine = make_engine(url)
    with engine.begin() as conn:
        work = unrouted(conn, NOW, shard=shard)
    with collected_rarely():
        while pipe.recv():
            pipe.send(decide_and_save(engine, work))
    engine.dispose()


def test_a_batch_with_history_rows(
    benchmark: BenchmarkFixture, engine: Engine, sheet: Sheet
) -> None:
    with engine.begin() as conn:
        write_routing_work(conn, signals=SIGNALS, deployments_of_agent=DEPLOYMENTS)
        work = unrouted(conn, NOW)
    scenes = {f"T{n}": (new_id(), chosen_at_once(f"T{n}")) for n in range(SIGNALS)}
    # As the step does it.
    with collected_rarely():
        deciding = min(timeit.repeat(lambda: decide(work, scenes), number=1, repeat=5))
        saved = benchmark.pedantic(
            decide_and_save, args=(engine, work), setup=lambda: clear(engine), rounds=5
        )
    assert saved == BATCH
    took, floor = benchmark.stats.stats.min, copy_again(engine, rounds=5)
    sheet.add(
        f"{BATCH:,} decisions made and committed with history rows",
        f"{took:.2f} s, {per_second(BATCH, took)} (deciding {deciding:.2f} s of it)",
        beside=f"COPY of the same rows into the same table: {floor:.2f} s, {per_second(BATCH, floor)}",
        target=TARGET,
    )


def test_a_batch_in_two_shards(benchmark: BenchmarkFixture, engine: Engine, sheet: Sheet) -> None:
    with engine.begin() as conn:
        write_routing_work(conn, signals=SIGNALS, deployments_of_agent=DEPLOYMENTS)
    url = engine.url.render_as_string(hide_password=False)
    spawning = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for shard in shards(2):
        ours, theirs = spawning.Pipe()
        pipes.append(ours)
        processes.append(spawning.Process(target=run_shard, args=(url, shard, theirs)))
        processes[-1].start()

    def all_at_once() -> int:
        for pipe in pipes:
            pipe.send(True)
        return sum(pipe.recv() for pipe in pipes)

    saved = benchmark.pedantic(all_at_once, setup=lambda: clear(engine), rounds=5, warmup_rounds=1)
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(False)
        process.join()
    assert saved == BATCH
    took = benchmark.stats.stats.min
    sheet.add(
        "the same by two shards, a process each",
        f"{took:.2f} s, {per_second(BATCH, took)}",
        target=TARGET,
    )


class QuietVenue:
    """A venue that answers from memory, so that only our own time is measured."""

    def __init__(self, venue: Venue, *, can_execute: bool) -> None:
        self.venue = venue
        self.can_execute = can_execute

    def account_state(self, account: VenueAccount, now: datetime) -> AccountState:
        return AccountState(account.address, Decimal(10_000), Decimal(9_000), (), now)

    def book(self, market: Market, now: datetime) -> Book | None:
        return None

    def quotes(self, markets: Sequence[Market], now: datetime) -> Mapping[str, Quote]:
        return {}


def test_the_whole_routing_step(benchmark: BenchmarkFixture, system: System, sheet: Sheet) -> None:
    with system.engine.begin() as conn:
        write_routing_work(conn, signals=SIGNALS, deployments_of_agent=DEPLOYMENTS)
        for venue in (HL, OSTIUM, LIGHTER):
            listed = [market(venue, f"T{n}") for n in range(SIGNALS)]
            market_store.replace_list(conn, venue, listed)
    system.venues = {  # type: ignore[misc]
        venue: QuietVenue(venue, can_execute=venue is HL) for venue in (HL, OSTIUM, LIGHTER)
    }
    report = benchmark.pedantic(
        route_signals, args=(system, NOW), setup=lambda: clear(system.engine), rounds=3
    )
    assert report.rows_out == BATCH
    took = benchmark.stats.stats.min
    sheet.add(
        f"the step routing_decisions over {BATCH:,} signals × deployments",
        f"{took:.2f} s, {per_second(BATCH, took)}",
        beside=f"of it deciding, first to last: {report.details['decision_seconds']:.2f} s",
    )
