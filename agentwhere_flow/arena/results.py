"""The arena's table of results, from portfolio sizes, fills and what the providers were paid."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agentwhere_core.arena.results import Ledgered, Standing, rank
from agentwhere_flow.arena.portfolio import MARK_EVERY_S
from agentwhere_store.arena import models as model_store
from agentwhere_store.arena import portfolio as store
from agentwhere_store.arena.models import Record
from agentwhere_store.arena.portfolio import Trading

if TYPE_CHECKING:
    from agentwhere_flow.system import System


def standings(system: System, now: datetime) -> list[Standing]:
    """Return all models that have a portfolio size, best net return first."""
    with system.engine.connect() as conn:
        models = model_store.all_models(conn)
        records = model_store.records(conn, now)
        trading = store.trading(conn)
        values: dict[str, list[tuple[datetime, Decimal]]] = defaultdict(list)
        for point in store.points(conn, until=now):
            values[point.model_name].append((point.at, point.total_value))
    books = {}
    for model in models:
        traded = trading.get(model.id, Trading(0, Decimal(0), Decimal(0)))
        cost = records.get(model.id, Record()).cost_usd
        books[model.name] = Ledgered(traded.fees_usd, traded.volume_usd, cost)
    return rank(values, books, period=timedelta(seconds=MARK_EVERY_S))


def as_row(standing: Standing) -> dict[str, Any]:
    """Return a standing for people."""
    differs = {None: "", True: "yes", False: "no"}[standing.differs_from_leader]
    sharpe = (
        ""
        if standing.sharpe is None
        else f"{standing.sharpe:.1f} ({standing.sharpe_low:.1f} to {standing.sharpe_high:.1f})"
    )
    return {
        "rank": standing.rank,
        "model": standing.name,
        "value": f"{standing.last_value_usd:,.2f}",
        "return": f"{standing.total_return:+.3%}",
        "net of LLM": f"{standing.net_return:+.3%}",
        "sharpe (95 %)": sharpe,
        "drawdown": f"{standing.max_drawdown:.3%}",
        "turnover": f"{standing.turnover:.2f}",
        "fees": f"{standing.fees_usd:.2f}",
        "LLM cost": f"{standing.llm_cost_usd:.4f}",
        "differs from leader": differs,
    }
