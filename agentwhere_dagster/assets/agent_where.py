"""Agent Where: a venue for each trade, and its orders."""

from typing import Any

import dagster as dg

from agentwhere_dagster.assets.agent_how import policy_decisions
from agentwhere_dagster.assets.markets import venue_markets
from agentwhere_dagster.materialize import OWNERS, materialize
from agentwhere_dagster.resources import AgentWhere
from agentwhere_dagster.scale import money_pool

GROUP = "agent_where"


@dg.asset(
    deps=[policy_decisions, venue_markets],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
    tags={"agentwhere/step": "route"},
    code_version="1",
)
def routing_decisions(
    context: dg.AssetExecutionContext, agent_where: AgentWhere
) -> dg.MaterializeResult[Any]:
    """Choose a venue for each trade, and keep every venue that was checked and why it was taken or not."""
    from agentwhere_flow.routing import route_signals

    return materialize(context, agent_where, route_signals)


@dg.asset(
    deps=[routing_decisions],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"api", "postgres"},
    tags={"agentwhere/step": "execute", "agentwhere/moves-money": "true"},
    pool=money_pool(),
    code_version="1",
)
def orders(context: dg.AssetExecutionContext, agent_where: AgentWhere) -> dg.MaterializeResult[Any]:
    """Bring orders to an end: intents committed before they are sent, unclear outcomes looked up, never sent again."""
    from agentwhere_flow.execution import execute_orders

    return materialize(context, agent_where, execute_orders)


assets = [routing_decisions, orders]
