"""Performance: equity by day, and what follows from it for agents, sources and routing.

Equity is kept as cumulative profit per (deployment, venue, UTC day): the last snapshot of a day is that day's close,
and a missing day is one on which nothing was looked at. A deployment's ``capital_usd`` is what it started with on the
day of its creation; ``capital_flows`` is what was put in or taken out later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain, repeat
from operator import attrgetter, sub
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Date,
    Select,
    Table,
    bindparam,
    cast,
    column,
    delete,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert

from agentwhere_core.domain.enums import Venue
from agentwhere_core.performance.equity import Book, CapitalFlow
from agentwhere_core.performance.figures import Figures
from agentwhere_store.arena.desks import in_arena
from agentwhere_store.bulk import incoming_rows
from agentwhere_store.tables.ideas import agents
from agentwhere_store.tables.operations import (
    agent_metrics,
    agent_metrics_history,
    capital_flows,
    deployment_totals,
    equity_daily,
    stale_books,
)
from agentwhere_store.tables.trading import deployments, positions

FIGURES = (
    "total_return",
    "apr",
    "cagr",
    "volatility",
    "sharpe",
    "sharpe_low",
    "sharpe_high",
    "sortino",
    "max_drawdown",
    "profit_factor",
    "win_rate",
)
"""Figures that are kept for each window, by their names in `Figures` and in the columns."""

_SNAPSHOT_LOCK = 0x41574551  # "AWEQ": any number that nobody else locks
_figures_of = attrgetter(*FIGURES)
_ZERO = Decimal(0)
_PROFITS = ("realized_pnl_usd", "unrealized_pnl_usd", "fees_usd", "funding_usd")


@dataclass(frozen=True, slots=True)
class Standing:
    """What an agent's deployments come to now, at the venues that count for it.

    Parameters
    ----------
    closed_positions
        Positions that were opened and closed.
    net_pnl_usd
        Realized and unrealized PnL less fees, plus funding.
    equity_usd
        All capital that was put in and not taken out, plus ``net_pnl_usd``.
    """

    agent_id: UUID
    name: str
    venue: Venue
    closed_positions: int
    net_pnl_usd: Decimal
    equity_usd: Decimal


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """An agent's standing with its figures of all windows."""

    standing: Standing
    figures: tuple[Figures, ...]


def snapshot_equity(conn: Connection, now: datetime) -> int:
    """Bring the totals of every (deployment, venue) whose positions changed up to date, and write them as today's.

    Realized and unrealized PnL are before costs; fees are positive when paid, funding is positive when received.

    Returns
    -------
    int
        How many pairs were new or had changed.
    """
    # One at a time, and the snapshot of what follows is taken after it: an older sum must not replace a newer one.
    conn.execute(select(func.pg_advisory_xact_lock(_SNAPSHOT_LOCK)))
    marks = delete(stale_books).returning(stale_books.c.deployment_id, stale_books.c.venue)
    marked = marks.cte("marked")
    due = select(marked).distinct().subquery("due")
    sums = [func.coalesce(func.sum(positions.c[name]), 0) for name in _PROFITS]
    totals = (
        select(due.c.deployment_id, due.c.venue, func.count(positions.c.closed_at), *sums)
        .outerjoin(
            positions,
            (positions.c.deployment_id == due.c.deployment_id) & (positions.c.venue == due.c.venue),
        )
        .group_by(due.c.deployment_id, due.c.venue)
    )
    statement = insert(deployment_totals).from_select(
        ["deployment_id", "venue", "closed_positions", *_PROFITS], totals
    )
    named = ("closed_positions", *_PROFITS)
    written = statement.on_conflict_do_update(
        index_elements=["deployment_id", "venue"],
        set_={name: statement.excluded[name] for name in named},
    ).returning(
        deployment_totals.c.deployment_id,
        deployment_totals.c.venue,
        *(deployment_totals.c[name] for name in _PROFITS),
    )
    fresh = written.cte("fresh")
    daily = insert(equity_daily).from_select(
        ["deployment_id", "venue", *_PROFITS, "day", "updated_at"],
        select(fresh, literal(_day(now)), literal(now)),
    )
    done = conn.execute(
        daily.on_conflict_do_update(
            index_elements=["deployment_id", "venue", "day"],
            set_={name: daily.excluded[name] for name in (*_PROFITS, "updated_at")},
            where=or_(*(equity_daily.c[name] != daily.excluded[name] for name in _PROFITS)),
        ),
        execution_options={"preserve_rowcount": True},
    )
    return done.rowcount


def count_agents_with_capital(conn: Connection) -> int:
    """Return how many agents have a deployment."""
    return conn.execute(select(func.count(deployments.c.agent_id.distinct()))).scalar_one()


def stale_standings(conn: Connection, now: datetime) -> list[Standing]:
    """Return where those agents stand whose figures are missing, of an earlier day, or no longer true."""
    now_standing = _standings(_day(now)).cte("standing")
    known = agent_metrics
    rows = conn.execute(
        select(now_standing)
        .outerjoin(known, known.c.agent_id == now_standing.c.agent_id)
        .where(
            or_(
                known.c.agent_id.is_(None),
                known.c.as_of != _day(now),
                known.c.closed_positions != now_standing.c.closed_positions,
                known.c.net_pnl_usd != now_standing.c.net_pnl_usd,
                known.c.equity_usd != now_standing.c.equity_usd,
            )
        )
        .order_by(now_standing.c.agent_id)
    )
    return [
        Standing(agent_id, name, Venue(venue), closed, net, equity)
        for agent_id, name, venue, closed, net, equity in rows
    ]


def agent_books(conn: Connection, agent_ids: Collection[UUID], now: datetime) -> dict[UUID, Book]:
    """Return each agent's capital flows and daily profits, all its deployments together, up to today."""
    flows: dict[UUID, list[CapitalFlow]] = defaultdict(list)
    pnl: dict[UUID, list[tuple[date, Venue, Decimal]]] = defaultdict(list)
    chosen = bindparam("agents", list(agent_ids), ARRAY(deployments.c.agent_id.type))
    capital = _capital(_day(now)).subquery()
    for agent_id, day, amount in conn.execute(
        select(capital).where(capital.c.agent_id == func.any(chosen))
    ):
        flows[agent_id].append(CapitalFlow(day, amount))
    for agent_id, name, days, totals in conn.execute(_daily_totals(chosen, _day(now))):
        pnl[agent_id] += zip(days, repeat(Venue(name)), _changes(totals), strict=False)
    return {id_: Book(tuple(flows[id_]), tuple(pnl[id_])) for id_ in agent_ids}


def save_metrics(conn: Connection, found: Sequence[AgentFigures], now: datetime) -> None:
    """Write figures as the current ones, and as those of today in the history."""
    if not found:
        return
    columns = {name: agent_metrics.c[name] for name in _names(found[0])}
    with incoming_rows(conn, columns, (_values(item, now) for item in found)) as incoming:
        for target, key in (
            (agent_metrics, ["agent_id"]),
            (agent_metrics_history, ["agent_id", "as_of"]),
        ):
            statement = insert(target).from_select(list(columns), select(incoming))
            conn.execute(
                statement.on_conflict_do_update(
                    index_elements=key,
                    set_={name: statement.excluded[name] for name in columns if name not in key},
                )
            )


def best_agents(conn: Connection, limit: int = 20) -> list[dict[str, Any]]:
    """Return agents with all their current figures, the best first.

    They are ranked by the lower bound of the confidence interval of their Sharpe ratio since inception, so that a short
    lucky history does not stand above a long good one; agents without the ratio come last. Models of the arena are
    ranked by themselves, in their own table.
    """
    rows = conn.execute(
        select(agents.c.name, agents.c.venue, agent_metrics)
        .join(agents, agents.c.id == agent_metrics.c.agent_id)
        .where(~in_arena(agents.c.id))
        .order_by(agent_metrics.c.sharpe_low_si.desc().nulls_last(), agents.c.name)
        .limit(limit)
    )
    return [dict(row._mapping) for row in rows]


def _standings(today: date) -> Select[Any]:
    """Select each agent's closed positions, net PnL and equity from its deployments' totals and capital."""
    counts = or_(agents.c.venue == Venue.MULTI.value, agents.c.venue == deployment_totals.c.venue)
    earned = (
        select(
            deployments.c.agent_id,
            func.sum(deployment_totals.c.closed_positions).label("closed"),
            func.sum(net_profit(deployment_totals)).label("net"),
        )
        .join(deployments, deployments.c.id == deployment_totals.c.deployment_id)
        .join(agents, agents.c.id == deployments.c.agent_id)
        .where(counts)
        .group_by(deployments.c.agent_id)
        .subquery()
    )
    capital = _capital(today).subquery()
    put_in = (
        select(capital.c.agent_id, func.sum(capital.c.amount).label("amount"))
        .group_by(capital.c.agent_id)
        .subquery()
    )
    net = func.coalesce(earned.c.net, 0)
    return (
        select(
            agents.c.id.label("agent_id"),
            agents.c.name,
            agents.c.venue,
            func.coalesce(earned.c.closed, 0).label("closed_positions"),
            net.label("net_pnl_usd"),
            (put_in.c.amount + net).label("equity_usd"),
        )
        .join(put_in, put_in.c.agent_id == agents.c.id)
        .outerjoin(earned, earned.c.agent_id == agents.c.id)
    )


def _capital(today: date) -> Any:
    """Select (agent_id, day, amount) of all money put in or taken out up to today."""
    started = cast(func.timezone("UTC", deployments.c.created_at), Date)
    moved = cast(func.timezone("UTC", capital_flows.c.at), Date)
    return union_all(
        select(
            deployments.c.agent_id.label("agent_id"),
            started.label("day"),
            deployments.c.capital_usd.label("amount"),
        ).where(started <= today),
        select(deployments.c.agent_id, moved, capital_flows.c.amount_usd)
        .join(deployments, deployments.c.id == capital_flows.c.deployment_id)
        .where(moved <= today),
    )


def _daily_totals(chosen: ColumnElement[Any], today: date) -> Select[Any]:
    """Select (agent_id, venue, days, net profits by then), two arrays per deployment and venue, in the order of days.

    One look into the index per deployment: it has the days in order, so that nothing is sorted.
    """
    day, venue = equity_daily.c.day, equity_daily.c.venue
    kept = (
        select(
            venue,
            func.array_agg(aggregate_order_by(day, day)).label("days"),
            func.array_agg(aggregate_order_by(net_profit(equity_daily), day)).label("totals"),
        )
        .where(equity_daily.c.deployment_id == deployments.c.id, day <= today)
        .group_by(venue)
        .lateral()
    )
    return (
        select(deployments.c.agent_id, kept)
        .join_from(deployments, kept, true())
        .where(deployments.c.agent_id == func.any(chosen))
    )


def _changes(totals: Sequence[Decimal]) -> Iterator[Decimal]:
    """Return what was earned on each day; one without a row kept what it had."""
    return map(sub, totals, chain((_ZERO,), totals))


def net_profit(table: Table) -> ColumnElement[Decimal]:
    """Return realized and unrealized PnL less fees, plus funding, of a row of positions or daily equity."""
    profit: ColumnElement[Decimal] = (
        table.c.realized_pnl_usd
        + table.c.unrealized_pnl_usd
        - table.c.fees_usd
        + table.c.funding_usd
    )
    return profit


def _names(item: AgentFigures) -> list[str]:
    """Return the columns of `_values`, in the same order."""
    names = ["agent_id", "as_of", "closed_positions", "net_pnl_usd", "equity_usd", "computed_at"]
    for found in item.figures:
        names.append(f"days_{found.window}")
        names += [f"{name}_{found.window}" for name in FIGURES]
    return names


def _values(item: AgentFigures, now: datetime) -> list[Any]:
    """Return a row; floats reach their NUMERIC column by the shortest digits that tell them apart, as `repr` does."""
    at = item.standing
    values = [at.agent_id, _day(now), at.closed_positions, at.net_pnl_usd, at.equity_usd, now]
    for found in item.figures:
        values.append(found.days)
        values += _figures_of(found)
    return values


def upsert(
    conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, key: Collection[str]
) -> None:
    """Insert rows or replace those of the same key, in one statement with one array per column."""
    if not rows:
        return
    names = list(rows[0])
    arrays = [
        bindparam(f"array_{name}", [row[name] for row in rows], ARRAY(table.c[name].type))
        for name in names
    ]
    values = (
        func.unnest(*arrays)
        .table_valued(*(column(name, table.c[name].type) for name in names))
        .render_derived()
    )
    statement = insert(table).from_select(names, select(*(values.c[name] for name in names)))
    rest = [name for name in names if name not in key]
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=list(key), set_={name: statement.excluded[name] for name in rest}
        )
    )


def _day(now: datetime) -> date:
    return now.astimezone(UTC).date()
