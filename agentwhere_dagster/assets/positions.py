"""Positions: reconciled with the venues, marked, and closed when an exit says so."""

from typing import Any

import dagster as dg

from agentwhere_dagster.assets.agent_where import orders
from agentwhere_dagster.materialize import OWNERS, materialize
from agentwhere_dagster.resources import AgentWhere
from agentwhere_dagster.scale import money_pool


@dg.asset(
    deps=[orders],
    group_name="positions",
    owners=OWNERS,
    kinds={"api", "postgres"},
    tags={"agentwhere/step": "monitor", "agentwhere/moves-money": "true"},
    pool=money_pool(),
    code_version="1",
)
def positions(
    context: dg.AssetExecutionContext, agent_where: AgentWhere
) -> dg.MaterializeResult[Any]:
    """Compare open positions with the venues, mark them at current prices, and make the exits that are due."""
    from agentwhere_flow.positions import monitor_positions

    return materialize(context, agent_where, monitor_positions)


assets = [positions]
