"""Open pages hear of changes at once, by any worker, also after the database was away; and hold nothing up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import httpx
from sqlalchemy import text

from agentwhere_app.api.changes import ALL_TOPICS
from agentwhere_core.domain.enums import Severity
from agentwhere_flow.alerts import raise_alert
from agentwhere_flow.health import report_health
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from tests.app.api.served import Served, serving
from tests.flow.world import utc_now


@contextmanager
def listening(api: Served) -> Iterator[Iterator[set[str]]]:
    """Give the topics of each notice, from when the server is known to hear of changes."""
    with api.client() as client, client.stream("GET", "/api/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        notices = topics(stream)
        # All topics at first, and when the server begins to hear.
        while next(notices) == ALL_TOPICS:
            with api.system.engine.begin() as conn:
                conn.execute(text("UPDATE agentwhere.agents SET name = name WHERE false"))
        yield notices


def topics(stream: httpx.Response) -> Iterator[set[str]]:
    for line in stream.iter_lines():
        if line.startswith("data:"):
            yield set(json.loads(line.removeprefix("data:"))["topics"])


def raise_one(system: System, incident: str = "test") -> None:
    raise_alert(system, utc_now(), incident, Severity.WARNING, "a test", "look away")


def await_topic(notices: Iterator[set[str]], topic: str) -> None:
    assert any(topic in found for found in notices)


def test_a_change_is_told_to_every_open_page_without_its_data(api: Served) -> None:
    with listening(api) as one, listening(api) as other:
        raise_one(api.system)
        await_topic(one, "alerts")
        await_topic(other, "alerts")


def test_who_asks_for_health_because_it_changed_is_told_the_new_one(api: Served) -> None:
    asks_for_the_newest = {"Cache-Control": "no-cache"}
    with listening(api) as notices, api.client(**asks_for_the_newest) as client:
        for _ in range(3):
            monitor_positions(api.system, now := utc_now())
            report_health(api.system, now)
            await_topic(notices, "health")
            told = client.get("/api/monitoring/health").json()
            assert datetime.fromisoformat(told["positionMonitor"]["lastRunAt"]) >= now


def test_two_workers_tell_the_same(empty: System) -> None:
    with (
        serving(empty) as first,
        serving(empty) as second,
        listening(first) as one,
        listening(second) as other,
    ):
        raise_one(empty)
        await_topic(one, "alerts")
        await_topic(other, "alerts")


def test_the_listener_comes_back_after_the_database_was_away(api: Served) -> None:
    with listening(api) as notices:
        with api.system.engine.begin() as conn:
            conn.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
                )
            )
        # Whatever happened meanwhile was not heard: everything is told as changed.
        assert any(found == ALL_TOPICS for found in notices)
        raise_one(api.system)
        await_topic(notices, "alerts")


def test_an_open_stream_does_not_keep_the_server_from_ending(empty: System) -> None:
    with serving(empty) as served:
        client = served.client()
        stream = client.send(client.build_request("GET", "/api/events"), stream=True)
        notices = topics(stream)
        next(notices)
    assert list(notices) in ([], [set(ALL_TOPICS)])
    stream.close()
    client.close()
