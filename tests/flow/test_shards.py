"""A process of one shard trades for its own deployments, and for no other."""

from __future__ import annotations

from uuid import UUID

from agentwhere_core.domain.sharding import PARTS, shards
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.policy import apply_policies
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.routing import route_signals
from agentwhere_flow.system import System
from agentwhere_store import deployments as deployment_store
from tests.flow.scenes import propose
from tests.flow.world import rows, utc_now

STEPS = (apply_policies, route_signals, execute_orders, monitor_positions)
TABLES = ("policy_decisions", "venue_routing_history", "orders", "positions")


def deployments_in(system: System, table: str) -> set[UUID]:
    return {id_ for (id_,) in rows(system, f"SELECT deployment_id FROM agentwhere.{table}")}


def test_the_steps_of_a_shard_touch_no_other_deployment(desk: System) -> None:
    with desk.engine.begin() as conn:
        everybody = {item.id for item in deployment_store.deployments(conn)}
        by_shard = {
            shard: {item.id for item in deployment_store.deployments(conn, shard=shard)}
            for shard in shards(len(PARTS))
        }
    assert all(shard.covers(id_) for shard, ids in by_shard.items() for id_ in ids)
    assert set().union(*by_shard.values()) == everybody
    propose(desk, "BTC")

    served: set[UUID] = set()
    for shard, ids in by_shard.items():
        if not ids:
            continue
        served |= ids
        mine = System(desk.settings, shard=shard)
        for step in STEPS:
            step(mine, utc_now())
        mine.close()
        for table in TABLES:
            assert deployments_in(desk, table) == served, table
