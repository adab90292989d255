"""Simulated Hyperliquid through the official SDK, unmodified, and through raw signed requests."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info
from hyperliquid.utils.error import ClientError
from hyperliquid.utils.signing import sign_l1_action
from hyperliquid.utils.types import Cloid

if TYPE_CHECKING:
    from agentwhere_sim.testing import Simulator

KEY = "0x" + "11" * 32
WALLET = Account.from_key(KEY)
BTC, ETH, SOL = 0, 1, 5
MARKET = {"limit": {"tif": "Ioc"}}
RESTING = {"limit": {"tif": "Gtc"}}
HOUR_S = 3600
RECORDINGS = Path(__file__).parents[2].parent / "shared" / "data" / "hyperliquid"


@dataclass
class Venue:
    """A funded account at the simulated venue, with the SDK's two clients."""

    sim: Simulator
    info: Info
    exchange: Exchange

    def pin(self, **prices: str | None) -> None:
        self.sim.control("prices", **prices)

    def state(self) -> Any:
        return self.info.user_state(WALLET.address)

    def size(self, coin: str) -> float:
        positions = {
            one["position"]["coin"]: one["position"] for one in self.state()["assetPositions"]
        }
        return float(positions[coin]["szi"]) if coin in positions else 0.0

    def status(self, oid_or_cloid: int | Cloid) -> str:
        asked = self.info.query_order_by_oid if isinstance(oid_or_cloid, int) else None
        query = asked or self.info.query_order_by_cloid
        answer = query(WALLET.address, oid_or_cloid)
        return str(answer["order"]["status"] if answer["status"] == "order" else answer["status"])

    def send(self, action: Any, nonce: int | None = None, **options: Any) -> Any:
        """Sign an action as the SDK does and post it, each part replaceable."""
        nonce = nonce or time.time_ns() // 1_000_000
        expires_after = options.get("expires_after")
        signer = options.get("signer", WALLET)
        body = {
            "action": action,
            "nonce": nonce,
            "signature": sign_l1_action(signer, action, None, nonce, expires_after, False),
            "vaultAddress": None,
            "expiresAfter": expires_after,
        }
        return self.sim.http.post(
            "/hyperliquid/exchange", json=body | options.get("tamper", {})
        ).json()

    def send_order(self, **fields: Any) -> Any:
        """Send one raw order and give its status."""
        order = {"a": BTC, "b": True, "p": "100000", "s": "0.01", "r": False, "t": RESTING} | fields
        answer = self.send({"type": "order", "orders": [order], "grouping": "na"})
        return answer["response"]["data"]["statuses"][0]


@pytest.fixture
def venue(sim: Simulator) -> Venue:
    sim.control("prices", BTC="100000", ETH="3500", SOL="160")
    sim.control("accounts", venue="HYPERLIQUID", address=WALLET.address, usdc="10000")
    base = f"{sim.url}/hyperliquid"
    exchange = Exchange(WALLET, base, timeout=10)
    return Venue(sim, exchange.info, exchange)


def first_status(answer: Any) -> Any:
    return answer["response"]["data"]["statuses"][0]


def test_the_official_sdk_trades_from_construction_to_close(venue: Venue) -> None:
    info = Info(f"{venue.sim.url}/hyperliquid", skip_ws=True)
    assert info.coin_to_asset["BTC"] == BTC
    assert info.all_mids()["BTC"] == "100000.0"

    cloid = Cloid.from_int(4711)
    opened = first_status(venue.exchange.market_open("BTC", True, 0.02, cloid=cloid))["filled"]
    assert opened["totalSz"] == "0.02"
    found = info.query_order_by_cloid(WALLET.address, cloid)
    assert found["status"] == "order"
    assert found["order"]["status"] == "filled"
    assert found["order"]["order"]["oid"] == opened["oid"]
    assert found["order"]["order"]["cloid"] == cloid.to_raw()
    assert venue.size("BTC") == 0.02

    for tpsl, price in (("tp", 110_000), ("sl", 95_000)):
        trigger = {"trigger": {"triggerPx": price, "isMarket": True, "tpsl": tpsl}}
        placed = venue.exchange.order("BTC", False, 0.02, price, trigger, reduce_only=True)
        assert "resting" in first_status(placed)
    kinds = {order["orderType"] for order in info.frontend_open_orders(WALLET.address)}
    assert kinds == {"Take Profit Market", "Stop Market"}

    closed = first_status(venue.exchange.market_close("BTC"))["filled"]
    assert closed["totalSz"] == "0.02"
    assert venue.size("BTC") == 0.0
    assert [fill["dir"] for fill in info.user_fills(WALLET.address)] == ["Close Long", "Open Long"]


def test_a_fill_costs_the_taker_fee_and_moves_the_account(venue: Venue) -> None:
    venue.exchange.market_open("ETH", False, 1.0)
    fills = venue.info.user_fills_by_time(WALLET.address, 0)
    notional = sum(float(fill["px"]) * float(fill["sz"]) for fill in fills)
    fee = sum(float(fill["fee"]) for fill in fills)
    assert fee == pytest.approx(notional * 0.00045, abs=1e-5)
    state = venue.state()
    position = state["assetPositions"][0]["position"]
    assert float(position["entryPx"]) == pytest.approx(notional, rel=1e-8)
    assert position["leverage"] == {"type": "cross", "value": 20}
    expected = 10_000 - fee + float(position["unrealizedPnl"])
    assert float(state["marginSummary"]["accountValue"]) == pytest.approx(expected, abs=1e-5)
    assert float(position["liquidationPx"]) > 3500


@pytest.mark.parametrize(
    ("recording", "dropped_since"),
    [
        ("get_user_state", {"maxTradeSzs"}),
        ("get_user_fills", set()),
        ("get_open_orders", set()),
        ("get_l2_snapshot", set()),
        ("get_candles_snapshot", set()),
        ("get_funding_history_None", set()),
        ("user_funding_history_with_end_time", {"nSamples"}),
        ("user_non_funding_ledger_updates_without_end_time", set()),
        ("user_rate_limit", set()),
        ("user_role", set()),
    ],
)
def test_answers_have_the_fields_and_types_of_the_recordings(
    venue: Venue, recording: str, dropped_since: set[str]
) -> None:
    path = RECORDINGS / f"{recording}.json"
    if not path.is_file():
        pytest.skip(f"the recordings are not beside the project: no {path}")
    real = json.loads(path.read_text(encoding="utf-8"))[-1]
    venue.exchange.market_open("BTC", True, 0.02)
    venue.send_order(p="90000")
    venue.sim.control("clock", advance_s=HOUR_S)
    question = real["request"] | {"user": WALLET.address, "startTime": 0}
    question.pop("endTime", None)
    if "req" in question:
        now = time.time_ns() // 1_000_000
        question["req"] |= {"startTime": now - 3 * HOUR_S * 1000, "endTime": now}
    if question["type"] == "fundingHistory":
        question["startTime"] = time.time_ns() // 1_000_000 - 3 * HOUR_S * 1000
    answer = venue.info.post("/info", question)
    assert missing(real["response"], answer, dropped_since) == []


def test_the_fields_of_an_account_are_those_of_the_venue(venue: Venue) -> None:
    venue.exchange.market_open("BTC", True, 0.01)
    position = venue.state()["assetPositions"][0]
    assert position["type"] == "oneWay"
    assert {
        "coin",
        "entryPx",
        "leverage",
        "liquidationPx",
        "marginUsed",
        "positionValue",
        "returnOnEquity",
        "szi",
        "unrealizedPnl",
        "cumFunding",
    } <= set(position["position"])
    assert all(isinstance(fill["px"], str) for fill in venue.info.user_fills(WALLET.address))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"p": "100000.5"}, "Price must be divisible by tick size. asset=0"),
        ({"a": ETH, "p": "3500.123"}, "Price must be divisible by tick size. asset=1"),
        ({"s": "0.000001"}, "Order has invalid size. asset=0"),
        ({"s": "0"}, "Order has zero size. asset=0"),
        ({"s": "0.00005", "p": "100000"}, "Order must have minimum value of $10. asset=0"),
        ({"s": "90", "p": "99000"}, "Insufficient margin to place order. asset=0"),
        ({"r": True, "b": False}, "Reduce only order would increase position. asset=0"),
        (
            {"p": "90000", "t": MARKET},
            "Order could not immediately match against any resting orders. asset=0",
        ),
        (
            {"p": "101000", "t": {"limit": {"tif": "Alo"}}},
            "Post only order would have immediately matched, bbo was 99999@100001. asset=0",
        ),
        ({"a": 3, "p": "0.3"}, "Trading is halted. asset=3"),
        (
            {"p": "1"},
            "Order price cannot be more than 95% away from the reference price asset=0",
        ),
        (
            {"t": {"trigger": {"isMarket": True, "triggerPx": "90000", "tpsl": "sl"}}},
            "Invalid TP/SL price. asset=0",
        ),
    ],
)
def test_a_bad_order_gets_the_venues_own_error(venue: Venue, fields: Any, error: str) -> None:
    assert venue.send_order(**fields) == {"error": error}
    assert venue.info.open_orders(WALLET.address) == []


def test_a_refused_order_is_remembered_with_its_reason(venue: Venue) -> None:
    cloid = Cloid.from_int(9)
    venue.send_order(p="90000", t=MARKET, c=cloid.to_raw())
    assert venue.status(cloid) == "iocCancelRejected"
    assert venue.status(Cloid.from_int(10)) == "unknownOid"


def test_an_integer_price_is_always_on_the_tick(venue: Venue) -> None:
    venue.pin(BTC="1234567")
    assert "resting" in venue.send_order(p="1234561")


def test_a_used_cloid_is_refused_and_the_first_order_keeps_it(venue: Venue) -> None:
    cloid = Cloid.from_int(77).to_raw()
    oid = venue.send_order(p="90000", c=cloid)["resting"]["oid"]
    assert "already placed" in venue.send_order(p="90001", c=cloid)["error"]
    answer = venue.info.query_order_by_cloid(WALLET.address, Cloid.from_str(cloid))
    assert answer["order"]["order"]["oid"] == oid


def test_a_wrong_signature_looks_like_an_unknown_user(venue: Venue) -> None:
    action = {"type": "order", "orders": [], "grouping": "na"}
    tampered = venue.send(action, tamper={"action": {"type": "noop"}})
    assert tampered["status"] == "err"
    assert tampered["response"].startswith("User or API Wallet 0x")
    assert tampered["response"].endswith("does not exist.")
    stranger = Account.from_key("0x" + "22" * 32)
    refused = venue.send({"type": "noop"}, signer=stranger)
    assert refused["response"] == f"User or API Wallet {stranger.address.lower()} does not exist."


@pytest.mark.parametrize(
    "change",
    [
        lambda order: dict(reversed(order.items())),
        lambda order: order | {"p": "90000.0"},
        lambda order: order | {"s": "0.010"},
    ],
)
def test_what_is_not_signed_in_the_venues_own_writing_seems_to_be_signed_by_a_stranger(
    venue: Venue, change: Any
) -> None:
    order = {"a": BTC, "b": True, "p": "90000", "s": "0.01", "r": False, "t": RESTING}
    refused = venue.send({"type": "order", "orders": [change(order)], "grouping": "na"})
    assert refused["response"].endswith("does not exist.")
    accepted = venue.send({"type": "order", "orders": [order], "grouping": "na"})
    assert accepted["status"] == "ok"


def test_the_order_of_keys_on_the_way_does_not_matter(venue: Venue) -> None:
    action = {"type": "cancel", "cancels": [{"a": 0, "o": 1}]}
    swapped = {"cancels": action["cancels"], "type": "cancel"}
    assert venue.send(action, tamper={"action": swapped})["status"] == "ok"


def test_a_nonce_is_used_once(venue: Venue) -> None:
    nonce = time.time_ns() // 1_000_000
    assert venue.send({"type": "noop"}, nonce) == {"status": "ok", "response": {"type": "default"}}
    again = venue.send({"type": "noop"}, nonce)
    assert again == {"status": "err", "response": f"Invalid nonce: duplicate nonce {nonce}"}
    assert venue.send({"type": "noop"}, nonce - 1)["status"] == "ok"


@pytest.mark.parametrize("days", [-2.1, 1.1])
def test_a_nonce_must_be_near_the_present(venue: Venue, days: float) -> None:
    nonce = time.time_ns() // 1_000_000 + int(days * 86_400_000)
    answer = venue.send({"type": "noop"}, nonce)
    assert answer["status"] == "err"
    assert answer["response"].startswith("Invalid nonce")


def test_only_the_highest_hundred_nonces_are_kept(venue: Venue) -> None:
    now = time.time_ns() // 1_000_000
    for step in range(101):
        assert venue.send({"type": "noop"}, now - 1000 + step)["status"] == "ok"
    stale = venue.send({"type": "noop"}, now - 1000)
    assert stale["response"].startswith("Invalid nonce")


def test_an_expired_action_is_refused_and_can_never_land(venue: Venue) -> None:
    venue.exchange.set_expires_after(time.time_ns() // 1_000_000 - 1)
    answer = venue.exchange.market_open("BTC", True, 0.01)
    assert answer["status"] == "err"
    assert venue.info.user_fills(WALLET.address) == []
    venue.exchange.set_expires_after(time.time_ns() // 1_000_000 + 60_000)
    assert "filled" in first_status(venue.exchange.market_open("BTC", True, 0.01))


def test_an_unknown_question_or_action_is_unprocessable(venue: Venue) -> None:
    with pytest.raises(ClientError) as caught:
        venue.info.post("/info", {"type": "noSuchThing"})
    assert caught.value.status_code == 422
    body = {"action": {"type": "order"}, "nonce": 1}
    assert venue.sim.http.post("/hyperliquid/exchange", json=body).status_code == 422


def test_a_take_profit_fires_when_the_price_crosses_it(venue: Venue) -> None:
    venue.exchange.market_open("BTC", True, 0.02)
    trigger = {"trigger": {"triggerPx": 105_000, "isMarket": True, "tpsl": "tp"}}
    placed = venue.exchange.order("BTC", False, 0.02, 105_000, trigger, reduce_only=True)
    oid = first_status(placed)["resting"]["oid"]
    venue.pin(BTC="104999")
    assert venue.status(oid) == "open"
    venue.pin(BTC="105500")
    assert venue.status(oid) == "filled"
    assert venue.size("BTC") == 0.0
    assert float(venue.info.user_fills(WALLET.address)[0]["closedPnl"]) > 100


def test_children_wait_for_their_parent_and_the_first_cancels_the_other(venue: Venue) -> None:
    parent = order_request("BTC", True, 0.02, 98_000)
    children = [
        order_request("BTC", False, 0.02, 110_000, tpsl="tp", cloid=Cloid.from_int(1)),
        order_request("BTC", False, 0.02, 95_000, tpsl="sl", cloid=Cloid.from_int(2)),
    ]
    answer = venue.exchange.bulk_orders([parent, *children], grouping="normalTpsl")
    statuses = answer["response"]["data"]["statuses"]
    assert "resting" in statuses[0]
    assert statuses[1:] == ["waitingForFill", "waitingForFill"]
    assert len(venue.info.open_orders(WALLET.address)) == 1
    venue.pin(BTC="97990")
    assert venue.size("BTC") == 0.02
    assert len(venue.info.open_orders(WALLET.address)) == 2
    venue.pin(BTC="94000")
    assert venue.size("BTC") == 0.0
    assert venue.status(Cloid.from_int(2)) == "filled"
    assert venue.status(Cloid.from_int(1)) == "siblingFilledCanceled"


def test_children_of_a_market_order_protect_at_once_and_go_with_the_position(venue: Venue) -> None:
    parent = order_request("BTC", True, 0.02, 105_000, tif="Ioc")
    child = order_request("BTC", False, 0.02, 95_000, tpsl="sl", cloid=Cloid.from_int(3))
    answer = venue.exchange.bulk_orders([parent, child], grouping="normalTpsl")
    statuses = answer["response"]["data"]["statuses"]
    assert "filled" in statuses[0]
    assert statuses[1] == "waitingForTrigger"
    venue.exchange.market_close("BTC")
    assert venue.status(Cloid.from_int(3)) == "reduceOnlyCanceled"


def test_children_of_a_refused_parent_do_not_live(venue: Venue) -> None:
    parent = order_request("BTC", True, 0.02, 90_000, tif="Ioc")
    child = order_request("BTC", False, 0.02, 85_000, tpsl="sl")
    answer = venue.exchange.bulk_orders([parent, child], grouping="normalTpsl")
    assert all("error" in status for status in answer["response"]["data"]["statuses"])
    assert venue.info.open_orders(WALLET.address) == []


def test_a_stand_alone_stop_outlives_its_position(venue: Venue) -> None:
    venue.exchange.market_open("BTC", True, 0.02)
    trigger = {"trigger": {"triggerPx": 95_000, "isMarket": True, "tpsl": "sl"}}
    venue.exchange.order("BTC", False, 0.02, 95_000, trigger, reduce_only=True)
    venue.exchange.market_close("BTC")
    assert len(venue.info.open_orders(WALLET.address)) == 1


def test_a_position_stop_closes_whatever_the_position_has_become(venue: Venue) -> None:
    venue.exchange.market_open("SOL", False, 5.0)
    stop = order_request("SOL", True, 0, 170, tpsl="sl")
    answer = venue.exchange.bulk_orders([stop], grouping="positionTpsl")
    assert "error" not in first_status(answer)
    venue.exchange.market_open("SOL", False, 3.0)
    venue.pin(SOL="171")
    assert venue.size("SOL") == 0.0


def test_a_resting_order_fills_as_maker_and_can_be_canceled_before(venue: Venue) -> None:
    kept = venue.send_order(p="99000")["resting"]["oid"]
    dropped = venue.send_order(p="98000", c=Cloid.from_int(5).to_raw())["resting"]["oid"]
    assert first_status(venue.exchange.cancel_by_cloid("BTC", Cloid.from_int(5))) == "success"
    assert "error" in first_status(venue.exchange.cancel("BTC", dropped))
    venue.pin(BTC="97000")
    assert venue.status(kept) == "filled"
    assert venue.status(dropped) == "canceled"
    fill = venue.info.user_fills(WALLET.address)[0]
    assert fill["crossed"] is False
    assert float(fill["fee"]) == pytest.approx(99000 * 0.01 * 0.00015)


def test_an_order_can_be_modified(venue: Venue) -> None:
    oid = venue.send_order(p="99000")["resting"]["oid"]
    answer = venue.exchange.modify_order(oid, "BTC", True, 0.02, 98_500, RESTING)
    assert "resting" in first_status(answer)
    orders = venue.info.open_orders(WALLET.address)
    assert [(order["limitPx"], order["sz"]) for order in orders] == [("98500.0", "0.02")]


def test_leverage_binds_margin_and_has_a_maximum(venue: Venue) -> None:
    assert venue.exchange.update_leverage(10, "BTC")["status"] == "ok"
    venue.exchange.market_open("BTC", True, 0.1)
    used = float(venue.state()["marginSummary"]["totalMarginUsed"])
    assert used == pytest.approx(1000, rel=1e-3)
    assert venue.exchange.update_leverage(41, "BTC")["status"] == "err"


def test_an_agent_wallet_signs_for_its_master(venue: Venue) -> None:
    answer, agent_key = venue.exchange.approve_agent("bot")
    assert answer["status"] == "ok"
    agent = Account.from_key(agent_key)
    trader = Exchange(
        agent, f"{venue.sim.url}/hyperliquid", account_address=WALLET.address, timeout=10
    )
    assert "filled" in first_status(trader.market_open("BTC", True, 0.01))
    assert venue.size("BTC") == 0.01
    role = venue.info.user_role(agent.address)
    assert role == {"role": "agent", "data": {"user": WALLET.address.lower()}}


def test_funding_is_paid_on_the_hour(venue: Venue) -> None:
    venue.exchange.market_open("BTC", True, 0.1)
    venue.sim.control("clock", advance_s=3 * HOUR_S)
    paid = venue.info.user_funding_history(WALLET.address, 0)
    assert len(paid) == 3
    assert all(entry["time"] % (HOUR_S * 1000) == 0 for entry in paid)
    position = venue.state()["assetPositions"][0]["position"]
    total = sum(float(entry["delta"]["usdc"]) for entry in paid)
    assert float(position["cumFunding"]["sinceOpen"]) == pytest.approx(-total)


def test_an_account_below_its_maintenance_margin_is_liquidated(venue: Venue) -> None:
    venue.exchange.update_leverage(40, "BTC")
    venue.exchange.market_open("BTC", True, 2.0)
    assert venue.size("BTC") == 2.0
    liquidation_price = float(venue.state()["assetPositions"][0]["position"]["liquidationPx"])
    venue.pin(BTC=f"{liquidation_price + 50:.0f}")
    assert venue.size("BTC") == 2.0
    venue.pin(BTC=f"{liquidation_price - 50:.0f}")
    assert venue.size("BTC") == 0.0
    fill = venue.info.user_fills(WALLET.address)[0]
    assert fill["liquidation"]["method"] == "market"


def test_a_large_order_fills_in_part_and_pays_through_the_book(venue: Venue) -> None:
    venue.sim.control("accounts", venue="HYPERLIQUID", address=WALLET.address, usdc="9000000")
    filled = first_status(venue.exchange.market_open("SOL", True, 40_000.0))["filled"]
    assert 0 < float(filled["totalSz"]) < 40_000
    assert float(filled["avgPx"]) > 160


def test_a_scheduled_cancel_takes_protective_orders_too(venue: Venue) -> None:
    venue.exchange.market_open("BTC", True, 0.02)
    trigger = {"trigger": {"triggerPx": 50_000, "isMarket": True, "tpsl": "sl"}}
    stop = venue.exchange.order("BTC", False, 0.02, 50_000, trigger, reduce_only=True)
    now = time.time_ns() // 1_000_000
    assert venue.exchange.schedule_cancel(now + 1000)["status"] == "err"
    assert venue.exchange.schedule_cancel(now + 60_000)["status"] == "ok"
    oid = first_status(stop)["resting"]["oid"]
    assert venue.status(oid) == "open"
    venue.sim.control("clock", advance_s=61)
    assert venue.status(oid) == "scheduledCancel"
    assert venue.size("BTC") == 0.02


def test_candles_join_without_gaps_and_end_at_the_mid(venue: Venue) -> None:
    venue.pin(BTC=None)
    now = time.time_ns() // 1_000_000
    candles = venue.info.candles_snapshot("BTC", "5m", now - 50 * 300_000, now)
    assert len(candles) in (50, 51)
    for earlier, later in pairwise(candles):
        assert later["t"] == earlier["T"] + 1
        assert float(later["l"]) <= float(later["o"]) <= float(later["h"])
    mid = float(venue.info.all_mids()["BTC"])
    assert float(candles[-1]["c"]) == pytest.approx(mid, rel=1e-3)


def test_the_book_is_sorted_round_the_mid(venue: Venue) -> None:
    book = venue.info.l2_snapshot("kPEPE")
    bids, asks = ([float(level["px"]) for level in side] for side in book["levels"])
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < float(venue.info.all_mids()["kPEPE"]) < asks[0]


def test_contexts_line_up_with_the_universe(venue: Venue) -> None:
    meta, contexts = venue.info.meta_and_asset_ctxs()
    assert len(meta["universe"]) == len(contexts)
    for entry, context in zip(meta["universe"], contexts, strict=True):
        assert (context["midPx"] is None) == bool(entry.get("isDelisted"))
        assert float(context["markPx"]) > 0


def test_accepted_orders_survive_a_kill(own_sim: Simulator) -> None:
    own_sim.control("prices", BTC="100000")
    own_sim.control("accounts", venue="HYPERLIQUID", address=WALLET.address, usdc="10000")
    exchange = Exchange(WALLET, f"{own_sim.url}/hyperliquid", timeout=10)
    cloid = Cloid.from_int(99)
    exchange.market_open("BTC", True, 0.02, cloid=cloid)
    trigger = {"trigger": {"triggerPx": 95_000, "isMarket": True, "tpsl": "sl"}}
    exchange.order("BTC", False, 0.02, 95_000, trigger, reduce_only=True)
    before = exchange.info.user_state(WALLET.address)
    own_sim.kill()
    own_sim.start()
    info = Info(f"{own_sim.url}/hyperliquid", skip_ws=True)
    assert info.query_order_by_cloid(WALLET.address, cloid)["order"]["status"] == "filled"
    assert len(info.open_orders(WALLET.address)) == 1
    assert info.user_state(WALLET.address)["assetPositions"] == before["assetPositions"]
    own_sim.control("prices", BTC="94000")
    assert info.user_state(WALLET.address)["assetPositions"] == []


def test_two_simulators_never_share_a_home(own_sim: Simulator) -> None:
    command = [sys.executable, "-m", "agentwhere_sim", "--port", "0", "--home", str(own_sim.home)]
    second = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "another simulator uses" in second.stderr


def test_control_shows_every_accepted_order(venue: Venue) -> None:
    venue.send_order(p="90000")
    venue.send_order(p="90000", t=MARKET)
    query = f"/control/orders?venue=HYPERLIQUID&address={WALLET.address}"
    accepted = venue.sim.http.get(query).json()["orders"]
    assert [(order["coin"], order["status"]) for order in accepted] == [("BTC", "open")]
    assert len(venue.sim.http.get(query + "&all=1").json()["orders"]) == 2


def test_a_request_that_cannot_be_read_burns_no_nonce(venue: Venue) -> None:
    nonce = time.time_ns() // 1_000_000
    order = {"a": BTC, "b": True, "p": "no number", "s": "1", "r": False, "t": RESTING}
    action = {"type": "order", "orders": [order], "grouping": "na"}
    signature = sign_l1_action(WALLET, action, None, nonce, None, False)
    body = {"action": action, "nonce": nonce, "signature": signature}
    assert venue.sim.http.post("/hyperliquid/exchange", json=body).status_code == 422
    assert venue.send({"type": "noop"}, nonce)["status"] == "ok"


def missing(real: Any, ours: Any, dropped: set[str], where: str = "") -> list[str]:
    """List the recorded fields that an answer lacks or gives another type; of a list, the first."""
    if isinstance(real, dict):
        gaps = [f"{where}.{name}" for name in real if name not in dropped and name not in ours]
        for name in set(real) & set(ours):
            gaps += missing(real[name], ours[name], dropped, f"{where}.{name}")
        return gaps
    if isinstance(real, list):
        if real and not ours:
            return [f"{where} is empty"]
        return missing(real[0], ours[0], dropped, f"{where}[0]") if real else []
    same = real is None or ours is None or type(real) is type(ours)
    return [] if same else [f"{where}: {ours!r} is not like {real!r}"]


def order_request(coin: str, is_buy: bool, sz: float, price: float, **options: Any) -> Any:
    """Build what the SDK's ``bulk_orders`` takes; with ``tpsl`` a protective trigger."""
    tpsl = options.get("tpsl")
    kind: Any = {"limit": {"tif": options.get("tif", "Gtc")}}
    if tpsl:
        kind = {"trigger": {"triggerPx": price, "isMarket": True, "tpsl": tpsl}}
    return {
        "coin": coin,
        "is_buy": is_buy,
        "sz": sz,
        "limit_px": price,
        "order_type": kind,
        "reduce_only": tpsl is not None,
        "cloid": options.get("cloid"),
    }
