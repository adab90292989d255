"""Performance: agents' figures, sources' track records, and what routing cost in hindsight."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from agentwhere_dagster.assets.agent_where import routing_decisions
from agentwhere_dagster.assets.positions import positions
from agentwhere_dagster.materialize import OWNERS, materialize
from agentwhere_dagster.plots import stacked_bars
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
    from agentwhere_flow.regret import compute_regret, regret_by_venue

    result = materialize(context, agent_where, compute_regret)
    plots = regret_plots(regret_by_venue(agent_where.system()))
    return dg.MaterializeResult(metadata={**(result.metadata or {}), **plots})


def regret_plots(told: Sequence[Mapping[str, Any]]) -> dict[str, dg.MetadataValue[Any]]:
    """Return what trades cost and what they might have saved, by strategy and venue; nothing without trades."""
    if not told:
        return {}
    labels = [f"{row['strategy']} {row['venue']} ({row['trades']})" for row in told]
    costs = [
        {part: float(row[f"{part}_bps"]) for part in ("fees", "slippage", "funding")}
        for row in told
    ]
    regrets = [{"regret": float(row["regret_bps"])} for row in told]
    return {
        "costs_by_venue": stacked_bars(
            "What trades cost, by strategy and venue (trades)",
            list(zip(labels, costs, strict=True)),
            unit="bps",
        ),
        "regret_by_venue": stacked_bars(
            "What the cheapest other venue would have saved",
            list(zip(labels, regrets, strict=True)),
            unit="bps",
        ),
    }


assets = [agent_metrics, source_scores, routing_regret]
