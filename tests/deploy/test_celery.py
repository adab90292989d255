"""Two Celery workers execute trading in two shards; one of them dies, and no order is lost or sent twice."""

from __future__ import annotations

import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from uuid import UUID

import pytest

from agentwhere_core.domain.enums import DeploymentStatus, Venue
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.sharding import Shard, shards
from agentwhere_core.domain.trade import Deployment, Policy
from agentwhere_flow.demo import create_demo
from agentwhere_flow.markets import sync_markets
from agentwhere_flow.settings import Settings
from agentwhere_flow.setup import setup
from agentwhere_flow.simulated import address_of, ensure_funds, open_account
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from agentwhere_store import agents as agent_store
from agentwhere_store import deployments as deployment_store
from tests.deploy.conftest import REPOSITORY, Part, Parts, await_until, free_ports
from tests.flow.scenes import propose
from tests.flow.world import rows, utc_now

pytest.importorskip("dagster_celery", reason="agentwhere[celery] is not installed")
pytestmark = [
    pytest.mark.skipif(
        shutil.which("redis-server") is None, reason="there is no redis-server on this machine"
    ),
    pytest.mark.timeout(1200),
]

TWO = shards(2)
DEPLOYMENTS_PER_SHARD = 1
ORDER = '"type":"order"'
JOBS = ("trade_execution", "position_monitoring")

RUNS = """
import os, sys, traceback
import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableRepository

definitions = ReconstructableRepository.for_module("agentwhere_dagster.definitions", "defs")

def run(job, shard):
    with dg.DagsterInstance.get() as instance:
        asked = definitions.get_reconstructable_job(job)
        with dg.execute_job(asked, instance, tags={"agentwhere/shard": shard}) as result:
            return result.success

def started(job, shard):
    pid = os.fork()
    if pid == 0:
        done = False
        try:
            done = run(job, shard)
        except BaseException:
            traceback.print_exc()
        # No thread that a fork has cut off is waited for.
        os._exit(0 if done else 1)
    return pid

# What is loaded here once, each run's process has.
definitions.get_definition()
jobs, shards = (text.split(",") for text in sys.argv[1:])
for job in jobs:
    pids = [started(job, shard) for shard in shards]
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * len(pids), job
"""


@pytest.fixture
def system(environment: dict[str, str]) -> Iterator[System]:
    """A system whose only deployments are those that the test makes."""
    system = System(Settings())
    setup(system, utc_now())
    create_demo(system, utc_now())
    sync_markets(system, utc_now(), venue=Venue.HYPERLIQUID)
    with system.engine.begin() as conn:
        (agent,) = agent_store.active_agents(conn)
        for table in ("venue_accounts", "policies", "deployments"):
            conn.exec_driver_sql(f"DELETE FROM agentwhere.{table}")
    for shard in TWO:
        for number in range(DEPLOYMENTS_PER_SHARD):
            deploy(system, agent.id, shard, f"{number + 1} of shard {shard.number}")
    yield system
    system.close()


def deploy(system: System, agent_id: UUID, shard: Shard, name: str) -> None:
    """Run the agent on a funded account of its own, under an id that falls into ``shard``."""
    id_ = next(found for found in iter(new_id, None) if shard.covers(found))
    key = name.replace(" ", "-")
    made = Deployment(
        id=id_,
        agent_id=agent_id,
        name=name,
        subscriber_wallet=address_of(system, key),
        capital_usd=Decimal(10_000),
        status=DeploymentStatus.ACTIVE,
        policy=Policy(),
        accounts=(open_account(system, Venue.HYPERLIQUID, id_, key),),
    )
    with system.engine.begin() as conn:
        deployment_store.create_deployment(conn, made, utc_now())
    ensure_funds(system, made, utc_now())


@pytest.fixture
def workers(parts: Parts) -> tuple[Part, Part]:
    """Two workers at a broker of their own."""
    [port] = free_ports(1)
    broker = parts.start(
        "redis",
        *("redis-server", "--port", str(port), "--bind", "127.0.0.1"),
        *("--save", "", "--dir", str(parts.folder)),
    )
    broker.await_saying("Ready to accept connections")
    parts.environment = {
        **parts.environment,
        "AGENTWHERE_EXECUTOR": "celery",
        "AGENTWHERE_SHARDS": "2",
        "AGENTWHERE_CELERY_BROKER": f"redis://127.0.0.1:{port}/0",
        "AGENTWHERE_CELERY_BACKEND": f"redis://127.0.0.1:{port}/1",
    }
    one, two = (worker(parts, name) for name in ("one", "two"))
    for started in (one, two):
        started.await_saying("ready.")
    return one, two


def worker(parts: Parts, name: str) -> Part:
    return parts.python(
        f"worker-{name}",
        *("-m", "dagster_celery.cli", "worker", "start", "-A", "dagster_celery.app"),
        *("--config-yaml", str(REPOSITORY / "deploy/celery.yaml"), "--name", name),
        *("--", "--pool", "solo"),
    )


def tick(parts: Parts, *jobs: str, among: Sequence[Shard] = TWO) -> Part:
    """Run jobs one after another, the shards of each at once, as their schedules and a run queue would."""
    return parts.python("runs", "-c", RUNS, ",".join(jobs), ",".join(map(str, among)))


def tasks_done(part: Part) -> int:
    return len(re.findall(r"Task execute_plan\S+ succeeded", part.said()))


def is_busy(part: Part) -> bool:
    return len(re.findall(r"Task execute_plan\S+ received", part.said())) > tasks_done(part)


def await_lonely(workers: Sequence[Part]) -> Part:
    """Wait until one worker alone stays at work; the other may have a check to do meanwhile."""
    lonely: list[Part] = []

    def at_work() -> list[Part]:
        return [one for one in workers if is_busy(one)]

    def is_lonely() -> bool:
        lonely[:] = at_work()
        time.sleep(2)
        return len(lonely) == 1 and at_work() == lonely

    await_until(is_lonely, lambda: f"{len(lonely)} workers stay at work")
    return lonely[0]


def entries_at_venue(system: System, sim: Simulator) -> Counter[tuple[str, str]]:
    """Count the entries that the venue ever accepted, by account and coin."""
    found: Counter[tuple[str, str]] = Counter()
    for (address,) in rows(system, "SELECT address FROM agentwhere.venue_accounts"):
        query = {"venue": "HYPERLIQUID", "address": address}
        orders = sim.http.get("/control/orders", params=query).json()["orders"]
        found.update((address, order["coin"]) for order in orders if not order["reduce_only"])
    return found


def filled_entries(system: System) -> Counter[tuple[str, str]]:
    query = """
        SELECT a.address, o.token_symbol FROM agentwhere.orders o
        JOIN agentwhere.venue_accounts a ON a.id = o.account_id
        WHERE o.purpose = 'ENTRY' AND o.state = 'FILLED'"""
    return Counter((address, token) for address, token in rows(system, query))


def test_two_workers_trade_in_two_shards_and_one_of_them_dies(
    system: System, workers: tuple[Part, Part], parts: Parts, sim: Simulator
) -> None:
    accounts = 2 * DEPLOYMENTS_PER_SHARD
    propose(system, "BTC")
    propose(system, "ETH")

    tick(parts, *JOBS).finish()

    sent = entries_at_venue(system, sim)
    assert sent == filled_entries(system)
    assert set(sent.values()) == {1}
    assert len(sent) == 2 * accounts
    assert all(tasks_done(one) > 0 for one in workers)
    positions = (
        "SELECT count(*) FROM agentwhere.positions WHERE status = 'OPEN' AND current_price > 0"
    )
    assert rows(system, positions) == [(2 * accounts,)]

    sim.fault("hyperliquid.exchange", "hang_after", seconds=120, match=ORDER)
    propose(system, "SOL")
    lost = tick(parts, "trade_execution", among=TWO[:1])
    await_until(
        lambda: sim.http.get("/control/faults").json()["faults"][-1]["fired"] > 0,
        lambda: f"no order was sent:\n{lost.said()[-3000:]}",
    )
    victim = await_lonely(workers)
    victim.kill()
    lost.kill()
    sim.http.delete("/control/faults").raise_for_status()

    tick(parts, "trade_execution").finish()

    sent = entries_at_venue(system, sim)
    assert sent == filled_entries(system)
    assert set(sent.values()) == {1}
    assert len(sent) == 3 * accounts
    doubtful = (
        "SELECT count(*) FROM agentwhere.orders WHERE state IN ('PLANNED', 'SENDING', 'UNKNOWN')"
    )
    assert rows(system, doubtful) == [(0,)]
