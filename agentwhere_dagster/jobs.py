"""Jobs: which assets run together, and which runs may not overlap.

Runs of one *lane* follow each other: the run queue holds the second until the first has ended. Steps that move money
also share a concurrency pool, and hold a lease in the database, whatever started them.
"""

from typing import Any

import dagster as dg

from agentwhere_core.domain.sharding import WHOLE, Shard
from agentwhere_dagster.assets.agent_how import policy_decisions
from agentwhere_dagster.assets.agent_what import GROUP as AGENT_WHAT
from agentwhere_dagster.assets.agent_where import GROUP as AGENT_WHERE
from agentwhere_dagster.assets.arena import GROUP as ARENA
from agentwhere_dagster.assets.markets import GROUP as MARKETS
from agentwhere_dagster.assets.markets import market_context
from agentwhere_dagster.assets.monitoring import health_report
from agentwhere_dagster.assets.performance import GROUP as PERFORMANCE
from agentwhere_dagster.assets.positions import positions
from agentwhere_dagster.scale import LANE, trading_shards

RUNS_KEPT_DAYS = 14
MOST_RUNS_PER_PURGE = 2000
_PURGE_BATCH = 200

MONEY_LANES = frozenset({"execution", "positions"})
_groups = dg.AssetSelection.groups
_assets = dg.AssetSelection.assets

market_sync = dg.define_asset_job(
    "market_sync",
    selection=_groups(MARKETS),
    description="Fetch every venue's market list, then the context and candles of the tokens in use.",
    tags={LANE: "markets"},
)
signal_generation = dg.define_asset_job(
    "signal_generation",
    selection=_groups(AGENT_WHAT) | _assets(market_context),
    description="Read new posts, classify them, and size the signals that follow from them.",
    tags={LANE: "signals"},
)
trade_execution = dg.define_asset_job(
    "trade_execution",
    selection=_assets(policy_decisions) | _groups(AGENT_WHERE),
    description="Apply each deployment's policy to live signals, choose venues, and bring the orders to an end.",
    tags={LANE: "execution"},
)
position_monitoring = dg.define_asset_job(
    "position_monitoring",
    selection=_assets(positions),
    description="Compare open positions with the venues, mark them, and close those whose exit is due.",
    tags={LANE: "positions"},
)
performance = dg.define_asset_job(
    "performance",
    selection=_groups(PERFORMANCE),
    description="Recompute agents' figures, sources' track records and routing regret.",
    tags={LANE: "performance"},
)
arena = dg.define_asset_job(
    "arena",
    selection=_groups(ARENA),
    description="Invoke the arena's models that are due, execute what they ask for, and mark their accounts.",
    tags={LANE: "arena"},
)
health_monitoring = dg.define_asset_job(
    "health_monitoring",
    selection=_assets(health_report) | dg.AssetSelection.all_asset_checks(),
    description="Write the health report and evaluate every check, whether or not its asset has run.",
    tags={LANE: "health"},
)
full_pass = dg.define_asset_job(
    "full_pass",
    selection=dg.AssetSelection.all(),
    description="The whole flow once, from market lists to the health report.",
    # It executes orders: a trade_execution run waits for it, and it for one.
    tags={LANE: "execution"},
)


class PurgeConfig(dg.Config):
    """How much run history to keep."""

    keep_days: int = RUNS_KEPT_DAYS


@dg.op
def delete_old_runs(context: dg.OpExecutionContext, config: PurgeConfig) -> None:
    """Delete finished Dagster runs and their events that are older than ``keep_days``, oldest first.

    This also deletes their materialization history; business history lives in our own tables.
    """
    from datetime import timedelta

    from dagster._core.storage.dagster_run import FINISHED_STATUSES

    from agentwhere_core.domain.time import utc_now

    old = dg.RunsFilter(
        statuses=list(FINISHED_STATUSES),
        created_before=utc_now() - timedelta(days=config.keep_days),
    )
    deleted = 0
    while deleted < MOST_RUNS_PER_PURGE:
        run_ids = [
            record.dagster_run.run_id
            for record in context.instance.get_run_records(
                old, limit=_PURGE_BATCH, order_by="id", ascending=True
            )
        ]
        if not run_ids:
            break
        for run_id in run_ids:
            context.instance.delete_run(run_id)
        deleted += len(run_ids)
    context.log.info("deleted %d runs older than %d days", deleted, config.keep_days)
    context.add_output_metadata({"runs_deleted": deleted})


@dg.job(tags={LANE: "maintenance"})
def run_retention() -> None:
    """Keep Dagster's own tables from growing for ever."""
    delete_old_runs()


CYCLE: tuple[Any, ...] = (
    market_sync,
    signal_generation,
    trade_execution,
    position_monitoring,
    performance,
    arena,
    health_monitoring,
)
"""The jobs that make up one whole cycle, in the order of the flow."""

SHARDED: tuple[Any, ...] = (trade_execution, position_monitoring)
"""The jobs of which each shard has runs of its own, where there are several."""


def shards_of(job: Any) -> tuple[Shard, ...]:
    """Return the shards whose runs together do what ``job`` is for."""
    return trading_shards() if job in SHARDED else (WHOLE,)


jobs = [*CYCLE, full_pass, run_retention]
