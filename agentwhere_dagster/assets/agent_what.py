"""Agent What: from published posts to sized signals."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from agentwhere_dagster.assets.markets import market_context, venue_markets
from agentwhere_dagster.materialize import OWNERS, materialize
from agentwhere_dagster.resources import AgentWhere

GROUP = "agent_what"
USAGE = (
    "calls",
    "from_cache",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "cost_today_usd",
    "daily_budget_usd",
)


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"api", "rss", "postgres"},
    tags={"agentwhere/step": "ingest"},
    code_version="1",
)
def posts(context: dg.AssetExecutionContext, agent_where: AgentWhere) -> dg.MaterializeResult[Any]:
    """Read new posts of the X accounts and research feeds that active agents follow, each stored once."""
    from agentwhere_flow.posts import ingest_posts

    return materialize(context, agent_where, ingest_posts)


@dg.asset(
    deps=[posts, venue_markets],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"openai", "postgres"},
    tags={"agentwhere/step": "classify"},
    code_version="1",
)
def classified_posts(
    context: dg.AssetExecutionContext, agent_where: AgentWhere
) -> dg.MaterializeResult[Any]:
    """Ask the language model what each post proposes; one that it cannot answer stays pending with its error."""
    from agentwhere_flow.classify import classify_posts

    result = materialize(context, agent_where, classify_posts)
    metadata: Mapping[str, Any] = result.metadata or {}
    return dg.MaterializeResult(metadata={**metadata, **usage_figures(metadata["details"].value)})


@dg.asset(
    deps=[classified_posts, market_context],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
    tags={"agentwhere/step": "size"},
    code_version="1",
)
def signals(
    context: dg.AssetExecutionContext, agent_where: AgentWhere
) -> dg.MaterializeResult[Any]:
    """Turn classified posts into sized trade ideas: conflicts netted out, shares of funds within cap and budget."""
    from agentwhere_flow.signals import generate_signals

    return materialize(context, agent_where, generate_signals)


def usage_figures(told: Mapping[str, Any]) -> dict[str, dg.MetadataValue[Any]]:
    """Return what the model was used for as numbers of their own, which the UI draws over time.

    The exact amounts stand in the details; a number that is not known, such as a budget that nobody set, is left out.
    """
    return {
        name: dg.MetadataValue.float(float(told[name]))
        for name in USAGE
        if told.get(name) is not None
    }


assets = [posts, classified_posts, signals]
