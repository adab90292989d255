"""Monitoring: the system's health in one report."""

from typing import Any

import dagster as dg

from agentwhere_dagster.assets.agent_where import orders
from agentwhere_dagster.assets.markets import venue_markets
from agentwhere_dagster.assets.positions import positions
from agentwhere_dagster.materialize import OWNERS, materialize
from agentwhere_dagster.resources import AgentWhere


@dg.asset(
    deps=[venue_markets, orders, positions],
    group_name="monitoring",
    owners=OWNERS,
    kinds={"postgres"},
    tags={"agentwhere/step": "health"},
    code_version="1",
)
def health_report(
    context: dg.AssetExecutionContext, agent_where: AgentWhere
) -> dg.MaterializeResult[Any]:
    """Judge venues, database, routing, positions and recent errors: healthy, degraded or critical, and what to do."""
    from agentwhere_flow.contact import ensure_contact
    from agentwhere_flow.health import report_health

    system = agent_where.system()
    ensure_contact(system, system.clock())
    return materialize(context, agent_where, report_health)


assets = [health_report]
