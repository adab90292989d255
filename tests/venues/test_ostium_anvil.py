"""The Ostium adapter on a real EVM: what it signs is executed, and what it reads was emitted, by compiled contracts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from agentwhere_core.domain.enums import OrderPurpose, OrderSide, OrderState, Venue
from agentwhere_core.domain.errors import RefusedError, TimedOutError
from agentwhere_core.domain.market import Quote
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import OrderReport, OrderSpec
from agentwhere_core.venues.ostium import Ostium, OstiumChain
from tests.core.examples import market
from tests.core.ostium_desk import (
    ACCOUNT,
    ADDRESS,
    DELEGATE,
    DELEGATE_KEY,
    DELEGATED,
    KEY,
    Desk,
    now,
)
from tests.core.wires import client, wire
from tests.venues import anvil
from tests.venues.anvil import Evm

PRICE = 4000
# What 100 dollars less the oracle's fee come to at leverage 5.
HELD = Decimal("99.9") * 5 / PRICE
GOLD = replace(market(Venue.OSTIUM, "XAU", "XAU/USD"), market_index=5, min_notional_usd=Decimal(5))


class AnvilDesk(Desk):
    """A desk whose prices are the test's own."""

    def quote(self, token: str) -> Quote:
        price = Decimal(PRICE)
        return Quote(Venue.OSTIUM, token, price, price, price, now())

    def settled(
        self, evm: Evm, *specs: OrderSpec, order_id: int, price: int = PRICE, reason: int = 0
    ) -> list[OrderReport]:
        """Place orders while the keeper acts a moment later."""
        payload = self.sign(*specs)
        keeper = evm.settle_later(order_id, price, reason)
        try:
            return self.send(payload, *specs)
        finally:
            keeper.join()


@pytest.fixture(scope="session")
def chain() -> Iterator[Evm]:
    """A chain with the contracts deployed; skipped, and said so, where the tools are not."""
    anvil.require_tools()
    with anvil.running() as evm:
        yield evm


@pytest.fixture
def evm(chain: Evm) -> Iterator[Evm]:
    """The chain as it was after deployment."""
    snapshot = chain.ask("evm_snapshot")
    chain.fund(ADDRESS, 10_000)
    yield chain
    chain.ask("anvil_setAutomine", True)
    chain.ask("anvil_dropAllTransactions")
    chain.ask("evm_revert", snapshot)


@pytest.fixture
def desk(evm: Evm) -> Iterator[AnvilDesk]:
    """A desk with approved dollars."""
    with ExitStack() as stack:
        desk = open_desk(evm, stack)
        desk.approve()
        yield desk


def open_desk(evm: Evm, stack: ExitStack, **options: Any) -> AnvilDesk:
    empty = stack.enter_context(wire({"data": {"orders": [], "trades": []}}))
    venue = Ostium(
        stack.enter_context(client("ostium")),
        data_url=empty.url,
        subgraph_url=empty.url,
        chain=OstiumChain(evm.url, empty.url, 31_337, evm.ostium),
        **({"receipt_wait_s": anvil.PATIENCE_S, "settle_wait_s": anvil.PATIENCE_S} | options),
    )
    return AnvilDesk(venue, {"XAU": GOLD})


def test_an_entry_is_executed_with_its_protection(evm: Evm, desk: AnvilDesk) -> None:
    specs = desk.protected()
    entry, take_profit, stop_loss = desk.settled(evm, *specs, order_id=1)
    assert (entry.state, entry.venue_order_id, entry.average_price) == (
        OrderState.FILLED,
        "1",
        PRICE,
    )
    # Sized in dollars at the bound, it came to more gold than that; what was asked for is filled.
    assert entry.filled_size == specs[0].size < HELD
    assert [take_profit.state, stop_loss.state] == [OrderState.ACKED, OrderState.ACKED]


def test_a_trade_is_closed_in_two_parts(evm: Evm, desk: AnvilDesk) -> None:
    desk.settled(evm, desk.entry(), order_id=1)
    parts = [desk.settled(evm, desk.exit(HELD / 2), order_id=number)[0] for number in (2, 3)]
    assert [part.state for part in parts] == [OrderState.FILLED, OrderState.FILLED]
    assert sum(part.filled_size for part in parts) == HELD
    with pytest.raises(RefusedError, match="holds 0 long trades"):
        desk.sign(desk.exit(HELD))


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [(2, Reason.MARKET_CLOSED), (3, Reason.NOT_FILLED), (8, Reason.LEVERAGE_TOO_HIGH)],
)
def test_a_cancelled_entry_says_why(
    evm: Evm, desk: AnvilDesk, reason: int, meaning: Reason
) -> None:
    specs = desk.protected()
    entry, take_profit, _ = desk.settled(evm, *specs, order_id=1, reason=reason)
    assert (entry.state, entry.reason) == (OrderState.CANCELLED, meaning)
    assert (take_profit.state, take_profit.reason) == (
        OrderState.CANCELLED,
        Reason.POSITION_CLOSED,
    )


def test_a_price_beyond_the_bound_is_not_taken(evm: Evm, desk: AnvilDesk) -> None:
    [short] = desk.settled(evm, desk.entry(side=OrderSide.SELL), order_id=1, price=PRICE - 100)
    [at_bound] = desk.settled(evm, desk.entry(), order_id=2, price=PRICE + 40)
    assert (short.state, short.reason) == (OrderState.CANCELLED, Reason.NOT_FILLED)
    assert at_bound.state is OrderState.FILLED


def test_a_take_profit_fires_and_takes_the_stop_away(evm: Evm, desk: AnvilDesk) -> None:
    specs = desk.protected()
    payload = desk.sign(*specs)
    evm.settle_later(1, PRICE)
    desk.send(payload, *specs)
    evm.call("OstiumDouble", "trigger", ADDRESS, 5, 0, 0, 4500 * 10**18)
    entry, take_profit, stop_loss = desk.look_up(payload, specs)
    assert entry is not None
    assert take_profit is not None
    assert stop_loss is not None
    assert [entry.state, take_profit.state] == [OrderState.FILLED, OrderState.FILLED]
    assert (take_profit.average_price, take_profit.venue_order_id) == (4500, "2")
    assert stop_loss.state is OrderState.CANCELLED


def test_protection_is_moved_by_two_transactions(evm: Evm, desk: AnvilDesk) -> None:
    entry = desk.entry()
    desk.settled(evm, entry, order_id=1)
    specs = [
        desk.protection(entry, OrderPurpose.TAKE_PROFIT, "1.05"),
        desk.protection(entry, OrderPurpose.STOP_LOSS, "0.97"),
    ]
    assert {report.state for report in desk.place(*specs)} == {OrderState.ACKED}


def test_a_reused_index_is_never_taken_for_the_old_trade(evm: Evm, desk: AnvilDesk) -> None:
    specs = desk.protected()
    payload = desk.sign(*specs)
    evm.settle_later(1, PRICE)
    desk.send(payload, *specs)
    desk.settled(evm, desk.exit(HELD), order_id=2)
    desk.settled(evm, *desk.protected(), order_id=3)
    _, take_profit, stop_loss = desk.look_up(payload, specs)
    assert take_profit is not None
    assert stop_loss is not None
    assert {take_profit.state, stop_loss.state} == {OrderState.CANCELLED}


def test_a_delegate_signs_for_the_trader(evm: Evm, desk: AnvilDesk) -> None:
    evm.fund(DELEGATE, 0)
    delegated = AnvilDesk(desk.venue, desk.markets, DELEGATED, DELEGATE_KEY)
    with pytest.raises(RefusedError, match="would refuse"):
        delegated.sign(delegated.entry())
    evm.call("OstiumDouble", "setDelegate", DELEGATE, key=KEY)
    [report] = delegated.settled(evm, delegated.entry(), order_id=1)
    assert report.state is OrderState.FILLED


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"leverage": "201"}, "WrongLeverage"),
        ({"margin": "20000"}, "ERC20InsufficientBalance|ERC20InsufficientAllowance"),
    ],
)
def test_what_would_revert_is_never_sent(
    evm: Evm, desk: AnvilDesk, options: dict[str, str], error: str
) -> None:
    with pytest.raises(RefusedError, match=error):
        desk.sign(desk.entry(**options))  # type: ignore[arg-type]


def test_a_revert_after_signing_is_a_definite_rejection(evm: Evm, desk: AnvilDesk) -> None:
    spec = desk.entry()
    payload = desk.sign(spec)
    evm.ask("anvil_setStorageAt", evm.dollar, balance_slot(ADDRESS), "0x" + 64 * "0")
    [report] = desk.send(payload, spec)
    assert (report.state, report.reason) == (OrderState.REJECTED, Reason.VENUE_REJECTED)


def balance_slot(address: str) -> str:
    """Return where the dollar keeps a balance."""
    from eth_utils.crypto import keccak

    return "0x" + keccak(bytes(12) + bytes.fromhex(address[2:]) + bytes(32)).hex()


def test_the_same_bytes_twice_are_one_order(evm: Evm, desk: AnvilDesk) -> None:
    spec = desk.entry()
    payload = desk.sign(spec)
    evm.settle_later(1, PRICE)
    assert desk.send(payload, spec) == desk.send(payload, spec)


def test_a_stuck_entry_is_replaced_and_never_lands(evm: Evm, desk: AnvilDesk) -> None:
    spec = desk.entry()
    payload = desk.sign(spec)
    evm.ask("anvil_setAutomine", False)
    with ExitStack() as stack:
        hasty = open_desk(evm, stack, receipt_wait_s=0.3)
        with pytest.raises(TimedOutError, match="no block"):
            hasty.send(payload, spec)
        with pytest.raises(RefusedError, match="still waits"):
            desk.sign(desk.entry())
    miner = evm.mine_once_replaced()
    assert desk.abort(payload)
    miner.join()
    evm.ask("anvil_setAutomine", True)
    assert desk.venue.is_void(ACCOUNT, payload)
    assert desk.look_up(payload, [spec]) == [None]
    [next_one] = desk.settled(evm, desk.entry(), order_id=1)
    assert next_one.state is OrderState.FILLED


def test_what_the_keeper_leaves_is_reclaimed_after_the_timeout(evm: Evm) -> None:
    with ExitStack() as stack:
        desk = open_desk(evm, stack, settle_wait_s=0.3)
        desk.approve()
        specs = desk.protected()
        payload = desk.sign(*specs)
        assert {report.state for report in desk.send(payload, *specs)} == {OrderState.ACKED}
        assert not desk.abort(payload)
        evm.ask("anvil_mine", hex(31))
        assert desk.abort(payload)
        ended = desk.look_up(payload, specs)[0]
        assert ended is not None
        assert (ended.state, ended.reason) == (OrderState.CANCELLED, Reason.NOT_FILLED)


def test_events_from_another_contract_settle_nothing(evm: Evm) -> None:
    with ExitStack() as stack:
        desk = open_desk(evm, stack, settle_wait_s=0.3)
        desk.approve()
        spec = desk.entry()
        payload = desk.sign(spec)
        desk.send(payload, spec)
        bytecode = anvil.compiled()["OstiumDouble"]["bytecode"] + evm.dollar[2:].rjust(64, "0")
        impostor = replace(evm, ostium=evm.transact(None, bytecode)["contractAddress"])
        forge(impostor)
        [report] = desk.look_up(payload, [spec])
        assert report is not None
        assert report.state is OrderState.ACKED


def forge(impostor: Evm) -> None:
    """Let another contract of the same kind cancel an order of the same number."""
    impostor.fund(DELEGATE, 100)
    impostor.call("Dollar", "approve", impostor.ostium, 100 * 10**6, key=DELEGATE_KEY)
    trade = (10**7, PRICE * 10**18, 0, 0, DELEGATE, 500, 5, 0, True, False)
    builder = ("0x" + 40 * "0", 0)
    impostor.call("OstiumDouble", "openTrade", trade, builder, 0, 0, key=DELEGATE_KEY)
    impostor.settle(1, PRICE, 2)
