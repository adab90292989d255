"""Trading on Ostium through its adapter: the simulated chain answers, over the real wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from agentwhere_core.domain.enums import CashFlowKind, OrderPurpose, OrderSide, OrderState, Side
from agentwhere_core.domain.errors import (
    ConfigurationError,
    InvariantError,
    RefusedError,
    TimedOutError,
)
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.venues.ostium import Ostium
from agentwhere_core.venues.ostium.envelopes import read_envelope
from agentwhere_core.venues.ostium.node import Node, Receipt
from agentwhere_core.venues.ostium.outcomes import Absence, Outcomes
from agentwhere_core.venues.ostium.reader import Reader
from agentwhere_core.venues.protocol import MarketData
from agentwhere_sim.testing import Simulator
from tests.core import ostium_desk
from tests.core.ostium_desk import ACCOUNT, ADDRESS, DELEGATE, DELEGATED, Desk, now, sim_chain
from tests.core.wires import Answer, client, relay

START = Decimal(10_000)
CLOSE_TO = Decimal("0.000001")


@pytest.fixture
def desk(sim: Simulator) -> Iterator[Desk]:
    """A desk with 10,000 USDC that were approved."""
    with ExitStack() as stack:
        venue = open_venue(sim, stack)
        sim.control("prices", XAU="4000", BTC="100000", EUR="1.1")
        markets = {market.token: market for market in venue.list_markets(now())}
        fund(sim, ADDRESS, START)
        desk = Desk(venue, markets)
        desk.approve()
        yield desk


def open_venue(sim: Simulator, stack: ExitStack, **options: Any) -> Ostium:
    http = stack.enter_context(client("ostium"))
    return Ostium(
        http,
        data_url=f"{sim.url}/ostium",
        subgraph_url=f"{sim.url}/ostium/subgraph",
        chain=sim_chain(sim.url),
        **({"receipt_wait_s": 4.0, "settle_wait_s": 20.0} | options),
    )


def fund(sim: Simulator, address: str, usdc: Decimal) -> None:
    sim.control("accounts", venue="OSTIUM", address=address, usdc=str(usdc))


def orders_at(sim: Simulator) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sim.http.get("/control/orders?venue=OSTIUM").json()["orders"]
    return found


def test_the_adapter_trades_where_it_is_given_a_chain(desk: Desk) -> None:
    venue: MarketData = desk.venue
    assert venue.can_execute


def test_an_entry_fills_with_its_protection_resting(desk: Desk) -> None:
    specs = desk.protected()
    entry, take_profit, stop_loss = desk.place(*specs)
    assert (entry.state, entry.venue_order_id) == (OrderState.FILLED, "1")
    assert entry.average_price is not None
    assert entry.average_price <= specs[0].limit_price
    assert [take_profit.state, stop_loss.state] == [OrderState.ACKED, OrderState.ACKED]
    [position] = desk.venue.account_state(ACCOUNT, now()).positions
    assert (position.token, position.side, position.leverage) == ("XAU", Side.LONG, 5)
    assert position.entry_price == entry.average_price
    assert position.liquidation_price is not None
    assert position.liquidation_price < specs[2].trigger_price  # type: ignore[operator]


def test_the_margin_is_exactly_what_was_meant(desk: Desk) -> None:
    desk.place(desk.entry(margin="100", leverage="5"))
    state = desk.venue.account_state(ACCOUNT, now())
    assert state.free_margin_usd == START - 100


def test_a_short_entry_and_its_close(desk: Desk) -> None:
    desk.place(desk.entry("BTC", OrderSide.SELL))
    [position] = desk.venue.account_state(ACCOUNT, now()).positions
    assert position.side is Side.SHORT
    [closed] = desk.place(desk.exit(position.size, "BTC", OrderSide.BUY))
    assert closed.state is OrderState.FILLED
    assert desk.venue.account_state(ACCOUNT, now()).positions == ()


def test_fills_fees_and_cash_add_up(desk: Desk, sim: Simulator) -> None:
    since = now() - timedelta(minutes=1)
    desk.place(desk.entry())
    [position] = desk.venue.account_state(ACCOUNT, now()).positions
    sim.control("prices", XAU="4100")
    [half] = desk.place(desk.exit(position.size / 2))
    [rest] = desk.venue.account_state(ACCOUNT, now()).positions
    [whole] = desk.place(desk.exit(rest.size))
    assert [half.state, whole.state] == [OrderState.FILLED, OrderState.FILLED]
    fills = desk.venue.fills(ACCOUNT, since)
    assert [fill.side for fill in fills] == [OrderSide.BUY, OrderSide.SELL, OrderSide.SELL]
    assert sum(fill.size for fill in fills[1:]) == fills[0].size
    flows = desk.venue.cash_flows(ACCOUNT, since)
    paid = sum((f.amount_usd for f in flows if f.kind == CashFlowKind.FUNDING), Decimal(0))
    gained = sum((fill.closed_pnl_usd - fill.fee_usd for fill in fills), Decimal(0))
    equity = desk.venue.account_state(ACCOUNT, now()).equity_usd
    assert equity == pytest.approx(START + gained + paid, abs=Decimal("0.0001"))
    assert gained > 0


def test_deposits_are_cash_flows_and_trades_are_not(desk: Desk, sim: Simulator) -> None:
    desk.place(desk.entry())
    fund(sim, ADDRESS, Decimal(50))
    flows = desk.venue.cash_flows(ACCOUNT, now() - timedelta(minutes=5))
    assert [(flow.kind, flow.amount_usd) for flow in flows] == [
        (CashFlowKind.DEPOSIT, START),
        (CashFlowKind.DEPOSIT, Decimal(50)),
    ]


@pytest.mark.parametrize(
    ("price", "purpose"),
    [("4500", OrderPurpose.TAKE_PROFIT), ("3700", OrderPurpose.STOP_LOSS)],
)
def test_a_trigger_fills_one_side_and_takes_the_other_away(
    desk: Desk, sim: Simulator, price: str, purpose: OrderPurpose
) -> None:
    specs = desk.protected()
    payload = desk.sign(*specs)
    desk.send(payload, *specs)
    sim.control("prices", XAU=price)
    found = {spec.purpose: desk.look_up(payload, [spec])[0] for spec in specs}
    fired = found.pop(purpose)
    other = next(found[p] for p in found if p is not OrderPurpose.ENTRY)
    assert fired is not None
    assert other is not None
    assert (fired.state, fired.venue_order_id) == (OrderState.FILLED, "2")
    assert (other.state, other.reason) == (OrderState.CANCELLED, Reason.POSITION_CLOSED)
    assert desk.venue.account_state(ACCOUNT, now()).positions == ()
    close = desk.venue.fills(ACCOUNT, now() - timedelta(minutes=1))[-1]
    assert (close.venue_order_id, close.is_liquidation) == ("2", False)


def test_a_liquidation_is_told_and_costs_the_stake(desk: Desk, sim: Simulator) -> None:
    desk.place(desk.entry(leverage="20"))
    sim.control("prices", XAU="3800")
    fills = desk.venue.fills(ACCOUNT, now() - timedelta(minutes=1))
    assert fills[-1].is_liquidation
    assert desk.venue.account_state(ACCOUNT, now()).equity_usd == START - 100


def test_protection_is_placed_moved_and_taken_off(desk: Desk) -> None:
    entry = desk.entry()
    desk.place(entry)
    first = desk.protection(entry, OrderPurpose.STOP_LOSS, "0.95")
    second = desk.protection(entry, OrderPurpose.STOP_LOSS, "0.97")
    payload = desk.sign(first)
    assert desk.send(payload, first)[0].state is OrderState.ACKED
    assert desk.place(second)[0].state is OrderState.ACKED
    [replaced] = desk.look_up(payload, [first])
    assert replaced is not None
    assert (replaced.state, replaced.reason) == (OrderState.CANCELLED, Reason.PROTECTION_REPLACED)
    cancel = desk.venue.sign_cancel([second], ACCOUNT, ostium_desk.KEY, 0, now())
    assert desk.venue.send(cancel, [], now()) == []


def test_two_protective_orders_travel_as_two_transactions(desk: Desk) -> None:
    entry = desk.entry()
    desk.place(entry)
    specs = [
        desk.protection(entry, OrderPurpose.TAKE_PROFIT, "1.05"),
        desk.protection(entry, OrderPurpose.STOP_LOSS, "0.97"),
    ]
    reports = desk.place(*specs)
    assert [report.state for report in reports] == [OrderState.ACKED, OrderState.ACKED]


def test_a_stop_beyond_the_venues_bound_is_brought_within_it_before_it_is_stored(
    desk: Desk,
) -> None:
    specs = desk.protected(leverage="50")
    entry, _, stop_loss = desk.place(*specs)
    assert (entry.state, stop_loss.state) == (OrderState.FILLED, OrderState.ACKED)


def test_a_delegate_trades_and_the_trader_holds(desk: Desk, sim: Simulator) -> None:
    fund(sim, DELEGATE, Decimal(0))
    delegated = replace(desk, account=DELEGATED, key=ostium_desk.DELEGATE_KEY)
    with pytest.raises(RefusedError, match="would refuse"):
        delegated.place(delegated.entry())
    set_delegate(sim)
    specs = delegated.protected()
    assert delegated.place(*specs)[0].state is OrderState.FILLED
    [position] = desk.venue.account_state(ACCOUNT, now()).positions
    assert delegated.place(delegated.exit(position.size))[0].state is OrderState.FILLED


def set_delegate(sim: Simulator) -> None:
    """Send what a wallet would send: setDelegate, in a legacy transaction."""
    from eth_account import Account
    from eth_utils.crypto import keccak

    data = keccak(text="setDelegate(address)")[:4] + bytes(12) + bytes.fromhex(DELEGATE[2:])
    count = rpc(sim, "eth_getTransactionCount", ADDRESS, "latest")
    signed = Account.sign_transaction(
        {
            "chainId": ostium_desk.SIM_CHAIN_ID,
            "nonce": int(count, 16),
            "to": ostium_desk.SIM_TRADING,
            "value": 0,
            "data": data,
            "gas": 600_000,
            "gasPrice": 20_000_000,
        },
        ostium_desk.KEY,
    )
    tx_hash = rpc(sim, "eth_sendRawTransaction", signed.raw_transaction.to_0x_hex())
    assert rpc(sim, "eth_getTransactionReceipt", tx_hash)["status"] == "0x1"


def rpc(sim: Simulator, method: str, *params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return sim.http.post("/ostium/rpc", json=body).json()["result"]


def test_a_delegate_cannot_approve_and_says_what_to_do(desk: Desk, sim: Simulator) -> None:
    fund(sim, ADDRESS, Decimal(5))
    delegated = replace(desk, account=DELEGATED, key=ostium_desk.DELEGATE_KEY)
    with pytest.raises(ConfigurationError, match="approve"):
        delegated.approve()


def test_approval_is_asked_for_once_and_for_no_more_than_there_is(desk: Desk) -> None:
    market = desk.markets["XAU"]
    assert desk.venue.sign_leverage(market, 5, ACCOUNT, ostium_desk.KEY, 0, now()) is None
    desk.place(desk.entry())
    assert desk.venue.sign_leverage(market, 5, ACCOUNT, ostium_desk.KEY, 0, now()) is None


def test_a_closed_market_cancels_with_its_reason_and_returns_the_stake(
    desk: Desk, sim: Simulator
) -> None:
    specs = desk.protected()
    sim.control("hours", markets={"XAU": "closed"})
    entry, take_profit, stop_loss = desk.place(*specs)
    assert (entry.state, entry.reason) == (OrderState.CANCELLED, Reason.MARKET_CLOSED)
    assert {take_profit.reason, stop_loss.reason} == {Reason.POSITION_CLOSED}
    state = desk.venue.account_state(ACCOUNT, now())
    assert (state.positions, state.equity_usd) == ((), START - Decimal("0.1"))


def test_a_price_beyond_the_bound_cancels(desk: Desk, sim: Simulator) -> None:
    spec = desk.entry()
    sim.control("prices", XAU="4200")
    [report] = desk.place(spec)
    assert (report.state, report.reason) == (OrderState.CANCELLED, Reason.NOT_FILLED)


def test_what_the_contract_would_refuse_is_never_sent(desk: Desk, sim: Simulator) -> None:
    with pytest.raises(RefusedError, match="WrongLeverage"):
        desk.sign(desk.entry(leverage="150"))
    with pytest.raises(RefusedError, match="ERC20Insufficient"):
        desk.sign(desk.entry(margin="20000"))
    assert orders_at(sim) == []


def test_an_order_below_the_minimum_has_no_size(desk: Desk) -> None:
    assert desk.entry(margin="0.5", leverage="1").size == 0


def test_a_close_without_a_trade_is_refused_before_it_is_sent(desk: Desk) -> None:
    with pytest.raises(RefusedError, match="holds 0 long trades"):
        desk.sign(desk.exit(Decimal(1)))


def test_the_wrong_key_signs_nothing(desk: Desk) -> None:
    with pytest.raises(ConfigurationError, match="belongs to"):
        desk.venue.sign_orders([desk.entry()], ACCOUNT, ostium_desk.DELEGATE_KEY, 0, now())


def test_the_same_bytes_twice_are_one_order(desk: Desk, sim: Simulator) -> None:
    spec = desk.entry()
    payload = desk.sign(spec)
    first, second = desk.send(payload, spec), desk.send(payload, spec)
    assert first == second
    assert len(orders_at(sim)) == 1


@pytest.mark.parametrize("kind", ["drop_after", "malformed"])
def test_a_lost_answer_is_found_by_the_hash(desk: Desk, sim: Simulator, kind: str) -> None:
    spec = desk.entry()
    payload = desk.sign(spec)
    sim.fault("ostium", kind, match="eth_sendRawTransaction")
    with pytest.raises(Exception, match="ostium"):
        desk.send(payload, spec)
    [found] = desk.look_up(payload, [spec])
    assert found is not None
    assert found.state in {OrderState.ACKED, OrderState.FILLED}
    assert desk.send(payload, spec)[0].state is OrderState.FILLED
    assert len(orders_at(sim)) == 1


def test_bytes_that_never_arrived_may_still_arrive_until_their_nonce_is_used(
    desk: Desk, sim: Simulator
) -> None:
    spec = desk.entry()
    payload = desk.sign(spec)
    sim.fault("ostium", "drop_before", match="eth_sendRawTransaction")
    with pytest.raises(TimedOutError):
        desk.send(payload, spec)
    assert desk.look_up(payload, [spec]) == [None]
    assert not desk.venue.is_void(ACCOUNT, payload)
    assert desk.abort(payload)
    assert desk.look_up(payload, [spec]) == [None]
    assert desk.venue.is_void(ACCOUNT, payload)
    assert not desk.abort(payload)
    with pytest.raises(TimedOutError, match="used by another"):
        desk.send(payload, spec)
    assert orders_at(sim) == []


def test_a_stuck_transaction_is_replaced_by_a_transfer_to_oneself(
    desk: Desk, sim: Simulator
) -> None:
    spec = desk.entry()
    payload = desk.sign(spec)
    sim.fault("ostium", "stuck")
    with pytest.raises(TimedOutError, match="no block"):
        desk.send(payload, spec)
    with pytest.raises(RefusedError, match="still waits"):
        desk.sign(desk.entry())
    assert desk.abort(payload)
    assert desk.venue.is_void(ACCOUNT, payload)
    assert desk.place(desk.entry())[0].state is OrderState.FILLED


def test_a_replacement_that_hangs_is_replaced_by_a_dearer_one(desk: Desk, sim: Simulator) -> None:
    spec = desk.entry()
    payload = desk.sign(spec)
    sim.fault("ostium", "stuck", count=4)
    with pytest.raises(TimedOutError, match="no block"):
        desk.send(payload, spec)
    for _ in range(3):
        with pytest.raises(TimedOutError, match="no block"):
            desk.abort(payload)
        assert not desk.venue.is_void(ACCOUNT, payload)
    assert desk.abort(payload)
    assert desk.venue.is_void(ACCOUNT, payload)
    assert orders_at(sim) == []


def test_a_later_order_on_the_same_nonce_proves_the_earlier_absent(
    desk: Desk, sim: Simulator
) -> None:
    first, second = desk.entry(), desk.entry("BTC")
    never_sent = desk.sign(first)
    assert desk.place(second)[0].state is OrderState.FILLED
    assert desk.look_up(never_sent, [first]) == [None]
    assert desk.venue.is_void(ACCOUNT, never_sent)


def test_a_dead_keeper_leaves_an_order_acked_until_it_is_reclaimed(
    desk: Desk, sim: Simulator
) -> None:
    specs = desk.protected()
    payload = desk.sign(*specs)
    sim.fault("ostium", "keeper_dead")
    with ExitStack() as stack:
        hasty = replace(desk, venue=open_venue(sim, stack, settle_wait_s=1.0))
        entry, *_ = hasty.send(payload, *specs)
    assert entry.state is OrderState.ACKED
    state = desk.venue.account_state(ACCOUNT, now())
    assert (state.equity_usd, state.free_margin_usd) == (START, START - 100)
    assert not desk.abort(payload)
    sim.control("clock", advance_s=30)
    assert desk.abort(payload)
    [ended, take_profit, _] = desk.look_up(payload, specs)
    assert ended is not None
    assert take_profit is not None
    assert (ended.state, ended.reason) == (OrderState.CANCELLED, Reason.NOT_FILLED)
    assert (take_profit.state, take_profit.venue_order_id) == (OrderState.CANCELLED, None)
    assert desk.venue.account_state(ACCOUNT, now()).free_margin_usd == START


def test_a_close_that_the_keeper_left_is_reclaimed_and_closed_again(
    desk: Desk, sim: Simulator
) -> None:
    desk.place(desk.entry())
    [position] = desk.venue.account_state(ACCOUNT, now()).positions
    sim.fault("ostium", "keeper_dead")
    spec = desk.exit(position.size)
    payload = desk.sign(spec)
    with ExitStack() as stack:
        hasty = replace(desk, venue=open_venue(sim, stack, settle_wait_s=1.0))
        assert hasty.send(payload, spec)[0].state is OrderState.ACKED
    sim.control("clock", advance_s=30)
    assert desk.abort(payload)
    [ended] = desk.look_up(payload, [spec])
    assert ended is not None
    assert ended.state is OrderState.CANCELLED
    assert desk.place(desk.exit(position.size))[0].state is OrderState.FILLED


def test_an_order_survives_the_death_of_the_chains_node(desk: Desk, sim: Simulator) -> None:
    spec = desk.entry()
    payload = desk.sign(spec)
    desk.send(payload, spec)
    sim.kill()
    sim.start()
    [report] = desk.look_up(payload, [spec])
    assert report is not None
    assert report.state is OrderState.FILLED


def test_a_payload_answers_only_for_its_own_orders_and_trader(desk: Desk) -> None:
    spec = desk.entry()
    payload = desk.sign(spec)
    with pytest.raises(InvariantError, match="holds no order"):
        desk.venue.look_up(ACCOUNT, "0x00", payload)
    with pytest.raises(InvariantError, match="signed for"):
        desk.venue.look_up(replace(ACCOUNT, address=DELEGATE), spec.client_id, payload)
    with pytest.raises(InvariantError, match="no envelope"):
        desk.venue.look_up(ACCOUNT, spec.client_id, b"{}")


def test_a_stored_payload_holds_no_key(desk: Desk) -> None:
    text = desk.sign(desk.entry()).decode()
    assert json.loads(text)["trader"] == ADDRESS.lower()
    assert ostium_desk.KEY[2:] not in text


def test_another_chain_is_refused_before_anything_is_signed(sim: Simulator) -> None:
    with ExitStack() as stack:
        http = stack.enter_context(client("ostium"))
        venue = Ostium(
            http,
            data_url=f"{sim.url}/ostium",
            subgraph_url=f"{sim.url}/ostium/subgraph",
            chain=replace(sim_chain(sim.url), chain_id=42_161),
        )
        markets = {market.token: market for market in venue.list_markets(now())}
        with pytest.raises(ConfigurationError, match="serves chain 412346, not 42161"):
            Desk(venue, markets).approve()


def test_late_nodes_behind_one_address_never_prove_absence(desk: Desk, sim: Simulator) -> None:
    """A nonce that the order itself used up, told by one node, and no receipt, told by another, prove nothing."""
    spec = desk.entry()
    payload = desk.sign(spec)
    desk.send(payload, spec)
    turns = count()

    def balance(_path: str, body: bytes) -> Answer:
        if next(turns) % 2 == 0:
            return Answer(sim.http.post("/ostium/rpc", content=body).content)
        questions = json.loads(body)
        is_batch = isinstance(questions, list)
        answers = [late_answer(one) for one in (questions if is_batch else [questions])]
        return Answer(json.dumps(answers if is_batch else answers[0]))

    with relay(balance) as url, client("ostium") as http:
        chain = replace(sim_chain(sim.url), rpc_url=url)
        outcomes = Outcomes(node := Node(http, url, chain.chain_id), Reader(node, chain.trading))
        envelope = read_envelope(payload)
        fates = [outcomes.fate(envelope, envelope.legs[0]) for _ in range(9)]
    assert Absence.NEVER not in fates
    assert any(isinstance(fate, Receipt) for fate in fates)


def test_a_nonce_that_another_used_a_minute_ago_proves_absence_to_a_new_process(
    desk: Desk, sim: Simulator
) -> None:
    spec, other = desk.entry(), desk.entry(margin="50")
    payload = desk.sign(spec)
    desk.place(other)
    with ExitStack() as stack:
        fresh = replace(desk, venue=open_venue(sim, stack))
        assert not fresh.venue.is_void(ACCOUNT, payload)
        with pytest.raises(TimedOutError, match="a minute later"):
            fresh.look_up(payload, [spec])
        sim.control("clock", advance_s=80)
        assert fresh.venue.is_void(ACCOUNT, payload)
        assert fresh.look_up(payload, [spec]) == [None]


@pytest.mark.parametrize(
    ("lacks", "advice"),
    [("state", "a node that keeps the last minutes"), ("batches", "takes JSON-RPC batches")],
)
def test_a_node_that_cannot_prove_absence_says_what_it_lacks(
    desk: Desk, sim: Simulator, lacks: str, advice: str
) -> None:
    spec, other = desk.entry(), desk.entry(margin="50")
    payload = desk.sign(spec)
    desk.place(other)
    sim.control("clock", advance_s=80)

    def poor(_path: str, body: bytes) -> Answer:
        question = json.loads(body)
        error = {"code": -32000, "message": "not kept here"}
        refusal = Answer(json.dumps({"jsonrpc": "2.0", "id": None, "error": error}))
        if isinstance(question, list):
            lacking = lacks == "batches"
        else:
            asks_for_past = str(question["params"][-1:]).startswith("['0x")
            is_nonce = question["method"] == "eth_getTransactionCount"
            lacking = lacks == "state" and is_nonce and asks_for_past
        return refusal if lacking else Answer(sim.http.post("/ostium/rpc", content=body).content)

    with relay(poor) as url, client("ostium") as http:
        chain = replace(sim_chain(sim.url), rpc_url=url)
        outcomes = Outcomes(node := Node(http, url, chain.chain_id), Reader(node, chain.trading))
        envelope = read_envelope(payload)
        with pytest.raises(RefusedError, match=advice):
            outcomes.fate(envelope, envelope.legs[0])


def late_answer(question: dict[str, Any]) -> dict[str, Any]:
    """What a node says that has not seen the newest blocks."""
    known = {
        "eth_getTransactionCount": "0x0",
        "eth_getTransactionReceipt": None,
        "eth_blockNumber": "0x3e8",
    }
    return {"jsonrpc": "2.0", "id": question["id"], "result": known[question["method"]]}
