"""The API answers as its first users know it: every field of their documents' samples, in its type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from agentwhere_flow.arena.turns import invoke_models
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.app.api import samples
from tests.app.api.samples import differences
from tests.app.api.served import Served, serving
from tests.arena.scenes import enter
from tests.flow.world import rows, utc_now


@pytest.fixture
def busy(traded: System) -> Iterator[Served]:
    """The API of a system that has traded."""
    with serving(traded) as served:
        yield served


def test_a_sample_of_another_shape_is_noticed() -> None:
    assert differences(samples.HEALTH, samples.HEALTH) == []
    assert differences({"a": 1}, {"a": "1"}) == ["$.a: number in the sample, string here"]
    assert differences({"a": [{"b": 1}]}, {"a": [{"b": 1}, {}]}) == ["$.a[1].b: is not here"]
    assert differences({"a": True}, {"a": 1}) == ["$.a: boolean in the sample, number here"]
    assert differences({"a": [1]}, {"a": []}) == ["$.a: is empty here"]


def test_every_answer_has_the_fields_and_types_of_its_sample(busy: Served) -> None:
    # A skipped signal has no selected venue, which the samples do not show: the newest ones of one token do.
    pairs: list[tuple[Any, Any]] = [
        (samples.ROUTING_CONFIG, busy.get("/api/venue-routing/config")),
        (
            samples.ROUTING_STATS,
            busy.get("/api/venue-routing/stats", timeWindow="day", tokenSymbol="BTC"),
        ),
        (samples.HEALTH, busy.get("/api/monitoring/health")),
    ]
    for sample, ours in pairs:
        assert differences(sample, ours) == []
    analytics = busy.get("/api/monitoring/analytics", timeWindow="day")
    dashboard = busy.get("/api/monitoring/dashboard")
    for told in (analytics, dashboard["analytics"]):
        chosen = [item for item in told["recentRouting"] if item["selected_venue"]]
        assert differences(samples.ANALYTICS, {**told, "recentRouting": chosen}) == []
    dashboard["analytics"] = samples.ANALYTICS
    assert differences(samples.DASHBOARD, dashboard) == []


def test_the_figures_are_those_of_the_tables(busy: Served) -> None:
    [(total, chosen)] = rows(
        busy.system,
        "SELECT count(*), count(selected_venue) FROM agentwhere.venue_routing_history",
    )
    stats = busy.get("/api/venue-routing/stats", timeWindow="hour")["stats"]
    assert stats["total"] == total == 3
    assert stats["skipped"] == total - chosen == 1
    assert sum(stats["byVenue"].values()) == chosen
    analytics = busy.get("/api/monitoring/analytics", timeWindow="week")
    assert analytics["totalRoutings"] == total
    assert sum(item["percentage"] for item in analytics["venueDistribution"]) < 100
    assert set(analytics["tokenDistribution"]) == {"BTC", "XAU", "NOSUCHTOKEN"}
    dashboard = busy.get("/api/monitoring/dashboard")
    [(agents, positions)] = rows(
        busy.system,
        "SELECT (SELECT count(*) FROM agentwhere.agents), (SELECT count(*) FROM agentwhere.positions)",
    )
    assert dashboard["agents"]["total"] == agents
    assert dashboard["positions"]["total"] == positions > 0
    assert sum(dashboard["positions"]["byVenue"].values()) == positions
    assert dashboard["health"]["status"] == busy.get("/api/monitoring/health")["status"]


def test_configuration_is_written_by_the_names_of_the_sample(api: Served) -> None:
    with api.client() as client:
        answer = client.post("/api/venue-routing/config", json=samples.ROUTING_CONFIG_WRITE)
    assert answer.status_code == 200, answer.text
    assert differences(samples.ROUTING_CONFIG, answer.json()) == []
    assert answer.json() == api.get("/api/venue-routing/config")
    assert answer.json()["config"]["version"] == 2
    assert answer.json()["config"]["venue_priority"] == ["HYPERLIQUID", "OSTIUM"]


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/api/venue-routing/stats", {"timeWindow": "month"}),
        ("/api/monitoring/analytics", {"timeWindow": "DAY"}),
        ("/invocations", {"limit": "0"}),
        ("/invocations", {"limit": "201"}),
        ("/api/venue-routing/config", {"agentId": "nobody"}),
    ],
)
def test_bad_input_is_a_problem_that_names_the_parameter(
    api: Served, path: str, parameters: dict[str, str]
) -> None:
    with api.client() as client:
        answer = client.get(path, params=parameters)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == 422
    assert next(iter(parameters)) in told["detail"]


def test_the_arena_answers_as_its_samples(desk: System, sim: Simulator) -> None:
    enter(desk, sim, "trend", "sim/trend")
    invoke_models(desk, utc_now())
    with serving(desk) as api:
        performance, invocations = api.get("/performance"), api.get("/invocations", limit=1)
    assert differences(samples.PERFORMANCE, performance) == []
    assert differences(samples.INVOCATIONS, invocations) == []
    assert performance["data"][0]["model"] == {"name": "trend"}
    assert performance["data"][0]["totalValue"] > 0
    [invocation] = invocations["data"]
    assert all(isinstance(json.loads(call["metadata"]), dict) for call in invocation["toolCalls"])


def test_an_empty_arena_answers_empty_lists_in_the_shape(api: Served) -> None:
    for path, sample in (
        ("/performance", samples.PERFORMANCE),
        ("/invocations", samples.INVOCATIONS),
    ):
        assert differences({**sample, "data": []}, api.get(path)) == []
