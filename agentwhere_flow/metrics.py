"""Agents' figures: from daily equity to APR, Sharpe and the rest, for every agent whose money has moved (M1-M5)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from agentwhere_core.domain.enums import Venue
from agentwhere_core.performance.equity import daily_equity
from agentwhere_core.performance.figures import figures_by_window
from agentwhere_core.tracing import carried
from agentwhere_flow.report import Plot, Tally, step
from agentwhere_store import performance as store
from agentwhere_store.performance import AgentFigures, Standing

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_flow.system import System

BATCH = 250
"""Agents whose daily equity is held in memory at once; the collector of garbage walks over all of it."""

AT_ONCE = 2
"""Such portions under way: while the server works for one, Python computes the figures of the other."""

PLOTTED = 5
"""Agents whose curves are drawn, the best by the lower bound of their Sharpe ratio."""


@step("agent_metrics")
def update_metrics(system: System, now: datetime) -> Tally:
    """Bring the figures of all agents up to date, up to and including today; a position closed just now counts."""
    tally = Tally()
    with system.engine.begin() as conn:
        tally.details["equity_snapshots"] = store.snapshot_equity(conn, now)
    with system.engine.begin() as conn:
        tally.rows_in = store.count_agents_with_capital(conn)
        stale = store.stale_standings(conn, now)
    portions = [stale[first : first + BATCH] for first in range(0, len(stale), BATCH)]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="figures") as pool:
        lost = pool.map(carried(partial(_bring_up_to_date, system, now)), portions)
        ruined = [said for portion in lost for said in portion]
    with system.engine.begin() as conn:
        best = store.best_agents(conn)
        tally.table = [_row(agent) for agent in best]
        tally.plots = _plots(conn, best[:PLOTTED], now)
    tally.rows_out = len(stale)
    tally.details["lost_everything"] = ruined
    return tally


def _bring_up_to_date(system: System, now: datetime, stale: Sequence[Standing]) -> list[str]:
    """Compute and write the figures of some agents; return which of them lost everything, and when."""
    today = now.astimezone(UTC).date()
    found, ruined = [], []
    with system.engine.begin() as conn:
        books = store.agent_books(conn, [standing.agent_id for standing in stale], now)
        for standing in stale:
            series = daily_equity([books[standing.agent_id]], today, standing.venue)
            if series.ruined_on is not None:
                ruined.append(f"{standing.name} on {series.ruined_on}")
            windows = figures_by_window(series.returns)
            found.append(AgentFigures(standing, tuple(windows.values())))
        store.save_metrics(conn, found, now)
    return ruined


def _plots(conn: Connection, best: Sequence[dict[str, Any]], now: datetime) -> list[Plot]:
    """Draw how the money of the best agents grew, net of deposits and withdrawals, and how far it fell from its top."""
    books = store.agent_books(conn, [agent["agent_id"] for agent in best], now)
    growth: dict[str, list[tuple[date, float]]] = {}
    falls: dict[str, list[tuple[date, float]]] = {}
    for agent in best:
        book, venue = books[agent["agent_id"]], Venue(agent["venue"])
        days = daily_equity([book], now.astimezone(UTC).date(), venue).days
        level = top = 1.0
        curve, fall = [], []
        for day in days:
            level *= 1 + day.daily_return
            top = max(top, level)
            curve.append((day.day, 100 * (level - 1)))
            fall.append((day.day, 100 * (level / top - 1)))
        growth[agent["name"]], falls[agent["name"]] = curve, fall
    if not growth:
        return []
    return [
        Plot("Equity curve", "% since start", growth),
        Plot("Drawdown", "% from the top", falls),
    ]


def _row(agent: dict[str, Any]) -> dict[str, Any]:
    return {
        "agent": agent["name"],
        "venue": agent["venue"],
        "days": agent["days_si"],
        "APR 30 d": _percent(agent["apr_30d"]),
        "APR since start": _percent(agent["apr_si"]),
        "Sharpe at least": ""
        if agent["sharpe_low_si"] is None
        else f"{agent['sharpe_low_si']:.2f}",
        "Sharpe": "" if agent["sharpe_si"] is None else f"{agent['sharpe_si']:.2f}",
        "drawdown": _percent(agent["max_drawdown_si"]),
        "closed": agent["closed_positions"],
        "net PnL USD": f"{agent['net_pnl_usd']:.2f}",
        "equity USD": f"{agent['equity_usd']:.2f}",
    }


def _percent(fraction: Decimal | None) -> str:
    return "" if fraction is None else f"{fraction:.1%}"
