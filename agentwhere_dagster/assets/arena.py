"""The arena: candles, models that take their turns, and what their accounts are worth.

All models that are due take their turn in one run, isolated from each other by the use case: a run each would cost
two seconds of processor time before its first line. Each model is a dynamic partition, and a run records a
materialization for those that it invoked.
"""

from typing import Any

import dagster as dg

from agentwhere_dagster.assets.markets import venue_markets
from agentwhere_dagster.materialize import OWNERS, materialize
from agentwhere_dagster.resources import AgentWhere

GROUP = "arena"
MODELS = dg.DynamicPartitionsDefinition(name="arena_models")


@dg.asset(
    deps=[venue_markets],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"api", "postgres"},
    tags={"agentwhere/step": "arena"},
    code_version="1",
)
def arena_candles(
    context: dg.AssetExecutionContext, agent_where: AgentWhere
) -> dg.MaterializeResult[Any]:
    """Fetch the 5 minute and 4 hour candles of the arena's markets that have closed since the last look."""
    from agentwhere_flow.arena.candles import refresh_arena_candles

    return materialize(context, agent_where, refresh_arena_candles)


@dg.asset(
    deps=[arena_candles],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"api", "postgres"},
    tags={"agentwhere/step": "arena", "agentwhere/moves-money": "true"},
    partitions_def=MODELS,
    code_version="1",
)
def model_invocations(
    context: dg.AssetExecutionContext, agent_where: AgentWhere
) -> dg.MaterializeResult[Any]:
    """Invoke every model that is due, store what it asks for, and execute that by the same ledger as all else."""
    from agentwhere_flow.arena.turns import invoke_models

    result = materialize(context, agent_where, invoke_models)
    for name, figures in _by_model(result).items():
        context.log_event(
            dg.AssetMaterialization(context.asset_key, partition=name, metadata=figures)
        )
    return result


@dg.asset(
    deps=[model_invocations],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"api", "postgres"},
    tags={"agentwhere/step": "arena"},
    code_version="1",
)
def portfolio_snapshots(
    context: dg.AssetExecutionContext, agent_where: AgentWhere
) -> dg.MaterializeResult[Any]:
    """Record what every model's account is worth, at marks of five minutes that all share."""
    from agentwhere_flow.arena.portfolio import mark_portfolios

    return materialize(context, agent_where, mark_portfolios)


def _by_model(result: dg.MaterializeResult[Any]) -> dict[str, dict[str, str | int]]:
    """Return, by model that was invoked, what its materialization says."""
    details = (result.metadata or {}).get("details")
    value = details.value if isinstance(details, dg.JsonMetadataValue) else {}
    by_model = value.get("models", {}) if isinstance(value, dict) else {}
    return {str(name): dict(figures) for name, figures in by_model.items()}


assets = [arena_candles, model_invocations, portfolio_snapshots]
