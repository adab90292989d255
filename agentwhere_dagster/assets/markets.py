"""Markets: what each venue lists, and what it says about the moment."""

from typing import Any

import dagster as dg

from agentwhere_core.domain.enums import Venue
from agentwhere_dagster.materialize import OWNERS, materialize
from agentwhere_dagster.resources import AgentWhere

GROUP = "markets"
SYNCED_VENUES = (Venue.HYPERLIQUID, Venue.OSTIUM, Venue.LIGHTER)


def market_list_name(venue: Venue) -> str:
    """Return the name of the asset that holds a venue's market list."""
    return f"{venue.value.lower()}_markets"


def _market_list(venue: Venue) -> dg.AssetsDefinition:
    @dg.asset(
        name=market_list_name(venue),
        description=(
            f"Every market that {venue.value.title()} lists, under its canonical symbol, with size and price rules, "
            "leverage, fees, price and trading hours. A failed sync leaves the rows of the last good one."
        ),
        group_name=GROUP,
        owners=OWNERS,
        kinds={"api", "postgres"},
        tags={"agentwhere/venue": venue.value.lower()},
        code_version="1",
    )
    def sync(
        context: dg.AssetExecutionContext, agent_where: AgentWhere
    ) -> dg.MaterializeResult[Any]:
        from agentwhere_flow.markets import sync_markets

        if not agent_where.trades_on(venue):
            note = f"{venue.value} is not among AGENTWHERE_VENUES: nothing was done."
            return dg.MaterializeResult(metadata={"note": note})
        return materialize(context, agent_where, sync_markets, venue=venue)

    return sync


market_lists = [_market_list(venue) for venue in SYNCED_VENUES]


@dg.asset(
    deps=market_lists,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
    tags={"agentwhere/venue": "all"},
    code_version="1",
)
def venue_markets(
    context: dg.AssetExecutionContext, agent_where: AgentWhere
) -> dg.MaterializeResult[Any]:
    """Count all venues' markets together: how many each lists, what trades in several places, how fresh they are."""
    from agentwhere_flow.markets import summarize_markets

    return materialize(context, agent_where, summarize_markets)


@dg.asset(
    deps=[venue_markets],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"api", "postgres"},
    tags={"agentwhere/venue": "all"},
    code_version="1",
)
def market_context(
    context: dg.AssetExecutionContext, agent_where: AgentWhere
) -> dg.MaterializeResult[Any]:
    """Record the moment, per token and venue: 24 h change and volume, open interest, funding, spread, volatility."""
    from agentwhere_flow.markets import refresh_context

    return materialize(context, agent_where, refresh_context)


@dg.asset(
    deps=[venue_markets],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"api", "postgres"},
    tags={"agentwhere/venue": "all"},
    code_version="1",
)
def candles(
    context: dg.AssetExecutionContext, agent_where: AgentWhere
) -> dg.MaterializeResult[Any]:
    """Fetch the price history of the tokens in use, as open, high, low, close and volume."""
    from agentwhere_flow.markets import refresh_candles

    return materialize(context, agent_where, refresh_candles)


assets = [*market_lists, venue_markets, market_context, candles]
