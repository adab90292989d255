"""Agent How: each subscriber's own rules."""

from typing import Any

import dagster as dg

from agentwhere_dagster.assets.agent_what import signals
from agentwhere_dagster.materialize import OWNERS, materialize
from agentwhere_dagster.resources import AgentWhere


@dg.asset(
    deps=[signals],
    group_name="agent_how",
    owners=OWNERS,
    kinds={"postgres"},
    tags={"agentwhere/step": "policy"},
    code_version="1",
)
def policy_decisions(
    context: dg.AssetExecutionContext, agent_where: AgentWhere
) -> dg.MaterializeResult[Any]:
    """Apply the policy of every active deployment to each signal: passed, adjusted or refused, and why."""
    from agentwhere_flow.policy import apply_policies

    return materialize(context, agent_where, apply_policies)


assets = [policy_decisions]
