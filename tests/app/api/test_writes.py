"""Agents, deployments and policies over the API: what one asks for is what there is, once, by those who may."""

from __future__ import annotations

from typing import Any

import pytest

from agentwhere_core.domain.enums import Scope, Severity
from agentwhere_flow.alerts import close_alert, raise_alert
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.secrets import SecretStore
from agentwhere_flow.settings import Profile
from agentwhere_flow.system import System
from tests.app.api.served import Served, serving
from tests.flow.scenes import place_signal
from tests.flow.world import rows, utc_now

NOBODY = "00000000-0000-7000-8000-000000000000"
NEW_AGENT: dict[str, Any] = {
    "name": "Metals Desk",
    "x_accounts": ["@goldbug", "silver_fan"],
    "feeds": ["https://research.example/feed.xml"],
    "leverage": "2.5",
    "stop_loss_pct": 5,
}


def new_deployment(system: System, agent_id: str, **other: Any) -> dict[str, Any]:
    SecretStore(system.settings.home).put("desk-key", "0x" + "11" * 32)
    account = {"venue": "HYPERLIQUID", "address": "0x" + "ab" * 20, "key_name": "desk-key"}
    return {
        "agent_id": agent_id,
        "name": "mine",
        "capital_usd": "2500.50",
        "policy": {"max_leverage": "2"},
        "accounts": [account],
        **other,
    }


def test_an_agent_is_published_with_its_sources(api: Served) -> None:
    with api.client() as client:
        made = client.post("/api/agents", json=NEW_AGENT)
        assert made.status_code == 201, made.text
        agent = made.json()
        assert client.get(made.headers["location"]).json() == agent
        assert client.post("/api/agents", json=NEW_AGENT).status_code == 409
        listed = client.get("/api/agents").json()["items"]
    assert agent["x_accounts"] == ["goldbug", "silver_fan"]
    assert agent["feeds"] == NEW_AGENT["feeds"]
    assert (agent["venue"], agent["status"], agent["leverage"]) == ("MULTI", "ACTIVE", "2.5")
    assert [item["id"] for item in listed] == [agent["id"]]


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "a\0b"},
        {"x_accounts": [], "feeds": []},
        {"x_accounts": ["not a handle"]},
        {"feeds": ["ftp://files.example"]},
        {"venue": "NOWHERE"},
        {"creator_wallet": "0x1"},
        {"leverage": 0},
        {"leverage": "NaN"},
        {"stop_loss_pct": 100},
        {"trailing_activation_pct": 3},
        {"levrage": 2},
    ],
)
def test_an_agent_that_makes_no_sense_is_refused_and_nothing_is_written(
    api: Served, change: dict[str, Any]
) -> None:
    with api.client() as client:
        answer = client.post("/api/agents", json=NEW_AGENT | change)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
    assert rows(api.system, "SELECT count(*) FROM agentwhere.agents") == [(0,)]


def test_pausing_and_resuming_can_be_repeated(api: Served) -> None:
    with api.client() as client:
        path = f"/api/agents/{client.post('/api/agents', json=NEW_AGENT).json()['id']}"
        for word, status in (("pause", "PAUSED"), ("pause", "PAUSED"), ("resume", "ACTIVE")):
            answer = client.post(f"{path}/{word}")
            assert (answer.status_code, answer.json()["status"]) == (200, status)
            assert client.get(path).json()["status"] == status


def test_a_deployment_runs_an_agent_under_its_policy(api: Served) -> None:
    with api.client() as client:
        agent = client.post("/api/agents", json=NEW_AGENT).json()
        wanted = new_deployment(api.system, agent["id"])
        made = client.post("/api/deployments", json=wanted)
        assert made.status_code == 201, made.text
        path = made.headers["location"]
        assert client.get(path).json() == made.json()
        assert made.json()["capital_usd"] == "2500.50"
        assert made.json()["accounts"][0]["address"] == wanted["accounts"][0]["address"]
        assert client.post("/api/deployments", json=wanted).status_code == 409

        changed = client.patch(f"{path}/policy", json={"rules": {"blocked_tokens": ["DOGE"]}})
        assert changed.status_code == 200, changed.text
        assert changed.json() == client.get(f"{path}/policy").json()
        assert changed.json()["version"] == 2
        assert changed.json()["rules"]["blocked_tokens"] == ["DOGE"]
        assert changed.json()["rules"]["max_leverage"] == "2"
        wrong = client.patch(f"{path}/policy", json={"rules": {"max_levrage": 2}})
        assert wrong.status_code == 422
        assert "max_levrage" in wrong.json()["detail"]


def test_sources_are_followed_and_left_and_one_stays(api: Served) -> None:
    feed = "https://research.example/more.xml"
    with api.client() as client:
        path = f"/api/agents/{client.post('/api/agents', json=NEW_AGENT).json()['id']}"
        for _ in range(2):
            more = client.post(f"{path}/follow", json={"x_accounts": ["@miner"], "feeds": [feed]})
            assert more.status_code == 200, more.text
            assert more.json() == client.get(path).json()
            assert more.json()["x_accounts"] == ["goldbug", "miner", "silver_fan"]
            assert set(more.json()["feeds"]) == {feed, *NEW_AGENT["feeds"]}
        for _ in range(2):
            less = client.post(f"{path}/unfollow", json={"x_accounts": ["goldbug", "miner"]})
            assert (less.status_code, less.json()["x_accounts"]) == (200, ["silver_fan"])
        rest = {"x_accounts": ["silver_fan"], "feeds": [feed, *NEW_AGENT["feeds"]]}
        refused = client.post(f"{path}/unfollow", json=rest)
        assert (refused.status_code, client.get(path).json()) == (422, less.json())
        assert "without a source" in refused.json()["detail"]
        for wrong in ({}, {"x_accounts": ["not a handle"]}, {"feeds": ["ftp://files.example"]}):
            assert client.post(f"{path}/follow", json=wrong).status_code == 422
        nobody = f"/api/agents/{NOBODY}/follow"
        assert client.post(nobody, json={"feeds": [feed]}).status_code == 404


def test_a_paused_deployment_opens_nothing_and_a_resumed_one_does(traded: System) -> None:
    with serving(traded) as api, api.client() as client:
        found = client.get("/api/deployments").json()["items"]
        path = next(f"/api/deployments/{item['id']}" for item in found if item["name"] == "bold")
        for _ in range(2):
            answer = client.post(f"{path}/pause")
            assert (answer.status_code, answer.json()["status"]) == (200, "PAUSED")
        signal = place_signal(traded, "ETH", deployment="bold")
        execute_orders(traded, utc_now())
        entries = (
            "SELECT state FROM agentwhere.orders"
            f" WHERE purpose = 'ENTRY' AND signal_id = '{signal.id}'"
        )
        assert rows(traded, entries) == []
        assert client.post(f"{path}/resume").json()["status"] == "ACTIVE"
        assert client.get(path).json()["status"] == "ACTIVE"
        execute_orders(traded, utc_now())
        assert rows(traded, entries) == [("FILLED",)]
        assert client.post(f"/api/deployments/{NOBODY}/pause").status_code == 404
    written = "SELECT path, status, actor FROM agentwhere.api_writes ORDER BY id"
    assert rows(traded, written) == [
        (f"{path}/pause", 200, "local"),
        (f"{path}/pause", 200, "local"),
        (f"{path}/resume", 200, "local"),
        (f"/api/deployments/{NOBODY}/pause", 404, "local"),
    ]


def test_an_alert_is_taken_on_once_while_it_is_open(api: Served) -> None:
    raise_alert(api.system, utc_now(), "check:a", Severity.WARNING, "a failed", "look at it")
    ada, bob = api.key(Scope.OPERATE, name="ada"), api.key(Scope.OPERATE, name="bob")
    eve = api.key(Scope.READ, Scope.TRADE, name="eve")
    with api.client(ada) as client:
        [alert] = client.get("/api/alerts").json()["items"]
        path = f"/api/alerts/{alert['id']}/acknowledge"
        taken = client.post(path)
        assert (taken.status_code, taken.json()["acknowledged_by"]) == (200, "ada (API)")
    with api.client(bob) as client:
        assert client.post(path).json() == taken.json(), "the first who took it on stays"
        assert client.post(f"/api/alerts/{NOBODY}/acknowledge").status_code == 404
        close_alert(api.system, utc_now(), "check:a")
        over = client.post(path)
        assert (over.status_code, "no open alert" in over.json()["detail"]) == (404, True)
    with api.client(eve) as client:
        assert client.post(path).status_code == 403


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"agent_id": NOBODY}, 404),
        ({"capital_usd": 0}, 422),
        ({"policy": {"style_multiplier": "reckless"}}, 422),
        ({"accounts": [{"venue": "OSTIUM", "address": "0x1", "key_name": "desk-key"}]}, 422),
        (
            {"accounts": [{"venue": "OSTIUM", "address": "0x" + "0" * 40, "key_name": "none"}]},
            422,
        ),
    ],
)
def test_a_deployment_that_could_not_trade_is_refused(
    api: Served, change: dict[str, Any], status: int
) -> None:
    with api.client() as client:
        agent = client.post("/api/agents", json=NEW_AGENT).json()
        wanted = new_deployment(api.system, agent["id"]) | change
        assert client.post("/api/deployments", json=wanted).status_code == status
    assert rows(api.system, "SELECT count(*) FROM agentwhere.deployments") == [(0,)]


def test_money_is_committed_by_keys_that_may_trade_only(empty: System) -> None:
    with serving(empty, profile=Profile.LIVE) as api:
        with api.client() as client:
            agent = client.post("/api/agents", json=NEW_AGENT).json()
            wanted = new_deployment(empty, agent["id"])
            refused = client.post("/api/deployments", json=wanted)
            assert refused.status_code == 403
            assert "agentwhere keys create" in refused.json()["detail"]
        operator, trader = api.key(Scope.OPERATE, name="o"), api.key(Scope.TRADE, name="t")
    with serving(empty) as api:
        with api.client(operator) as client:
            assert client.post("/api/deployments", json=wanted).status_code == 403
        with api.client(trader) as client:
            assert client.post("/api/agents", json=NEW_AGENT).status_code == 403
            assert client.post("/api/deployments", json=wanted).status_code == 201


def test_token_exclusions_are_set_shown_and_taken_away(api: Served) -> None:
    path = "/api/venue-routing/config"
    with api.client() as client:
        wish = {"tokenExclusions": {"BTC": ["LIGHTER"], "XAU": ["OSTIUM"]}}
        written = client.post(path, json=wish)
        assert written.status_code == 200, written.text
        shown = client.get(path).json()
        assert shown == written.json()
        assert shown["config"]["token_exclusions"] == wish["tokenExclusions"]
        client.post(path, json={"tokenExclusions": {"XAU": []}})
        assert client.get(path).json()["config"]["token_exclusions"] == {"BTC": ["LIGHTER"]}


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"ETHH": ["LIGHTER"]}, "token_exclusions names 'ETHH'"),
        ({"eth": ["LIGHTER"]}, "is it ETH"),
        ({"ETH": ["LIGHTHOUSE"]}, "LIGHTER"),
        ({"ETH": ["HYPERLIQUID", "OSTIUM", "LIGHTER"]}, "leaves no venue to ETH"),
        ({"ETH": ["LIGHTER", "LIGHTER"]}, "names a venue twice"),
    ],
)
def test_an_exclusion_that_cannot_work_is_refused_and_nothing_changes(
    desk: System, wish: dict[str, list[str]], said: str
) -> None:
    path = "/api/venue-routing/config"
    with serving(desk) as served, served.client() as client:
        before = client.get(path).json()
        refused = client.post(path, json={"tokenExclusions": wish})
        assert refused.status_code == 422
        assert said in refused.text
        assert client.get(path).json() == before
