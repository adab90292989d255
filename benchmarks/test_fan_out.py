"""One signal fans out to ten thousand deployments, every rule switched on, decisions committed."""

from __future__ import annotations

import io
import time
from decimal import Decimal
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture
from sqlalchemy import Engine, text

from agentwhere_core.domain.enums import Side, Venue
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.trade import Policy
from agentwhere_core.how.schema import policy_to_json
from agentwhere_flow.policy import apply_policies
from agentwhere_flow.system import System
from agentwhere_store import signals as signal_store
from agentwhere_store.tables.ideas import agents
from agentwhere_store.tables.trading import deployments, policies
from benchmarks.scenes import NOW, agent_row, copy_rows, deployment_row, signal
from benchmarks.sheet import Sheet, per_second

DEPLOYMENTS = 10_000
DECISIONS = "agentwhere.policy_decisions"
EVERY_RULE = Policy(
    min_confidence=Decimal("0.5"),
    max_fund_percentage=Decimal(5),
    max_leverage=Decimal(3),
    max_open_positions=5,
    max_total_exposure_pct=Decimal(200),
    max_token_exposure_pct=Decimal(50),
    max_venue_exposure_pct=Decimal(100),
    blocked_tokens=frozenset({"DOGE", "SHIB"}),
    allowed_venues=frozenset({Venue.HYPERLIQUID, Venue.LIGHTER}),
    allowed_sides=frozenset(Side),
    style_multiplier=Decimal("0.5"),
    cooldown_h=Decimal(12),
    daily_loss_limit_pct=Decimal(5),
)


def write_desks(engine: Engine) -> None:
    """Write one agent with a signal, and its deployments with a policy each."""
    with engine.begin() as conn:
        agent = agent_row("Bench")
        copy_rows(conn, agents, [agent])
        desks = [deployment_row(agent["id"], f"d{number}") for number in range(DEPLOYMENTS)]
        copy_rows(conn, deployments, desks)
        copy_rows(conn, policies, [_policy(desk["id"]) for desk in desks])
        signal_store.insert_signals(conn, [signal(agent["id"], "BTC")])


def _policy(deployment_id: Any) -> dict[str, Any]:
    rules = policy_to_json(EVERY_RULE)
    return {
        "id": new_id(),
        "deployment_id": deployment_id,
        "rules": rules,
        "updated_at": NOW,
    }


def clear(engine: Engine) -> None:
    with engine.begin() as conn:
        conn.execute(text(f"TRUNCATE {DECISIONS} CASCADE"))


def copy_again(engine: Engine) -> float:
    """Put the decisions back by COPY, in one durable transaction; return the least time of three."""
    saved = io.BytesIO()
    with engine.begin() as conn:
        cursor = conn.connection.driver_connection.cursor()  # type: ignore[union-attr]
        with cursor.copy(f"COPY {DECISIONS} TO STDOUT (FORMAT binary)") as rows:
            for chunk in rows:
                saved.write(chunk)
    times = []
    for _ in range(3):
        clear(engine)
        began = time.perf_counter()
        with engine.begin() as conn:
            cursor = conn.connection.driver_connection.cursor()  # type: ignore[union-attr]
            with cursor.copy(f"COPY {DECISIONS} FROM STDIN (FORMAT binary)") as into:
                into.write(saved.getvalue())
        times.append(time.perf_counter() - began)
    return min(times)


def test_a_signal_fans_out(benchmark: BenchmarkFixture, system: System, sheet: Sheet) -> None:
    write_desks(system.engine)
    report = benchmark.pedantic(
        apply_policies, args=(system, NOW), setup=lambda: clear(system.engine), rounds=3
    )
    assert report.rows_out == DEPLOYMENTS
    took, floor = benchmark.stats.stats.min, copy_again(system.engine)
    sheet.add(
        f"one signal to {DEPLOYMENTS:,} deployments, every rule on, decided and committed",
        f"{took:.2f} s, {per_second(DEPLOYMENTS, took)}",
        beside=f"COPY of the same rows into the same table: {floor:.2f} s",
        target="< 5 s",
    )
