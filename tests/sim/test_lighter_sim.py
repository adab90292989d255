"""Simulated Lighter: transactions signed by the venue's own library, and everything that must be refused."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from agentwhere_core.venues.lighter.signer import (
    TESTNET_CHAIN_ID,
    ApiKey,
    SignedTx,
    Signer,
    WireOrder,
    new_api_key,
)

if TYPE_CHECKING:
    from agentwhere_sim.testing import Simulator

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "data" / "lighter"
WALLET = "0x" + "77" * 20
PRIVATE_KEY, PUBLIC_KEY = new_api_key()
BTC = 1
MARKET, STOP_LOSS, TAKE_PROFIT = 1, 2, 4
PATIENCE_S = 60.0


@dataclass
class Desk:
    """An account at the simulated venue, and the key that signs for it."""

    sim: Simulator
    key: ApiKey
    signer: Signer
    indexes: Any = field(default_factory=lambda: count(1000))
    lapse_ms: int = field(default_factory=lambda: int(time.time() * 1000) + 3_600_000)
    """When what waits for a trigger lapses: of one group all at once, or the venue refuses it."""

    def order(self, amount: int = 1000, price: int = 1_010_000, **changes: Any) -> WireOrder:
        """A market order: 0.01 BTC for at most 101,000 USD."""
        wish: dict[str, Any] = {
            "market_index": BTC,
            "client_order_index": next(self.indexes),
            "base_amount": amount,
            "price": price,
            "is_ask": False,
            "type": MARKET,
            "time_in_force": 0,
            "reduce_only": False,
            "trigger_price": 0,
            "expires_ms": 0,
        }
        return WireOrder(**wish | changes)

    def trigger(self, kind: int, price: int, amount: int = 0) -> WireOrder:
        bound = price * 9 // 10
        return self.order(
            amount,
            bound,
            is_ask=True,
            type=kind,
            reduce_only=True,
            trigger_price=price,
            expires_ms=self.lapse_ms,
        )

    def nonce(self) -> int:
        params = {"account_index": self.key.account_index, "api_key_index": self.key.key_index}
        return int(self.sim.http.get("/lighter/api/v1/nextNonce", params=params).json()["nonce"])

    def post(self, tx: SignedTx, **changes: Any) -> Any:
        info = json.dumps(json.loads(tx.info) | changes) if changes else tx.info
        body = urlencode({"tx_type": tx.type, "tx_info": info})
        return self.sim.http.post("/lighter/api/v1/sendTx", content=body).json()

    def place(self, order: WireOrder) -> Any:
        return self.post(self.signer.order(self.key, order, self.nonce()))

    def place_group(self, grouping: int, *orders: WireOrder) -> Any:
        return self.post(self.signer.group(self.key, grouping, orders, self.nonce()))

    def ask(self, name: str, **params: Any) -> Any:
        token = self.signer.token(self.key, int(time.time()) + 600)
        params = {"account_index": self.key.account_index} | params
        return self.sim.http.get(
            f"/lighter/api/v1/{name}", params=params, headers={"authorization": token}
        ).json()

    def listed(self, *orders: WireOrder) -> list[Any]:
        indexes = ",".join(str(one.client_order_index) for one in orders)
        found = self.ask("accountOrders", client_order_indexes=indexes)["orders"]
        return sorted(found, key=lambda one: int(one["client_order_index"]))

    def settled(self, *orders: WireOrder) -> list[str]:
        """Return the statuses of orders once the sequencer has executed them."""
        deadline = time.monotonic() + PATIENCE_S
        while len(found := self.listed(*orders)) < len(orders):
            assert time.monotonic() < deadline, "the sequencer never executed"
            time.sleep(0.05)
        return [one["status"] for one in found]

    def account(self) -> Any:
        params = {"by": "index", "value": self.key.account_index}
        [found] = self.sim.http.get("/lighter/api/v1/account", params=params).json()["accounts"]
        return found

    def held(self) -> float:
        return sum(float(one["position"]) * one["sign"] for one in self.account()["positions"])


def open_desk(sim: Simulator, usdc: str = "10000") -> Desk:
    wish = {"venue": "LIGHTER", "address": WALLET, "usdc": usdc}
    funded = sim.control("accounts", **wish, api_key_index=4, public_key=PUBLIC_KEY)
    key, signer = ApiKey(funded["account_index"], 4), Signer(TESTNET_CHAIN_ID)
    signer.learn(key, PRIVATE_KEY)
    sim.control("prices", BTC="100000")
    return Desk(sim, key, signer)


@pytest.fixture
def desk(sim: Simulator) -> Desk:
    return open_desk(sim)


def test_acceptance_is_not_execution(desk: Desk) -> None:
    order = desk.order()
    answer = desk.place(order)
    assert answer["code"] == 200
    assert answer["predicted_execution_time_ms"] > time.time() * 1000
    assert desk.listed(order) == []
    assert desk.held() == 0
    assert desk.settled(order) == ["filled"]
    assert desk.held() == 0.01
    tx = desk.ask("tx", by="hash", value=answer["tx_hash"])
    assert (tx["status"], tx["type"], tx["nonce"]) == (2, 14, 0)


def test_nonces_count_one_by_one_and_only_what_is_accepted(desk: Desk) -> None:
    order = desk.order()
    assert desk.post(desk.signer.order(desk.key, order, 1))["code"] == 21104
    tx = desk.signer.order(desk.key, order, 0)
    assert desk.post(tx)["code"] == 200
    assert desk.post(tx)["code"] == 21104
    assert desk.nonce() == 1


def test_each_key_has_nonces_of_its_own(desk: Desk) -> None:
    desk.place(desk.order())
    wish = {"venue": "LIGHTER", "address": WALLET, "usdc": "1"}
    desk.sim.control("accounts", **wish, api_key_index=5, public_key=PUBLIC_KEY)
    other = Desk(desk.sim, ApiKey(desk.key.account_index, 5), desk.signer)
    desk.signer.learn(other.key, PRIVATE_KEY)
    assert (desk.nonce(), other.nonce()) == (1, 0)


def test_the_sequencer_may_lose_what_was_accepted(desk: Desk) -> None:
    desk.sim.fault("lighter", "sequencer_drop")
    order = desk.order()
    answer = desk.place(order)
    assert answer["code"] == 200
    time.sleep(0.4)
    assert desk.listed(order) == []
    assert desk.ask("tx", by="hash", value=answer["tx_hash"])["code"] == 21500
    assert desk.nonce() == 0
    assert desk.place(order)["code"] == 200
    assert desk.settled(order) == ["filled"]


def test_a_client_order_index_is_used_once(desk: Desk) -> None:
    order = desk.order()
    desk.place(order)
    desk.settled(order)
    assert desk.place(order)["code"] == 21728


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Sig": "AAAA"}, 21120),
        ({"Sig": 5}, 21120),
        ({"ExpiredAt": 1}, 21111),
        ({"ExpiredAt": 2**47}, 21111),
        ({"AccountIndex": 1}, 21100),
        ({"ApiKeyIndex": 9}, 21109),
        ({"ApiKeyIndex": 2}, 20001),
        ({"MarketIndex": 254}, 21602),
        ({"BaseAmount": 19}, 21706),
        ({"BaseAmount": 0}, 20001),
        ({"BaseAmount": 1.5}, 20001),
        ({"Price": 2**32}, 20001),
        ({"IsAsk": True}, 20001),
        ({"ClientOrderIndex": 2**48}, 20001),
        ({"TimeInForce": 1}, 21729),
        ({"TriggerPrice": 5}, 21729),
        ({"OrderExpiry": 5}, 21729),
        ({"Extra": 5}, 20001),
    ],
)
def test_what_is_not_as_demanded_is_refused(desk: Desk, changes: dict[str, Any], code: int) -> None:
    assert desk.post(desk.signer.order(desk.key, desk.order(), 0), **changes)["code"] == code
    assert desk.nonce() == 0


def test_an_order_that_cannot_be_afforded_is_refused(desk: Desk) -> None:
    assert desk.place(desk.order(amount=1_000_000))["code"] == 21739


def test_a_market_order_takes_no_price_beyond_its_bound(desk: Desk) -> None:
    order = desk.order(price=999_000)
    desk.place(order)
    assert desk.settled(order) == ["canceled-too-much-slippage"]
    assert desk.held() == 0


def test_an_entry_arms_its_pair_and_one_ends_the_other(desk: Desk) -> None:
    entry = desk.order()
    pair = desk.trigger(TAKE_PROFIT, 1_050_000), desk.trigger(STOP_LOSS, 950_000)
    assert desk.place_group(3, entry, *pair)["code"] == 200
    assert desk.settled(entry, *pair) == ["filled", "pending", "pending"]
    desk.sim.control("prices", BTC="94000")
    assert desk.settled(entry, *pair) == ["filled", "canceled-oco", "filled"]
    assert desk.held() == 0


def test_children_of_an_entry_that_never_fills_end_with_it(desk: Desk) -> None:
    entry = desk.order(price=999_000)
    pair = desk.trigger(TAKE_PROFIT, 1_050_000), desk.trigger(STOP_LOSS, 950_000)
    desk.place_group(3, entry, *pair)
    assert desk.settled(entry, *pair)[1:] == ["canceled-child"] * 2


def test_children_follow_the_position_and_go_with_it(desk: Desk) -> None:
    entry, stop = desk.order(), desk.trigger(STOP_LOSS, 950_000)
    desk.place_group(1, entry, stop)
    desk.settled(entry, stop)
    close = desk.order(price=990_000, is_ask=True, reduce_only=True)
    desk.place(close)
    assert desk.settled(close) == ["filled"]
    assert desk.settled(stop) == ["canceled-reduce-only"]


def test_a_stop_with_an_amount_of_its_own_stays_behind(desk: Desk) -> None:
    entry, stop = desk.order(), desk.trigger(STOP_LOSS, 950_000, amount=1000)
    desk.place(entry)
    desk.place(stop)
    desk.settled(entry, stop)
    close = desk.order(price=990_000, is_ask=True, reduce_only=True)
    desk.place(close)
    desk.settled(close)
    assert desk.settled(stop) == ["pending"]


@pytest.mark.parametrize(
    ("grouping", "orders", "code"),
    [
        (3, lambda d: [d.order(), d.trigger(TAKE_PROFIT, 1_050_000, 5)], 21729),
        (1, lambda d: [d.order(), d.trigger(TAKE_PROFIT, 1_050_000, 5)], 21706),
        (2, lambda d: [d.trigger(STOP_LOSS, 950_000), d.trigger(STOP_LOSS, 940_000)], 21729),
        (1, lambda d: [d.order(is_ask=True), d.trigger(STOP_LOSS, 950_000)], 21729),
        (2, lambda d: [d.order(), d.trigger(STOP_LOSS, 950_000)], 21729),
    ],
)
def test_groups_that_do_not_belong_together_are_refused(
    desk: Desk, grouping: int, orders: Callable[[Desk], list[WireOrder]], code: int
) -> None:
    sound = desk.signer.group(
        desk.key,
        3,
        [desk.order(), desk.trigger(TAKE_PROFIT, 1_050_000), desk.trigger(STOP_LOSS, 950_000)],
        0,
    )
    assert desk.post(sound, GroupingType=grouping, Orders=wire(orders(desk)))["code"] == code


def test_all_orders_of_a_batch_are_cancelled(desk: Desk) -> None:
    entry = desk.order()
    pair = desk.trigger(TAKE_PROFIT, 1_050_000), desk.trigger(STOP_LOSS, 950_000)
    desk.place_group(3, entry, *pair)
    desk.settled(entry, *pair)
    signed = [
        desk.signer.cancel(desk.key, BTC, one.client_order_index, 1 + place)
        for place, one in enumerate(pair)
    ]
    form = {
        "tx_types": json.dumps([one.type for one in signed]),
        "tx_infos": json.dumps([one.info for one in signed]),
    }
    answer = desk.sim.http.post("/lighter/api/v1/sendTxBatch", content=urlencode(form)).json()
    assert len(answer["tx_hash"]) == 2
    time.sleep(0.4)
    assert desk.settled(*pair) == ["canceled"] * 2


def test_an_account_that_cannot_pay_is_liquidated(desk: Desk) -> None:
    desk.post(desk.signer.leverage(desk.key, BTC, 200, desk.nonce()))
    time.sleep(0.4)
    entry, stop = desk.order(amount=300_000), desk.trigger(STOP_LOSS, 500_000)
    assert desk.place_group(1, entry, stop)["code"] == 200
    assert desk.settled(entry, stop) == ["filled", "pending"]
    desk.sim.control("prices", BTC="97000")
    assert desk.held() == 0
    [last, *_] = desk.ask("trades", sort_by="timestamp", limit=100)["trades"]
    assert last["type"] == "liquidation"
    assert desk.settled(stop) == ["canceled-liquidation"]


def test_funding_is_paid_at_full_hours_while_a_position_is_held(desk: Desk) -> None:
    entry = desk.order()
    desk.place(entry)
    desk.settled(entry)
    before = float(desk.account()["collateral"])
    desk.sim.control("clock", advance_s=2 * 3600)
    payments = desk.ask("positionFunding", limit=100)["position_fundings"]
    assert len(payments) == 2
    paid = sum(float(one["change"]) for one in payments)
    assert float(desk.account()["collateral"]) == pytest.approx(before + paid, abs=1e-5)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "{now}:{account}:4:",
        "{now}:{account}:4:zz",
        "{past}:{account}:4:abcd",
        "{late}:{account}:4:abcd",
        "{soon}:1:4:abcd",
        "{soon}:{account}:9:abcd",
    ],
)
def test_orders_are_shown_to_their_owner_only(desk: Desk, token: str) -> None:
    now = int(time.time())
    filled = token.format(
        now=now, past=now - 1, late=now + 9 * 3600, soon=now + 60, account=desk.key.account_index
    )
    params = {"account_index": desk.key.account_index, "client_order_indexes": "1"}
    reply = desk.sim.http.get(
        "/lighter/api/v1/accountOrders", params=params, headers={"authorization": filled}
    )
    assert (reply.status_code, reply.json()["code"]) == (400, 20013)


def test_a_stranger_is_not_found(sim: Simulator) -> None:
    params = {"by": "l1_address", "value": WALLET}
    reply = sim.http.get("/lighter/api/v1/account", params=params)
    assert (reply.status_code, reply.json()["code"]) == (400, 21100)


def test_what_was_accepted_survives_a_power_cut(own_sim: Simulator) -> None:
    desk = open_desk(own_sim)
    order = desk.order()
    assert desk.place(order)["code"] == 200
    own_sim.kill()
    own_sim.start()
    assert desk.nonce() == 1
    assert desk.settled(order) == ["filled"]
    assert desk.held() == 0.01


def test_trades_have_the_recorded_shape(desk: Desk) -> None:
    if not RECORDINGS.is_dir():
        pytest.skip(f"the recordings are not beside the project: no {RECORDINGS}")
    recorded = json.loads((RECORDINGS / "http_recent_trades.json").read_text(encoding="utf-8"))
    [real] = recorded["trades"]
    order = desk.order()
    desk.place(order)
    desk.settled(order)
    [ours] = desk.ask("trades", sort_by="timestamp", limit=100)["trades"]
    assert ours.keys() - real.keys() == {"ask_account_pnl", "bid_account_pnl"}
    shared = ours.keys() & real.keys()
    assert {name: type(ours[name]) for name in shared} == {
        name: type(real[name]) for name in shared
    }


def wire(orders: list[WireOrder]) -> list[dict[str, int]]:
    """Orders as they stand in a transaction's text."""
    return [
        {
            "MarketIndex": one.market_index,
            "ClientOrderIndex": one.client_order_index,
            "BaseAmount": one.base_amount,
            "Price": one.price,
            "IsAsk": int(one.is_ask),
            "Type": one.type,
            "TimeInForce": one.time_in_force,
            "ReduceOnly": int(one.reduce_only),
            "TriggerPrice": one.trigger_price,
            "OrderExpiry": one.expires_ms,
        }
        for one in orders
    ]
