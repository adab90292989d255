"""What a tick of the arena costs: 10 models on 6 markets of the simulated Lighter, every five minutes."""

from __future__ import annotations

import os
import time
from copy import copy
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import text

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.time import utc_now
from agentwhere_flow.arena.demo import add_simulated_model, new_model
from agentwhere_flow.arena.portfolio import mark_portfolios
from agentwhere_flow.arena.turns import invoke_models
from agentwhere_flow.markets import sync_markets
from agentwhere_flow.settings import Settings
from agentwhere_flow.setup import setup
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from benchmarks.sheet import Sheet

MARKETS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "LINK")
TRADERS = ("sim/trend", "sim/contrarian", "sim/erratic", "sim/learner", "baseline/macd") * 2
INTERVAL_S = 300
TICKS = 6
TABLES = ("models", "invocations", "tool_calls", "portfolio_size", "candles", "signals", "orders")
TABLES += ("order_events", "submissions", "venue_routing_history", "policy_decisions", "fills")
TABLES += ("positions", "position_events", "step_runs", "errors")


def cpu_of(pid: int) -> float:
    """Return the seconds of processor time that a process and its ended children have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def cpu_of_server(system: System) -> float:
    """Return the processor time of PostgreSQL: of its postmaster and of every child that lives."""
    with system.engine.begin() as conn:
        folder = conn.execute(text("SHOW data_directory")).scalar_one()
    pid = int(Path(folder, "postmaster.pid").read_text().splitlines()[0])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return cpu_of(pid) + sum(cpu_of(int(child)) for child in children)


def stored_bytes(system: System) -> int:
    """Return what the tables that a tick writes take, indexes included."""
    query = text(
        "SELECT sum(pg_total_relation_size(('agentwhere.' || t)::regclass)) FROM unnest(CAST(:t AS text[])) t"
    )
    with system.engine.begin() as conn:
        return int(conn.execute(query, {"t": list(TABLES)}).scalar_one())


def test_ten_models_on_six_markets(system: System, sheet: Sheet, tmp_path: Path) -> None:
    simulator = Simulator(tmp_path / "world")
    port = int(simulator.url.rsplit(":", 1)[1])
    url = system.settings.database_url
    assert url is not None
    arena = System(
        Settings(DATABASE_URL=url.get_secret_value(), home=tmp_path / "home", sim_port=port)
    )
    try:
        setup(arena, utc_now())
        sync_markets(arena, utc_now(), venue=Venue.LIGHTER)
        for number, trader in enumerate(TRADERS):
            new = new_model(f"model {number}", trader)
            leverage = dict.fromkeys(MARKETS, Decimal(3))
            add_simulated_model(
                arena,
                utc_now(),
                replace(new, markets=MARKETS, leverage=leverage, interval_s=INTERVAL_S),
            )
        invoke_models(arena, utc_now())
        before, spent, walls = stored_bytes(arena), [], []
        for number in range(1, TICKS + 1):
            simulator.control("clock", advance_s=INTERVAL_S)
            moved = copy(arena)
            shift = timedelta(seconds=INTERVAL_S * number)
            moved.clock = lambda shift=shift: utc_now() + shift  # type: ignore[misc]
            begun = time.process_time() + cpu_of(simulator.process.pid) + cpu_of_server(arena)
            wall = time.perf_counter()
            report = invoke_models(moved, moved.clock())
            mark_portfolios(moved, moved.clock())
            walls.append(time.perf_counter() - wall)
            ended = time.process_time() + cpu_of(simulator.process.pid) + cpu_of_server(arena)
            spent.append(ended - begun)
            assert report.rows_out == len(TRADERS)
        grown = (stored_bytes(arena) - before) / TICKS
    finally:
        arena.close()
        simulator.stop()
    per_day = grown * 86_400 / INTERVAL_S
    sheet.add(
        "a tick of the arena, 10 models on 6 markets: processor time of client, simulator and PostgreSQL",
        f"{sorted(spent)[len(spent) // 2]:.2f} s, {sorted(spent)[len(spent) // 2] / INTERVAL_S:.1%} of a core",
        beside=f"wall time {sorted(walls)[len(walls) // 2]:.2f} s",
        target="20 % of a core",
    )
    sheet.add(
        "storage growth of it, every 5 minutes",
        f"{per_day / 1e6:.0f} MB a day",
        beside=f"{grown / len(TRADERS) / 1e3:.1f} kB an invocation",
    )
