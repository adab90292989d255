"""The Hyperliquid adapter over its real wire: against the simulated venue, and against the official SDK's own bytes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from eth_account import Account

from agentwhere_core.domain.enums import CashFlowKind, OrderPurpose, OrderSide, OrderState, Venue
from agentwhere_core.domain.errors import (
    MalformedReplyError,
    RateLimitedError,
    RefusedError,
    ServerFaultError,
    TimedOutError,
    UnreachableError,
)
from agentwhere_core.domain.market import Market, Quote
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import OrderReport, OrderSpec, VenueAccount
from agentwhere_core.venues.hyperliquid import Hyperliquid
from agentwhere_core.venues.protocol import Execution
from agentwhere_sim.testing import Simulator
from tests.core.wires import client, wire

KEY = "0x" + "42" * 32
ADDRESS = Account.from_key(KEY).address
ACCOUNT = VenueAccount(UUID(int=1), UUID(int=2), Venue.HYPERLIQUID, ADDRESS, ADDRESS, "DESK_KEY")
TOKENS = ("BTC", "ETH", "SOL")
SLIPPAGE_BPS = Decimal(50)
numbers = count(1)


def client_id() -> str:
    return f"0x{next(numbers):032x}"


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Desk:
    """A funded account at the simulated venue, traded through the adapter."""

    sim: Simulator
    venue: Hyperliquid
    markets: dict[str, Market]
    nonce: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def quote(self, token: str) -> Quote:
        return self.venue.quotes([self.markets[token]], now())[token]

    def specs(
        self,
        token: str = "BTC",
        side: OrderSide = OrderSide.BUY,
        notional: str = "1000",
        purpose: OrderPurpose = OrderPurpose.ENTRY,
    ) -> list[OrderSpec]:
        market = self.markets[token]
        size, limit = self.venue.entry(
            market, side, Decimal(notional), self.quote(token), SLIPPAGE_BPS
        )
        return [
            OrderSpec(
                client_id=client_id(),
                purpose=purpose,
                market_name=market.market_name,
                market_index=market.market_index,
                side=side,
                size=size,
                limit_price=limit,
                trigger_price=None,
                reduce_only=purpose is OrderPurpose.EXIT,
            )
        ]

    def protected(self, token: str = "BTC") -> list[OrderSpec]:
        """An entry with a take profit 5 % above and a stop loss 5 % below."""
        market, [entry] = self.markets[token], self.specs(token)
        children = []
        for purpose, factor in (
            (OrderPurpose.TAKE_PROFIT, Decimal("1.05")),
            (OrderPurpose.STOP_LOSS, Decimal("0.95")),
        ):
            trigger = self.venue.round_price(market, self.quote(token).mid * factor)
            children.append(
                replace(
                    entry,
                    client_id=client_id(),
                    purpose=purpose,
                    side=OrderSide.SELL,
                    trigger_price=trigger,
                    limit_price=self.venue.limit_price(
                        market, OrderSide.SELL, trigger, Decimal(1000)
                    ),
                    reduce_only=True,
                )
            )
        return [entry, *children]

    def sign(self, specs: Sequence[OrderSpec], seconds: float = 15) -> bytes:
        deadline = now() + timedelta(seconds=seconds)
        return self.venue.sign_orders(specs, ACCOUNT, KEY, self.next_nonce(), deadline)

    def place(self, specs: Sequence[OrderSpec]) -> list[OrderReport]:
        return self.venue.send(self.sign(specs), [spec.client_id for spec in specs], now())

    def next_nonce(self) -> int:
        self.nonce += 1
        return self.nonce

    def positions(self) -> dict[str, Decimal]:
        state = self.venue.account_state(ACCOUNT, now())
        return {one.token: one.size * one.side.sign for one in state.positions}

    def venue_orders(self) -> list[Any]:
        found = self.sim.http.get(
            "/control/orders", params={"venue": "HYPERLIQUID", "address": ADDRESS}
        ).json()
        return list(found["orders"] if isinstance(found, dict) else found)


@pytest.fixture(scope="module")
def connections() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def adapter(simulator_process: Simulator, connections: ExitStack) -> Hyperliquid:
    base = f"{simulator_process.url}/hyperliquid"
    http = connections.enter_context(client())
    return Hyperliquid(http, data_url=base, trade_url=base, is_mainnet=False)


@pytest.fixture
def desk(sim: Simulator, adapter: Hyperliquid) -> Desk:
    sim.control("prices", BTC="100000", ETH="3500", SOL="160")
    sim.control("accounts", venue="HYPERLIQUID", address=ADDRESS, usdc="10000")
    return Desk(sim, adapter, {market.token: market for market in adapter.list_markets(now())})


# What the venue lists


def test_the_adapter_speaks_the_whole_protocol(adapter: Hyperliquid) -> None:
    venue: Execution = adapter
    assert venue.can_execute
    assert venue.venue is Venue.HYPERLIQUID


def test_markets_carry_the_venues_own_rules_fees_and_activity(desk: Desk) -> None:
    bitcoin, pepe = desk.markets["BTC"], desk.markets["PEPE"]
    assert len(desk.markets) > 150
    assert (bitcoin.market_index, bitcoin.size_decimals, bitcoin.max_leverage) == (0, 5, 40)
    assert bitcoin.taker_fee_bps == Decimal("4.5")
    assert bitcoin.price == 100_000
    assert (pepe.market_name, pepe.size_multiplier) == ("kPEPE", 1000)
    assert {market.token for market in desk.markets.values() if not market.is_active}


def test_quotes_of_many_markets_need_one_request(desk: Desk) -> None:
    desk.sim.fault("hyperliquid.info", "5xx", count=1)
    quotes = desk.venue.quotes(list(desk.markets.values()), now())
    active = {token for token, market in desk.markets.items() if market.is_active}
    assert set(quotes) == active
    assert quotes["BTC"].bid <= quotes["BTC"].mid <= quotes["BTC"].ask
    top = desk.venue.book_quote(desk.markets["BTC"])
    assert top is not None
    assert top.bid < 100_000 < top.ask


def test_candles_lie_in_the_window_asked_for(desk: Desk) -> None:
    end = now()
    start = end - timedelta(hours=6)
    bars = desk.venue.candles(desk.markets["BTC"], "1h", start, end, end)
    assert [bar.open_time for bar in bars] == sorted(bar.open_time for bar in bars)
    assert all(start <= bar.open_time < end for bar in bars)
    assert [bar.is_closed for bar in bars] == [True] * (len(bars) - 1) + [False]
    assert all(bar.low <= min(bar.open, bar.close) <= bar.high for bar in bars)


# Trading


def test_an_entry_and_its_protection_travel_together(desk: Desk) -> None:
    specs = desk.protected()
    entry, *children = desk.place(specs)
    assert entry.state is OrderState.FILLED
    assert entry.filled_size == specs[0].size
    assert [child.state for child in children] == [OrderState.ACKED] * 2
    assert desk.positions() == {"BTC": specs[0].size}
    found = [desk.venue.look_up(ACCOUNT, spec.client_id) for spec in specs]
    assert [report and report.state for report in found] == [
        OrderState.FILLED,
        OrderState.ACKED,
        OrderState.ACKED,
    ]


def test_a_stop_that_fires_closes_the_position_and_its_sibling(desk: Desk) -> None:
    entry, take_profit, stop_loss = desk.protected()
    desk.place([entry, take_profit, stop_loss])
    desk.sim.control("prices", BTC="94000")
    stopped = desk.venue.look_up(ACCOUNT, stop_loss.client_id)
    sibling = desk.venue.look_up(ACCOUNT, take_profit.client_id)
    assert stopped is not None
    assert sibling is not None
    assert (stopped.state, stopped.filled_size) == (OrderState.FILLED, entry.size)
    assert stopped.average_price is not None
    assert stopped.average_price < 95_000
    assert sibling.state is OrderState.CANCELLED
    assert desk.positions() == {}


def test_a_lookup_knows_the_average_price_and_every_fee(desk: Desk) -> None:
    [spec] = desk.specs("ETH", OrderSide.SELL, notional="3000")
    [report] = desk.place([spec])
    found = desk.venue.look_up(ACCOUNT, spec.client_id)
    fills = desk.venue.fills(ACCOUNT, now() - timedelta(hours=1))
    assert found is not None
    assert found.average_price == pytest.approx(report.average_price, rel=Decimal("1e-6"))
    assert {fill.client_id for fill in fills} == {spec.client_id}
    assert sum(fill.size for fill in fills) == spec.size
    expected = sum(fill.size * fill.price for fill in fills) * Decimal("0.00045")
    assert sum(fill.fee_usd for fill in fills) == pytest.approx(expected, rel=Decimal("1e-4"))


def test_an_exit_reduces_and_never_turns_the_position(desk: Desk) -> None:
    desk.place(desk.specs(notional="1000"))
    [exit_spec] = desk.specs(side=OrderSide.SELL, notional="1500", purpose=OrderPurpose.EXIT)
    [report] = desk.place([exit_spec])
    assert report.filled_size > 0
    assert desk.positions() == {}


def test_a_cancelled_order_is_found_cancelled(desk: Desk) -> None:
    entry, take_profit, stop_loss = desk.protected()
    desk.place([entry, take_profit, stop_loss])
    payload = desk.venue.sign_cancel(
        [take_profit], ACCOUNT, KEY, desk.next_nonce(), now() + timedelta(seconds=15)
    )
    assert desk.venue.send(payload, [], now()) == []
    found = desk.venue.look_up(ACCOUNT, take_profit.client_id)
    assert found is not None
    assert found.state is OrderState.CANCELLED


def test_leverage_is_set_and_setting_it_twice_is_harmless(desk: Desk) -> None:
    for _ in range(2):
        payload = desk.venue.sign_leverage(
            desk.markets["BTC"],
            7,
            ACCOUNT,
            KEY,
            desk.next_nonce(),
            now() + timedelta(seconds=15),
        )
        desk.venue.send(payload, [], now())
    desk.place(desk.specs())
    [position] = desk.venue.account_state(ACCOUNT, now()).positions
    assert position.leverage == 7


def test_leverage_that_the_venue_refuses_is_an_error(desk: Desk) -> None:
    deadline = now() + timedelta(seconds=15)
    payload = desk.venue.sign_leverage(
        desk.markets["BTC"], 500, ACCOUNT, KEY, desk.next_nonce(), deadline
    )
    with pytest.raises(RefusedError, match="nothing was changed"):
        desk.venue.send(payload, [], now())


def test_the_account_shows_equity_and_what_is_free(desk: Desk) -> None:
    before = desk.venue.account_state(ACCOUNT, now())
    assert (before.equity_usd, before.free_margin_usd, before.positions) == (10_000, 10_000, ())
    desk.place(desk.specs(notional="5000"))
    after = desk.venue.account_state(ACCOUNT, now())
    assert after.equity_usd < before.equity_usd
    assert after.free_margin_usd < after.equity_usd


def test_deposits_are_cash_flows_and_not_profit(desk: Desk) -> None:
    [deposit] = desk.venue.cash_flows(ACCOUNT, now() - timedelta(hours=1))
    assert (deposit.kind, deposit.amount_usd) == (CashFlowKind.DEPOSIT, 10_000)


def test_funding_is_a_cash_flow_of_its_token(desk: Desk) -> None:
    desk.place(desk.specs(notional="5000"))
    desk.sim.control("clock", advance_s=2 * 3600)
    flows = desk.venue.cash_flows(ACCOUNT, now() - timedelta(hours=1))
    funding = [flow for flow in flows if flow.kind is CashFlowKind.FUNDING]
    assert {flow.token for flow in funding} == {"BTC"}
    assert len({flow.reference for flow in funding}) == len(funding) == 2


# Refusals and lost answers


def test_sending_the_same_bytes_twice_makes_one_order_and_says_look_it_up(desk: Desk) -> None:
    [spec] = desk.specs()
    payload = desk.sign([spec])
    [first] = desk.venue.send(payload, [spec.client_id], now())
    [second] = desk.venue.send(payload, [spec.client_id], now())
    assert first.state is OrderState.FILLED
    assert (second.state, second.reason) == (OrderState.UNKNOWN, Reason.OUTCOME_UNCLEAR)
    assert desk.positions() == {"BTC": spec.size}


def test_an_order_that_expired_on_the_way_is_definitely_refused(desk: Desk) -> None:
    [spec] = desk.specs()
    [report] = desk.venue.send(desk.sign([spec], seconds=-5), [spec.client_id], now())
    assert report.state is OrderState.REJECTED
    assert desk.venue.look_up(ACCOUNT, spec.client_id) is None


def test_a_burnt_nonce_keeps_an_order_from_ever_landing(desk: Desk) -> None:
    [spec] = desk.specs()
    payload = desk.sign([spec])
    deadline = now() + timedelta(seconds=15)
    desk.venue.send(desk.venue.sign_noop(ACCOUNT, KEY, desk.nonce, deadline), [], now())
    [report] = desk.venue.send(payload, [spec.client_id], now())
    assert report.state is OrderState.UNKNOWN
    assert desk.venue.look_up(ACCOUNT, spec.client_id) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"size": Decimal("0.00005")}, Reason.BELOW_MINIMUM),
        ({"size": Decimal(90)}, Reason.UNFUNDED),
        ({"limit_price": Decimal("100000.5")}, Reason.VENUE_REJECTED),
        ({"limit_price": Decimal(90_000)}, Reason.NOT_FILLED),
    ],
)
def test_the_venues_own_refusals_carry_our_reasons(
    desk: Desk, change: dict[str, Decimal], reason: Reason
) -> None:
    spec = replace(desk.specs()[0], **change)  # type: ignore[arg-type]
    [report] = desk.place([spec])
    assert (report.state, report.reason) == (OrderState.REJECTED, reason)
    assert report.detail
    assert desk.positions() == {}


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("429", RateLimitedError),
        ("5xx", ServerFaultError),
        ("drop_before", TimedOutError),
        ("drop_after", TimedOutError),
        ("malformed", MalformedReplyError),
    ],
)
def test_a_lost_answer_is_never_read_as_a_refusal(
    desk: Desk, kind: str, error: type[Exception]
) -> None:
    [spec] = desk.specs()
    payload = desk.sign([spec])
    desk.sim.fault("hyperliquid.exchange", kind, seconds=1)
    with pytest.raises(error):
        desk.venue.send(payload, [spec.client_id], now())
    landed = desk.venue.look_up(ACCOUNT, spec.client_id)
    assert (landed is not None) == (kind in {"drop_after", "malformed"})
    if landed is None:
        desk.venue.send(payload, [spec.client_id], now())
    assert desk.positions() == {"BTC": spec.size}


def test_a_venue_that_cannot_be_asked_is_never_read_as_flat(desk: Desk) -> None:
    [spec] = desk.specs()
    desk.place([spec])
    for kind, error in (("malformed", MalformedReplyError), ("down", TimedOutError)):
        desk.sim.fault("hyperliquid.info", kind, count=2)
        for ask in (
            lambda: desk.venue.account_state(ACCOUNT, now()),
            lambda: desk.venue.fills(ACCOUNT, now()),
        ):
            desk.sim.http.delete("/control/faults")
            desk.sim.fault("hyperliquid.info", kind, count=2)
            with pytest.raises(error):
                ask()
    desk.sim.http.delete("/control/faults")


def test_a_stopped_venue_is_unreachable_and_nothing_was_sent(desk: Desk) -> None:
    payload = desk.sign(desk.specs())
    desk.sim.kill()
    try:
        with pytest.raises(UnreachableError, match="nothing was sent"):
            desk.venue.send(payload, [], now())
    finally:
        desk.sim.start()


def test_fills_come_through_all_pages_each_once() -> None:
    def fill(tid: int, at: int) -> dict[str, Any]:
        return {
            "coin": "BTC",
            "px": "100",
            "sz": "1",
            "side": "B",
            "closedPnl": "0",
            "oid": 1,
            "tid": tid,
            "fee": "0",
            "time": at,
        }

    pages = [[fill(1, 10), fill(2, 20)], [fill(2, 20), fill(3, 20), fill(4, 30)], [fill(4, 30)]]
    with wire(*pages) as served, client() as http:
        venue = Hyperliquid(http, data_url="", trade_url=served.url, is_mainnet=False)
        found = venue.fills(ACCOUNT, datetime.fromtimestamp(0, UTC))
        starts = [json.loads(body)["startTime"] for body in served.received]
    assert [item.fill_id for item in found] == ["1", "2", "3", "4"]
    assert starts == [0, 20, 30]
