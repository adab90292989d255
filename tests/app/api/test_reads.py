"""What can be read: the marketplace for all, everything else with a key; pages that end, filters that filter."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from agentwhere_app.api.caching import as_json
from agentwhere_core.domain.enums import Venue
from agentwhere_flow.metrics import update_metrics
from agentwhere_flow.pages.overview import overview
from agentwhere_flow.system import System
from agentwhere_flow.views import list_positions
from agentwhere_store.performance import best_agents
from tests.app.api.served import Served, serving
from tests.app.showcase.arena import models
from tests.flow.money import deploy, open_agent, trade
from tests.flow.world import rows, utc_now


@pytest.fixture
def busy(traded: System) -> Iterator[Served]:
    """The API of a system that has traded."""
    with serving(traded) as served:
        yield served


def pages(api: Served, path: str, parameter: str, **given: Any) -> list[Any]:
    """Return all items of a list, fetched two at a time."""
    found, cursor = [], None
    while True:
        page = api.get(path, limit=2, **given, **({parameter: cursor} if cursor else {}))
        assert len(page["items"]) <= 2
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


def market(system: System, agents: int) -> None:
    """Make agents, some with thirty days of history, some with the same figures, some with none."""
    now = utc_now()
    for number in range(agents):
        with system.engine.begin() as conn:
            began = now - timedelta(days=30)
            venue = Venue.OSTIUM if number % 2 else Venue.MULTI
            agent = open_agent(conn, f"agent {number}", began, venue)
            if number == 0:
                continue
            desk = deploy(conn, agent, 1000, began)
            for day in range(1, 13):
                at = now - timedelta(days=day)
                price = str(100 + (number // 2) * (1 if day % 3 else -1))
                trade(conn, desk, (at - timedelta(hours=1), "100"), (at, price), venue=Venue.OSTIUM)
    update_metrics(system, now)


def test_pages_of_the_marketplace_make_one_sorted_list(empty: System) -> None:
    market(empty, 7)
    with serving(empty) as api:
        for sort in ("sharpe_si", "apr_30d", "net_pnl_usd", "closed_positions"):
            for order in ("asc", "desc"):
                found = pages(api, "/api/agents", "cursor", sort=sort, order=order)
                whole = api.get("/api/agents", sort=sort, order=order)["items"]
                assert [item["id"] for item in found] == [item["id"] for item in whole]
                assert len({item["id"] for item in found}) == 7
                figures = [figure(item, sort) for item in found]
                known = [float(value) for value in figures if value is not None]
                assert known == sorted(known, reverse=order == "desc")
                assert figures[len(known) :] == [None] * (7 - len(known))


def figure(agent: dict[str, Any], name: str) -> Any:
    figure, _, window = name.rpartition("_")
    return agent["figures"][window][figure] if window in {"si", "30d"} else agent[name]


def test_the_marketplace_filters_by_venue_and_name(empty: System) -> None:
    market(empty, 4)
    with serving(empty) as api:
        ostium = api.get("/api/agents", venue="OSTIUM")["items"]
        named = api.get("/api/agents", name="AGENT 3")["items"]
        nobody = api.get("/api/agents", name="%")["items"]
    assert {item["name"] for item in ostium} == {"agent 1", "agent 3"}
    assert [item["name"] for item in named] == ["agent 3"]
    assert nobody == []


def test_models_of_the_arena_are_counted_and_ranked_apart(empty: System) -> None:
    market(empty, 2)
    before = overview(empty, utc_now())
    with empty.engine.begin() as conn:
        models(conn, random.Random(3), utc_now(), {})
    with serving(empty) as api:
        listed = api.get("/api/agents")["items"]
        arena = api.get("/api/agents", arena=True)["items"]
        counts = api.get("/api/monitoring/dashboard")["agents"]
        page = api.get("/api/pages/marketplace")["agents"]
    assert {item["name"] for item in listed} == {item["name"] for item in page}
    assert {item["name"] for item in listed} == {"agent 0", "agent 1"}
    assert {item["arena"] for item in listed} == {False}
    assert {item["arena"] for item in arena} == {True}
    assert (counts["total"], counts["arena"]) == (2, len(arena))
    after = overview(empty, utc_now())
    assert after["earned"] == before["earned"]
    assert after["counts"] == before["counts"] | {"arena_models": len(arena)}
    update_metrics(empty, utc_now())
    with empty.engine.begin() as conn:
        ranked = {agent["name"] for agent in best_agents(conn)}
    assert ranked <= {"agent 0", "agent 1"}


def test_an_agents_page_has_its_figures_with_sample_size_and_its_equity(empty: System) -> None:
    market(empty, 4)
    with serving(empty) as api:
        listed = api.get("/api/agents", sort="net_pnl_usd")["items"][0]
        agent = api.get(f"/api/agents/{listed['id']}")
    assert agent["figures"] == listed["figures"]
    assert agent["figures"]["si"]["days"] >= 12
    assert agent["figures"]["si"]["sharpe"] is not None
    assert Decimal(agent["equity"][-1]["equity_usd"]) == Decimal(agent["equity_usd"])
    assert agent["equity"][-1]["index"] == pytest.approx(listed["sparkline"][-1])
    gained = Decimal(agent["net_pnl_usd"]) / 1000
    assert agent["equity"][-1]["index"] == pytest.approx(1 + float(gained), rel=1e-4)


@pytest.mark.parametrize("cursor", ["nonsense", "W10", "WyJhIiwgdHJ1ZSwgIk5hTiIsICJ4Il0"])
def test_a_cursor_that_is_none_of_ours_is_refused(api: Served, cursor: str) -> None:
    with api.client() as client:
        assert client.get("/api/agents", params={"cursor": cursor}).status_code == 422


def test_everything_that_happened_can_be_followed_from_the_signal(busy: Served) -> None:
    signals = pages(busy, "/api/signals", "before")
    assert len(signals) == 3
    bitcoin = next(item for item in signals if item["token"] == "BTC")
    story = busy.get(f"/api/signals/{bitcoin['id']}")
    assert story["policy_decisions"][0]["outcome"] == "PASSED"
    [routed] = story["routing"]
    decision = busy.get(f"/api/venue-routing/history/{routed['id']}")
    assert decision["selected_venue"] == "HYPERLIQUID"
    assert decision["inputs"]
    entry = next(order for order in story["orders"] if order["purpose"] == "ENTRY")
    moves = busy.get(f"/api/orders/{entry['id']}")["events"]
    assert [move["to_state"] for move in moves][-1] == "FILLED"
    position = busy.get(f"/api/positions/{entry['position_id']}")
    assert position["signal_id"] == bitcoin["id"]
    assert (position["protection"], position["protect_by"]) == ("PROTECTED", None)
    assert Decimal(position["resting_stop_price"]) == Decimal(position["stop_loss_price"])
    assert Decimal(position["resting_target_price"]) == Decimal(position["take_profit_price"])


def test_protection_is_told_alike_by_the_api_the_page_and_the_command_line(busy: Served) -> None:
    told = ("protection", "protect_by", "resting_stop_price", "resting_target_price")
    system = busy.system
    with system.engine.begin() as conn:
        conn.execute(
            text(
                "UPDATE agentwhere.positions SET protection = 'MISSING', protect_by = now(), resting_stop_price = NULL"
                " WHERE token_symbol = 'BTC'"
            )
        )
    [api] = busy.get("/api/positions", status="OPEN", token="BTC")["items"]
    [page] = [p for p in busy.get("/api/pages/positions")["open"] if p["token"] == "BTC"]
    [line] = [
        p for p in list_positions(system, include_closed=False, limit=10) if p["token"] == "BTC"
    ]
    assert api["protection"] == "MISSING"
    assert [api[name] for name in told] == [page[name] for name in told]
    assert [json.loads(as_json(line[name])) for name in told] == [api[name] for name in told]
    with system.engine.begin() as conn:
        conn.execute(
            text(
                "UPDATE agentwhere.positions SET status = 'CLOSED', closed_at = now(), size = 0"
                " WHERE token_symbol = 'BTC'"
            )
        )
    [closed] = busy.get("/api/positions", status="CLOSED")["items"]
    assert {closed[name] for name in told} == {None}


def test_lists_are_filtered_and_paged(busy: Served) -> None:
    orders = pages(busy, "/api/orders", "before")
    assert len(orders) == rows(busy.system, "SELECT count(*) FROM agentwhere.orders")[0][0]
    assert [item["id"] for item in orders] == sorted((i["id"] for i in orders), reverse=True)
    assert {o["purpose"] for o in busy.get("/api/orders", purpose="ENTRY")["items"]} == {"ENTRY"}
    held = busy.get("/api/positions", status="OPEN", token="btc")["items"]
    assert [item["token_symbol"] for item in held] == ["BTC"]
    assert busy.get("/api/positions", status="CLOSED")["items"] == []
    skipped = busy.get("/api/venue-routing/history", skipped=True)["items"]
    assert [item["token_symbol"] for item in skipped] == ["NOSUCHTOKEN"]
    assert skipped[0]["story"]
    assert len(busy.get("/api/venue-routing/history", skipped=False)["items"]) == 2
    assert len(busy.get("/api/venue-routing/history", venue="HYPERLIQUID")["items"]) == 1


def test_deployments_show_policy_and_accounts_but_no_keys(busy: Served) -> None:
    items = busy.get("/api/deployments")["items"]
    bold = next(item for item in items if item["name"] == "bold")
    assert bold == busy.get(f"/api/deployments/{bold['id']}")
    assert bold["open_positions"] >= 1
    assert {account["venue"] for account in bold["accounts"]} >= {"HYPERLIQUID"}
    assert "key_name" not in repr(items)
    assert bold["policy"]["style_multiplier"] is not None


def test_health_is_remembered_and_alerts_are_listed(busy: Served) -> None:
    [past] = busy.get("/api/monitoring/history")["items"]
    assert past["status"] in {"healthy", "degraded"}
    assert set(past["venues"]) == {"hyperliquid", "ostium", "lighter"}
    assert busy.get("/api/alerts", open=True)["items"] == []


def test_what_the_client_has_is_not_sent_again(busy: Served) -> None:
    with busy.client() as client:
        first = client.get("/api/positions")
        again = client.get("/api/positions", headers={"If-None-Match": first.headers["etag"]})
        other = client.get("/api/positions", headers={"If-None-Match": '"other"'})
    assert (again.status_code, again.content) == (304, b"")
    assert other.status_code == 200
    assert "private" in first.headers["cache-control"]


@pytest.mark.parametrize(
    "path", ["agents", "deployments", "signals", "orders", "positions", "venue-routing/history"]
)
def test_what_is_not_there_is_not_found(api: Served, path: str) -> None:
    with api.client() as client:
        answer = client.get(f"/api/{path}/00000000-0000-7000-8000-000000000000")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert client.get(f"/api/{path}/nonsense").status_code == 422


def test_the_kill_switch_works_over_the_api_and_is_signed(busy: Served) -> None:
    asked = {"scope": "VENUE", "target": "hyperliquid", "reason": "a test"}
    with busy.client() as client:
        first = client.post("/api/kill-switches", json=asked).json()
        again = client.post("/api/kill-switches", json=asked).json()
        assert (first["changed"], again["changed"]) == (True, False)
        [switch] = client.get("/api/kill-switches").json()["items"]
        assert (switch["target"], switch["author"]) == ("HYPERLIQUID", "local (API)")
        assert client.get("/api/monitoring/health").json()["success"]
        released = client.post("/api/kill-switches/release", json=asked).json()
        assert (released["changed"], released["switches"]) == (True, [])
        assert len(client.get("/api/kill-switches", params={"released": True}).json()["items"]) == 1
        wrong = {"scope": "VENUE", "target": "NOWHERE", "reason": "a test"}
        assert client.post("/api/kill-switches", json=wrong).status_code == 404
