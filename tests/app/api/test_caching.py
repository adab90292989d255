"""Answers that are kept: fresh, then stale while a new one is made, then not at all; one is made at a time."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from agentwhere_app.api.caching import Answer, Shelf, as_json, render, wants_newest
from tests.app.api.served import Served
from tests.flow.world import rows


class Kitchen:
    """Makes answers, counts them, and holds the clock."""

    def __init__(self, *, keep_s: float | None = None) -> None:
        self.now = 0.0
        self.made = 0
        self.failed = 0
        self.begun = 0
        self.is_broken = False
        self.is_live = False
        self.door = threading.Event()
        self.door.set()
        self.shelf = Shelf(self.make, fresh_s=10, keep_s=keep_s, now=lambda: self.now)

    def make(self) -> Answer:
        self.begun += 1
        self.door.wait(20)
        if self.is_broken:
            self.failed += 1
            raise OSError("no gas")
        self.made += 1
        return render({"number": self.made}, with_flag=True, is_live=self.is_live)

    async def order(self, *, newest: bool = False) -> dict[str, Any]:
        answer = await self.shelf.response(newest=newest)
        told: dict[str, Any] = json.loads(bytes(answer.body))
        return told

    def is_fresh(self) -> bool:
        answer = self.shelf.at_hand()
        return answer is not None and b'"stale":false' in bytes(answer.body)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - a thread makes it true
                await asyncio.sleep(0.005)


def cook(work: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await work()

    asyncio.run(run())


def test_a_stale_answer_is_served_at_once_and_says_so_while_a_new_one_is_made() -> None:
    kitchen = Kitchen()

    async def work() -> None:
        assert await kitchen.order() == {"number": 1, "stale": False}
        kitchen.now = 9
        assert await kitchen.order() == {"number": 1, "stale": False}
        kitchen.now = 11
        kitchen.door.clear()
        assert await kitchen.order() == {"number": 1, "stale": True}
        assert await kitchen.order() == {"number": 1, "stale": True}
        kitchen.door.set()
        await kitchen.until(kitchen.is_fresh)
        assert await kitchen.order() == {"number": 2, "stale": False}

    cook(work)
    assert kitchen.made == 2


def test_who_wants_the_newest_of_what_is_live_gets_an_old_one_only_if_none_can_be_made() -> None:
    kitchen = Kitchen()
    kitchen.is_live = True

    async def work() -> None:
        await kitchen.order()
        kitchen.shelf.outdate()
        assert await kitchen.order(newest=True) == {"number": 2, "stale": False}
        assert await kitchen.order(newest=True) == {"number": 2, "stale": False}
        kitchen.shelf.outdate()
        kitchen.is_broken = True
        assert await kitchen.order(newest=True) == {"number": 2, "stale": True}
        assert await kitchen.order(newest=True) == {"number": 2, "stale": True}
        assert kitchen.failed == 1, "what is broken is not asked without a pause"
        kitchen.now, kitchen.is_broken = 2, False
        assert await kitchen.order(newest=True) == {"number": 3, "stale": False}

    cook(work)


def test_others_do_not_wait_for_it_unless_the_change_is_seconds_old() -> None:
    kitchen = Kitchen()
    kitchen.is_live = True

    async def work() -> None:
        await kitchen.order()
        kitchen.now = 1
        kitchen.shelf.outdate()
        kitchen.door.clear()
        assert await kitchen.order() == {"number": 1, "stale": True}
        kitchen.now = 2
        kitchen.shelf.outdate()
        kitchen.now = 3
        assert await kitchen.order() == {"number": 1, "stale": True}
        kitchen.now = 3.1
        waiting = asyncio.create_task(kitchen.order())
        await asyncio.sleep(0)
        assert not waiting.done(), "the first change is more than two seconds old"
        kitchen.door.set()
        assert (await waiting)["stale"] is False
        kitchen.now = 9
        kitchen.shelf.outdate()
        kitchen.now = 11.1
        assert (await kitchen.order())["stale"] is False, "nobody asked when it changed"

    cook(work)


@pytest.mark.parametrize(
    ("header", "newest"),
    [
        ({}, False),
        ({"cache-control": "no-cache"}, True),
        ({"cache-control": "no-transform, Max-Age=0"}, True),
        ({"cache-control": "max-age=01, no-cached"}, False),
    ],
)
def test_who_wants_the_newest_says_so_as_http_has_it(header: dict[str, str], newest: bool) -> None:
    assert wants_newest(header) is newest


def test_a_change_does_not_outdate_what_is_kept_for_minutes() -> None:
    kitchen = Kitchen()

    async def work() -> None:
        await kitchen.order()
        kitchen.shelf.outdate()
        assert await kitchen.order(newest=True) == {"number": 1, "stale": False}
        kitchen.is_live, kitchen.now = True, 11
        assert await kitchen.order() == {"number": 1, "stale": True}
        await kitchen.until(kitchen.is_fresh)
        kitchen.shelf.outdate()
        assert await kitchen.order(newest=True) == {"number": 3, "stale": False}

    cook(work)


def test_an_answer_begun_before_a_change_is_not_given_to_who_asks_after_it() -> None:
    kitchen = Kitchen()
    kitchen.is_live = True

    async def work() -> None:
        await kitchen.order()
        kitchen.now = 11
        kitchen.door.clear()
        assert await kitchen.order() == {"number": 1, "stale": True}
        await kitchen.until(lambda: kitchen.begun == 2)
        kitchen.shelf.outdate()
        asked = asyncio.create_task(kitchen.order(newest=True))
        await asyncio.sleep(0)
        kitchen.door.set()
        assert await asked == {"number": 3, "stale": False}

    cook(work)


def test_what_is_too_old_is_not_served() -> None:
    kitchen = Kitchen(keep_s=30)

    async def work() -> None:
        await kitchen.order()
        kitchen.now = 31
        assert kitchen.shelf.at_hand() is None
        assert await kitchen.order() == {"number": 2, "stale": False}

    cook(work)


def test_however_many_ask_one_is_made_at_a_time() -> None:
    kitchen = Kitchen()

    async def work() -> None:
        orders = await asyncio.gather(*(kitchen.order() for _ in range(50)))
        assert {order["number"] for order in orders} == {1}

    cook(work)


def test_a_failure_keeps_what_there_is_and_is_raised_where_there_is_nothing() -> None:
    kitchen = Kitchen()

    async def work() -> None:
        kitchen.is_broken = True
        with pytest.raises(OSError, match="no gas"):
            await kitchen.order()
        kitchen.is_broken = False
        await kitchen.order()
        kitchen.is_broken = True
        kitchen.now = 1000
        assert await kitchen.order() == {"number": 1, "stale": True}
        await kitchen.until(lambda: kitchen.failed == 2)
        kitchen.is_broken = False
        # Not sooner than a moment later: what is broken is not asked without a pause.
        kitchen.now = 1002
        await kitchen.until(kitchen.is_fresh)
        assert await kitchen.order() == {"number": 2, "stale": False}

    cook(work)


def test_numbers_are_told_exactly_or_not_at_all() -> None:
    assert as_json({"a": Decimal("1E+3"), "b": Decimal("0.10")}) == b'{"a":"1000","b":"0.10"}'
    with pytest.raises(ValueError, match="Out of range"):
        as_json({"sharpe": float("nan")})


def test_an_answer_from_memory_carries_what_every_answer_carries(api: Served) -> None:
    with api.client() as client:
        first = client.get("/api/monitoring/health?first")
        second = client.get("/api/monitoring/health")
        assert set(first.headers) == set(second.headers)
        assert first.json().keys() == second.json().keys()
        head = client.head("/api/monitoring/health")
        assert (head.status_code, head.content) == (200, b"")
        refused = client.get("/api/monitoring/health", headers={"Host": "rebound.example"})
        assert refused.status_code == 421


def test_figures_for_prometheus_count_requests_by_route_and_tell_the_state(api: Served) -> None:
    with api.client() as client:
        client.get("/api/monitoring/health")
        client.get("/api/monitoring/health")
        client.get("/api/agents/00000000-0000-7000-8000-000000000000")
        client.get("/guessed/address")
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    counted = 'agentwhere_http_requests_total{method="GET",route="%s",status="%s"}'
    assert counted % ("/api/monitoring/health", 200) + " 2.0" in answer.text
    assert counted % ("/api/agents/{agent_id}", 404) + " 1.0" in answer.text
    assert "/guessed" not in answer.text
    [(agents,)] = rows(api.system, "SELECT count(*) FROM agentwhere.agents")
    assert f'agentwhere_agents{{kind="all"}} {agents}.0' in answer.text
    assert 'agentwhere_health_status{component="database"} 0.0' in answer.text
