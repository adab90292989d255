"""Performance: agents' figures, sources' track records, and what routing cost in hindsight."""

from typing import Any

import dagster as dg

from agentwhere_dagster.assets.agent_where import routing_decisions
from agentwhere_dagster.assets.positions import positions
from agentwhere_dagster.materialize import OWNERS, materialize
from agentwhere_dagster.resources import AgentWhere

GROUP = "performance"


@dg.asset(
    deps=[positions],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
    tags={"agentwhere/step": "metrics"},
    code_version="1",
)
def agent_metrics(
    context: dg.AssetExecutionContext, agent_where: AgentWhere
) -> dg.MaterializeResult[Any]:
    """Compute APR, Sharpe, drawdown and the rest per agent, from daily equity net of fees, funding and deposits."""
    from agentwhere_flow.metrics import update_metrics

    return materialize(context, agent_where, update_metrics)


@dg.asset(
    deps=[positions],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
    tags={"agentwhere/step": "scores"},
    code_version="1",
)
def source_scores(
    context: dg.AssetExecutionContext, agent_where: AgentWhere
) -> dg.MaterializeResult[Any]:
    """Keep each source's track record: signals, hit rate, PnL contribution, and the weight that follows."""
    from agentwhere_flow.scores import update_source_scores

    return materialize(context, agent_where, update_source_scores)


@dg.asset(
    deps=[positions, routing_decisions],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
    tags={"agentwhere/step": "regret"},
    code_version="1",
)
def routing_regret(
    context: dg.AssetExecutionContext, agent_where: AgentWhere
) -> dg.MaterializeResult[Any]:
    """Compute what each closed trade would have cost at the venues that were available and not chosen."""
    from agentwhere_flow.regret import compute_regret

    return materialize(context, agent_where, compute_regret)


assets = [agent_metrics, source_scores, routing_regret]
