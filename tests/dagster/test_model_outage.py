"""The language model is away for whole batches: people hear of one incident and of its end, and of nothing else."""

from __future__ import annotations

import dagster as dg
import pytest

from agentwhere_core.health.rules import assess
from agentwhere_dagster import alerts
from agentwhere_dagster.definitions import defs
from agentwhere_flow.alerts import close_alert, open_alerts, recent_alerts
from agentwhere_flow.classify import OUTAGE
from agentwhere_flow.health import measure
from agentwhere_flow.markets import sync_markets
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.dagster.daemon import Daemon
from tests.flow.receiver import Receiver
from tests.flow.world import rows, utc_now

TITLE = "no post can be classified"
STARVED = ("classified_posts", "signals")


@pytest.fixture
def daemon(receiver: Receiver, system: System, instance: dg.DagsterInstance) -> Daemon:
    """A daemon whose first batch is to come, and an operator who listens."""
    for venue in system.settings.venues:
        sync_markets(system, utc_now(), venue=venue)
    monitor_positions(system, utc_now())
    return Daemon(instance)


def begin(instance: dg.DagsterInstance, job: str) -> None:
    """Plan a run of a job that has not ended."""
    instance.create_run_for_job(defs.resolve_job_def(job), status=dg.DagsterRunStatus.STARTED)


def count(system: System, table: str) -> int:
    return int(rows(system, f"SELECT count(*) FROM agentwhere.{table}")[0][0])


def posts_component(system: System) -> str:
    now = utc_now()
    return assess(measure(system, now), now).component("posts").status.value


def test_a_model_that_is_away_for_two_batches_is_one_incident_told_once_and_ended_once(
    daemon: Daemon, system: System, sim: Simulator, receiver: Receiver
) -> None:
    sim.fault("llm", "down")
    for _ in range(2):
        assert not daemon.run("signal_generation").success
        daemon.hear()
    for asset in STARVED:
        daemon.judge_freshness(asset, is_fresh=False)
    rows_aged(system, "13 hours")
    assert daemon.run("health_monitoring").success
    daemon.hear()
    assert [(alert.incident, alert.times_seen) for alert in open_alerts(system)] == [(OUTAGE, 2)]
    assert receiver.titles == [f"[WARNING] {TITLE}"]
    assert posts_component(system) == "degraded"
    assert count(system, "signals") == 0
    waiting = "SELECT DISTINCT state, last_reason FROM agentwhere.posts"
    assert rows(system, waiting) == [("PENDING", "CLASSIFIER_UNAVAILABLE")]

    sim.http.delete("/control/faults").raise_for_status()
    assert daemon.run("signal_generation").success
    for asset in STARVED:
        daemon.judge_freshness(asset, is_fresh=True)
    assert daemon.run("health_monitoring").success
    daemon.hear()
    assert open_alerts(system) == []
    assert receiver.titles[1:] == [f"[RECOVERED] {TITLE}"]
    assert [alert.incident for alert in recent_alerts(system, 10)] == [OUTAGE]
    assert posts_component(system) == "healthy"
    posts = count(system, "posts")
    assert posts == count(system, "classifications") > 15


def test_what_stays_stale_after_the_incident_is_told_then(
    daemon: Daemon, system: System, sim: Simulator
) -> None:
    sim.fault("llm", "down")
    daemon.run("signal_generation")
    daemon.judge_freshness("signals", is_fresh=False)
    daemon.judge_freshness("orders", is_fresh=False)
    begin(daemon.instance, "signal_generation")
    daemon.hear()
    assert {alert.incident for alert in open_alerts(system)} == {OUTAGE, "stale:orders"}
    close_alert(system, utc_now(), OUTAGE)
    daemon.evaluate(alerts.stale_assets)
    assert {alert.incident for alert in open_alerts(system)} == {"stale:orders", "stale:signals"}


def test_posts_that_wait_for_long_without_an_incident_are_told(
    daemon: Daemon, system: System
) -> None:
    daemon.run("signal_generation")
    rows_aged(system, "13 hours", "state = 'PENDING'")
    daemon.run("health_monitoring")
    daemon.hear()
    assert [alert.incident for alert in open_alerts(system)] == [
        "check:classified_posts:backlog_is_short"
    ]


def rows_aged(system: System, age: str, state: str | None = None) -> None:
    """Let every post have waited for so long."""
    also = f", {state}" if state else ""
    rows(
        system,
        f"UPDATE agentwhere.posts SET ingested_at = ingested_at - interval '{age}'{also} RETURNING 1",
    )
