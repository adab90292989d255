"""Each fault kind does what it says, to a client on the wire."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_account import Account
from hyperliquid.utils.signing import sign_l1_action
from starlette.requests import Request
from starlette.responses import Response

from agentwhere_sim.database import Database
from agentwhere_sim.faults import Dropped, Faults

if TYPE_CHECKING:
    from pathlib import Path

    from agentwhere_sim.testing import Simulator

WALLET = Account.from_key("0x" + "33" * 32)
INFO = "hyperliquid.info"
EXCHANGE = "hyperliquid.exchange"
ORDER = {
    "type": "order",
    "orders": [
        {"a": 0, "b": True, "p": "90000", "s": "0.01", "r": False, "t": {"limit": {"tif": "Gtc"}}}
    ],
    "grouping": "na",
}


@pytest.fixture
def funded(sim: Simulator) -> Simulator:
    sim.control("prices", BTC="100000")
    sim.control("accounts", venue="HYPERLIQUID", address=WALLET.address, usdc="1000")
    return sim


def ask(sim: Simulator, **options: Any) -> httpx.Response:
    return sim.http.post("/hyperliquid/info", json={"type": "perpDexs"}, **options)


def send(sim: Simulator, **options: Any) -> httpx.Response:
    nonce = time.time_ns() // 1_000_000
    signature = sign_l1_action(WALLET, ORDER, None, nonce, None, False)
    body = {"action": ORDER, "nonce": nonce, "signature": signature}
    return sim.http.post("/hyperliquid/exchange", json=body, **options)


def orders(sim: Simulator) -> int:
    return len(sim.http.get(f"/control/orders?address={WALLET.address}").json()["orders"])


def test_reject_answers_in_the_venues_form_and_handles_nothing(funded: Simulator) -> None:
    funded.fault(EXCHANGE, "reject")
    reply = send(funded)
    assert reply.status_code == 200
    assert reply.json()["status"] == "err"
    assert orders(funded) == 0
    assert send(funded).json()["status"] == "ok"


def test_429_and_5xx_handle_nothing(funded: Simulator) -> None:
    funded.fault(EXCHANGE, "429", seconds=7)
    funded.fault(EXCHANGE, "5xx")
    limited, broken = send(funded), send(funded)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert broken.status_code == 502
    assert orders(funded) == 0


def test_slow_is_late_but_right(sim: Simulator) -> None:
    sim.fault(INFO, "slow", seconds=0.3)
    began = time.monotonic()
    assert ask(sim).json() == [None]
    assert time.monotonic() - began >= 0.3


def test_drop_before_closes_and_handles_nothing(funded: Simulator) -> None:
    funded.fault(EXCHANGE, "drop_before")
    with pytest.raises(httpx.TransportError):
        send(funded)
    assert orders(funded) == 0


def test_drop_after_closes_but_the_order_stands(funded: Simulator) -> None:
    funded.fault(EXCHANGE, "drop_after")
    with pytest.raises(httpx.TransportError):
        send(funded)
    assert orders(funded) == 1


def test_hang_before_is_silent_and_handles_nothing(funded: Simulator) -> None:
    funded.fault(EXCHANGE, "hang_before", seconds=0.5)
    with pytest.raises(httpx.ReadTimeout):
        send(funded, timeout=0.2)
    assert orders(funded) == 0


def test_hang_after_holds_the_answer_of_an_order_that_stands(funded: Simulator) -> None:
    funded.fault(EXCHANGE, "hang_after", seconds=30)
    with pytest.raises(httpx.ReadTimeout):
        send(funded, timeout=5)
    assert orders(funded) == 1


def test_duplicate_delivers_twice_and_the_nonce_stops_the_second(funded: Simulator) -> None:
    funded.fault(EXCHANGE, "duplicate")
    assert "duplicate nonce" in send(funded).json()["response"]
    assert orders(funded) == 1


def test_malformed_is_cut_in_the_middle(sim: Simulator) -> None:
    sim.fault(INFO, "malformed")
    with pytest.raises(ValueError, match="Expecting"):
        ask(sim).json()


def test_down_lasts_until_it_is_cleared(sim: Simulator) -> None:
    sim.fault(INFO, "down")
    for _ in range(3):
        with pytest.raises(httpx.TransportError):
            ask(sim)
    sim.http.delete("/control/faults")
    assert ask(sim).status_code == 200


def test_a_fault_fires_as_often_as_ordered_on_what_it_matches(sim: Simulator) -> None:
    sim.fault(INFO, "5xx", count=2, match="allMids")
    assert ask(sim).status_code == 200
    mids = [sim.http.post("/hyperliquid/info", json={"type": "allMids"}) for _ in range(3)]
    assert [reply.status_code for reply in mids] == [502, 502, 200]
    fault = sim.http.get("/control/faults").json()["faults"][0]
    assert (fault["fired"], fault["pending"]) == (2, False)


def test_a_fault_on_one_service_spares_its_neighbours(sim: Simulator) -> None:
    sim.fault("ostium", "down")
    with pytest.raises(httpx.TransportError):
        sim.http.get("/ostium/PricePublish/latest-prices")
    assert sim.http.get("/lighter/api/v1/orderBooks").status_code == 200
    assert ask(sim).status_code == 200


def test_an_unknown_fault_is_refused_with_the_known_ones(sim: Simulator) -> None:
    reply = sim.http.post("/control/faults", json={"service": INFO, "kind": "gremlin"})
    assert reply.status_code == 400
    assert "drop_after" in reply.json()["error"]


def test_5xx_after_acceptance_is_handled_all_the_same(funded: Simulator) -> None:
    funded.fault(EXCHANGE, "5xx_after")
    assert send(funded).status_code == 502
    assert orders(funded) == 1


def test_a_late_request_is_handled_when_its_time_has_passed(funded: Simulator) -> None:
    funded.fault(EXCHANGE, "late", seconds=20)
    with pytest.raises(httpx.TransportError):
        send(funded)
    funded.control("clock", pass_s=19)
    assert orders(funded) == 0
    funded.control("clock", pass_s=2)
    assert orders(funded) == 1


def test_time_passes_for_signed_requests_only_where_it_is_let_pass(funded: Simulator) -> None:
    two_days_s = 48 * 3600 + 60
    funded.control("clock", advance_s=two_days_s)
    assert send(funded).json()["status"] == "ok"
    funded.control("clock", pass_s=two_days_s)
    assert send(funded).json()["status"] == "err"


@pytest.mark.parametrize("kind", ["hang_before", "hang_after"])
def test_a_client_that_leaves_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    memory = Database(tmp_path / "faults.sqlite")
    faults = Faults(memory, lambda: 0)
    faults.order("feeds", kind, seconds=10**6)
    handled = []

    async def handler(_request: Request) -> Response:
        handled.append(kind)
        return Response("an answer")

    heard = iter([{"type": "http.request", "body": b""}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(heard)

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}

    async def ask_and_leave() -> None:
        with suppress(Dropped):
            await asyncio.wait_for(faults.guard("feeds", handler)(Request(scope, receive)), 30)

    asyncio.run(ask_and_leave())
    memory.close()
    assert handled == ([kind] if kind == "hang_after" else [])
