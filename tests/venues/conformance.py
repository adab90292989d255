"""What every venue adapter promises: one suite, which each venue's test module runs against its simulator.

A module subclasses `Conformance` and gives a ``bench`` fixture. A promise that a venue cannot keep is not skipped here:
it is a reason not to trade there.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from agentwhere_core.domain.enums import (
    CashFlowKind,
    OrderPurpose,
    OrderSide,
    OrderState,
)
from agentwhere_core.domain.errors import InvariantError, MalformedReplyError, RemoteError
from agentwhere_core.domain.market import Market, Quote
from agentwhere_core.domain.trade import OrderReport, OrderSpec, VenueAccount
from agentwhere_core.execution.client_ids import client_id
from agentwhere_core.venues.protocol import Execution
from agentwhere_sim.testing import Simulator

DEPOSIT = Decimal(10_000)
SLIPPAGE_BPS = Decimal(50)
WIDE_BPS = Decimal(1000)
USUAL = timedelta(seconds=15)
PATIENCE_S = 10.0
TRIPLES = 10_000

numbers = count(1)


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass
class Bench:
    """An account with 10,000 USDC at a simulated venue, and the adapter that trades it.

    ``writes`` and ``reads`` are the simulated services, ``order`` occurs in requests that place orders and in no other;
    ``expired`` makes bytes whose time is over; ``refusal`` says why the simulated venue would not take an order.
    """

    sim: Simulator
    venue: Execution
    account: VenueAccount
    key: str
    writes: str
    reads: str
    order: str
    token: str
    expired: Callable[[Bench, Sequence[OrderSpec]], bytes]
    refusal: Callable[[OrderSpec], str | None]
    markets: dict[str, Market] = field(default_factory=dict)
    nonce: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def __post_init__(self) -> None:
        self.markets = {market.token: market for market in self.venue.list_markets(now())}

    @property
    def market(self) -> Market:
        return self.markets[self.token]

    def quote(self) -> Quote:
        return self.venue.quotes([self.market], now())[self.token]

    def id(self) -> str:
        return client_id(self.venue.venue, f"conformance:{next(numbers)}:{time.time_ns()}", 1)

    def next_nonce(self) -> int:
        counted = self.venue.next_nonce(self.account)
        self.nonce += 1
        return self.nonce if counted is None else counted

    def deadline(self) -> datetime:
        return self.venue.deadline(now(), USUAL)

    def entry(self, side: OrderSide = OrderSide.BUY, notional: str = "1000") -> OrderSpec:
        size, limit = self.venue.entry(
            self.market, side, Decimal(notional), self.quote(), SLIPPAGE_BPS
        )
        return self.spec(self.market, OrderPurpose.ENTRY, side, size, limit)

    def spec(  # noqa: PLR0917 - an order has that many parts
        self,
        market: Market,
        purpose: OrderPurpose,
        side: OrderSide,
        size: Decimal,
        limit: Decimal,
        trigger: Decimal | None = None,
    ) -> OrderSpec:
        return OrderSpec(
            client_id=self.id(),
            purpose=purpose,
            market_name=market.market_name,
            market_index=market.market_index,
            side=side,
            size=size,
            limit_price=limit,
            trigger_price=trigger,
            reduce_only=purpose is not OrderPurpose.ENTRY,
            size_decimals=market.size_decimals,
            price_decimals=market.price_decimals,
        )

    def protected(self) -> list[OrderSpec]:
        """An entry with a take profit 5 % above and a stop loss 5 % below."""
        entry, mid = self.entry(), self.quote().mid
        specs = [entry]
        for purpose, factor in (
            (OrderPurpose.TAKE_PROFIT, Decimal("1.05")),
            (OrderPurpose.STOP_LOSS, Decimal("0.95")),
        ):
            trigger = self.venue.round_price(self.market, mid * factor)
            limit = self.venue.limit_price(self.market, OrderSide.SELL, trigger, WIDE_BPS)
            specs.append(
                self.spec(self.market, purpose, OrderSide.SELL, entry.size, limit, trigger)
            )
        return specs

    def exit(self, size: Decimal) -> OrderSpec:
        limit = self.venue.limit_price(self.market, OrderSide.SELL, self.quote().bid, SLIPPAGE_BPS)
        return self.spec(self.market, OrderPurpose.EXIT, OrderSide.SELL, size, limit)

    def sign(self, specs: Sequence[OrderSpec]) -> bytes:
        return self.venue.sign_orders(
            specs, self.account, self.key, self.next_nonce(), self.deadline()
        )

    def send(self, payload: bytes, specs: Sequence[OrderSpec]) -> list[OrderReport]:
        return self.venue.send(payload, [spec.client_id for spec in specs], now())

    def place(self, *specs: OrderSpec) -> list[OrderReport]:
        """Send orders, and return what became of them once the venue knows."""
        self.send(self.sign(specs), specs)
        return self.outcome(*specs)

    def place_or_refuse(self, *specs: OrderSpec) -> list[OrderReport]:
        """Send orders that the venue may refuse at once; return the refusal, or what became of them."""
        reports = self.send(self.sign(specs), specs)
        if all(report.state is OrderState.REJECTED for report in reports):
            return reports
        return self.outcome(*specs)

    def cancel(self, *specs: OrderSpec) -> None:
        payload = self.venue.sign_cancel(
            specs, self.account, self.key, self.next_nonce(), self.deadline()
        )
        assert self.venue.send(payload, [], now()) == []

    def set_leverage(self, leverage: int) -> None:
        payload = self.venue.sign_leverage(
            self.market, leverage, self.account, self.key, self.next_nonce(), self.deadline()
        )
        assert self.venue.send(payload, [], now()) == []

    def outcome(self, *specs: OrderSpec) -> list[OrderReport]:
        """Look orders up until all are known, and those that must execute have ended."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            reports = [self.venue.look_up(self.account, spec.client_id) for spec in specs]
            known = [report for report in reports if report is not None]
            settled = len(known) == len(specs) and all(
                spec.trigger_price is not None or report.state is not OrderState.ACKED
                for spec, report in zip(specs, known, strict=True)
            )
            if settled:
                return known
            if time.monotonic() > deadline:
                raise AssertionError(f"the venue never settled {reports}")
            time.sleep(0.1)

    def held(self) -> Decimal:
        state = self.venue.account_state(self.account, now())
        sizes = {one.token: one.size * one.side.sign for one in state.positions}
        return sizes.get(self.token, Decimal(0))

    def entries_at_venue(self) -> list[dict[str, Any]]:
        """Orders that open, as the venue itself remembers them."""
        query = {"venue": self.venue.venue.value, "address": self.account.address}
        accepted = self.sim.http.get("/control/orders", params=query).json()["orders"]
        return [order for order in accepted if not order["reduce_only"]]


class Conformance:
    """The promises; a subclass gives the ``bench``."""

    def test_markets_are_listed_once_each(self, bench: Bench) -> None:
        listed = bench.venue.list_markets(now())
        assert len({market.token for market in listed}) == len(listed) > 10
        assert bench.market.is_active
        assert bench.market.price is not None
        assert bench.market.max_leverage >= 1

    def test_quotes_are_ordered_and_about_what_was_asked(self, bench: Bench) -> None:
        quote = bench.quote()
        assert 0 < quote.bid <= quote.mid <= quote.ask
        assert bench.venue.quotes([], now()) == {}

    @pytest.mark.parametrize("side", list(OrderSide))
    def test_an_entry_is_never_larger_nor_worse_than_asked(
        self, bench: Bench, side: OrderSide
    ) -> None:
        quote = bench.quote()
        size, limit = bench.venue.entry(bench.market, side, Decimal(500), quote, SLIPPAGE_BPS)
        price = quote.ask if side is OrderSide.BUY else quote.bid
        assert 0 < size * price <= 500
        assert abs(limit - price) <= price * SLIPPAGE_BPS / 10_000
        assert (limit >= price) == (side is OrderSide.BUY)

    def test_an_entry_below_the_minimum_has_no_size(self, bench: Bench) -> None:
        size, _ = bench.venue.entry(
            bench.market, OrderSide.BUY, Decimal(1), bench.quote(), SLIPPAGE_BPS
        )
        assert size == 0

    def test_an_entry_fills_and_its_protection_rests(self, bench: Bench) -> None:
        specs = bench.protected()
        entry, *protection = bench.place(*specs)
        assert entry.state is OrderState.FILLED
        assert entry.filled_size == specs[0].size == bench.held()
        assert entry.average_price is not None
        assert entry.average_price <= specs[0].limit_price
        assert [report.state for report in protection] == [OrderState.ACKED] * 2

    def test_what_rests_is_listed_until_it_is_cancelled(self, bench: Bench) -> None:
        entry, *protection = bench.protected()
        assert bench.venue.resting_orders(bench.account) == []
        bench.place(entry, *protection)

        resting = {one.purpose: one for one in bench.venue.resting_orders(bench.account)}

        assert resting.keys() == {spec.purpose for spec in protection}
        for spec in protection:
            one = resting[spec.purpose]
            assert (one.token, one.side) == (bench.token, spec.side)
            assert one.trigger_price == spec.trigger_price
            assert one.size in {None, entry.size}
            assert one.client_id in {None, spec.client_id}
            assert one.reduce_only
        bench.cancel(protection[1])
        bench.outcome(protection[1])
        assert [one.purpose for one in bench.venue.resting_orders(bench.account)] == [
            protection[0].purpose
        ]

    def test_an_entry_with_one_protective_order_is_placed_too(self, bench: Bench) -> None:
        entry, _, stop = bench.protected()
        reports = bench.place(entry, stop)
        assert [one.state for one in reports] == [OrderState.FILLED, OrderState.ACKED]

    def test_protection_can_be_placed_later(self, bench: Bench) -> None:
        entry, take_profit, stop = bench.protected()
        bench.place(entry)
        assert [one.state for one in bench.place(take_profit, stop)] == [OrderState.ACKED] * 2

    def test_an_order_that_was_never_sent_is_unknown(self, bench: Bench) -> None:
        assert bench.venue.look_up(bench.account, bench.id()) is None

    def test_an_order_whose_answer_is_lost_is_found(self, bench: Bench) -> None:
        spec = bench.entry()
        bench.sim.fault(bench.writes, "drop_after", match=bench.order)
        with pytest.raises(RemoteError):
            bench.send(bench.sign([spec]), [spec])
        [report] = bench.outcome(spec)
        assert report.state is OrderState.FILLED
        assert bench.held() == spec.size

    def test_bytes_that_never_arrived_may_be_sent_again(self, bench: Bench) -> None:
        spec = bench.entry()
        payload = bench.sign([spec])
        bench.sim.fault(bench.writes, "drop_before", match=bench.order)
        with pytest.raises(RemoteError):
            bench.send(payload, [spec])
        assert bench.venue.look_up(bench.account, spec.client_id) is None
        bench.send(payload, [spec])
        [report] = bench.outcome(spec)
        assert report.state is OrderState.FILLED
        assert len(bench.entries_at_venue()) == 1

    @pytest.mark.parametrize("kind", [None, "duplicate", "drop_after", "malformed"])
    def test_the_same_bytes_never_make_two_orders(self, bench: Bench, kind: str | None) -> None:
        spec = bench.entry()
        payload = bench.sign([spec])
        if kind is not None:
            bench.sim.fault(bench.writes, kind, match=bench.order)
        for _ in range(3):
            try:
                reports = bench.send(payload, [spec])
            except RemoteError:
                continue
            # A refusal of the repetition must not be mistaken for one of the order.
            assert reports[0].state is not OrderState.REJECTED
        [report] = bench.outcome(spec)
        assert report.state is OrderState.FILLED
        assert len(bench.entries_at_venue()) == 1
        assert bench.held() == spec.size

    def test_bytes_are_refused_after_their_time(self, bench: Bench) -> None:
        spec = bench.entry()
        [report] = bench.send(bench.expired(bench, [spec]), [spec])
        assert report.state is OrderState.REJECTED
        assert bench.venue.look_up(bench.account, spec.client_id) is None
        assert bench.held() == 0

    def test_bytes_that_may_still_act_are_not_void(self, bench: Bench) -> None:
        payload = bench.sign([bench.entry()])
        assert not bench.venue.is_void(bench.account, payload)

    def test_a_close_reduces_and_never_turns_the_position_round(self, bench: Bench) -> None:
        entry = bench.entry()
        bench.place(entry)
        [report] = bench.place(bench.exit(entry.size * 2))
        assert report.filled_size == entry.size
        assert bench.held() == 0
        [again] = bench.place_or_refuse(bench.exit(entry.size))
        assert again.filled_size == 0
        assert bench.held() == 0

    def test_resting_orders_are_cancelled_by_client_id(self, bench: Bench) -> None:
        specs = bench.protected()
        bench.place(*specs)
        bench.cancel(*specs[1:])
        reports = bench.outcome(*specs[1:])
        assert [report.state for report in reports] == [OrderState.CANCELLED] * 2
        assert bench.held() == specs[0].size

    @pytest.mark.parametrize("factor", ["0.94", "1.06"])
    def test_one_protective_order_closes_and_the_other_goes(
        self, bench: Bench, factor: str
    ) -> None:
        specs = bench.protected()
        bench.place(*specs)
        price = bench.quote().mid / bench.market.size_multiplier * Decimal(factor)
        bench.sim.control("prices", **{bench.token: f"{price:.8f}"})
        take_profit, stop = bench.outcome(*specs[1:])
        assert bench.held() == 0
        fired, gone = (stop, take_profit) if factor < "1" else (take_profit, stop)
        assert (fired.state, gone.state) == (OrderState.FILLED, OrderState.CANCELLED)
        assert fired.filled_size == specs[0].size

    def test_fills_positions_and_reports_agree(self, bench: Bench) -> None:
        begun = now() - timedelta(minutes=1)
        entry = bench.entry(notional="20000")
        bench.set_leverage(10)
        [opened] = bench.place(entry)
        [closed] = bench.place(bench.exit(entry.size))
        fills = bench.venue.fills(bench.account, begun)
        assert len({fill.fill_id for fill in fills}) == len(fills)
        assert [fill.at for fill in fills] == sorted(fill.at for fill in fills)
        for report in (opened, closed):
            own = [fill for fill in fills if fill.client_id == report.client_id]
            assert sum(fill.size for fill in own) == report.filled_size
            value = sum(fill.size * fill.price for fill in own)
            assert report.average_price == pytest.approx(
                value / report.filled_size, rel=Decimal("1e-6")
            )
            assert {fill.venue_order_id for fill in own} == {report.venue_order_id}
        assert bench.held() == 0
        assert bench.venue.fills(bench.account, now() + timedelta(hours=1)) == []

    def test_an_account_is_worth_its_deposit_and_its_results(self, bench: Bench) -> None:
        before = bench.venue.account_state(bench.account, now())
        assert before.equity_usd == before.free_margin_usd == DEPOSIT
        bench.place(bench.entry())
        begun = now() - timedelta(minutes=1)
        during = bench.venue.account_state(bench.account, now())
        assert during.free_margin_usd < during.equity_usd
        bench.place(bench.exit(bench.held()))
        after = bench.venue.account_state(bench.account, now())
        results = [
            fill.closed_pnl_usd - fill.fee_usd for fill in bench.venue.fills(bench.account, begun)
        ]
        assert after.equity_usd - DEPOSIT == pytest.approx(sum(results), abs=Decimal("0.01"))

    def test_leverage_is_what_was_set(self, bench: Bench) -> None:
        for leverage in (7, 3, 3):
            bench.set_leverage(leverage)
        bench.place(bench.entry())
        [position] = bench.venue.account_state(bench.account, now()).positions
        assert position.leverage == pytest.approx(Decimal(3), rel=Decimal("0.001"))
        assert position.leverage <= 3

    def test_funding_and_deposits_are_cash_flows(self, bench: Bench) -> None:
        bench.place(bench.entry())
        bench.sim.control("clock", advance_s=3 * 3600)
        since = now() - timedelta(hours=1)
        flows = bench.venue.cash_flows(bench.account, since)
        kinds = [flow.kind for flow in flows]
        assert kinds.count(CashFlowKind.FUNDING) == 3
        assert kinds.count(CashFlowKind.DEPOSIT) == 1
        assert len({flow.reference for flow in flows}) == len(flows)
        assert [flow.at for flow in flows] == sorted(flow.at for flow in flows)
        assert {flow.token for flow in flows if flow.kind is CashFlowKind.FUNDING} == {bench.token}
        assert bench.venue.cash_flows(bench.account, since) == flows

    def test_random_trades_are_taken_or_refused_before_sending(self, bench: Bench) -> None:
        """Ten thousand (market, price, size) triples: no order that the venue would not take."""
        dice = random.Random(bench.venue.venue.value)
        markets = list(bench.markets.values())
        taken = 0
        for _ in range(TRIPLES):
            spec = self._random_order(bench, dice, dice.choice(markets))
            if spec is None:
                continue
            taken += 1
            why = bench.refusal(spec)
            assert why is None, f"{why}: {spec}"
        assert taken > TRIPLES // 2

    @pytest.mark.parametrize(
        "ask",
        [
            lambda bench: bench.venue.list_markets(now()),
            lambda bench: bench.quote(),
            lambda bench: bench.venue.account_state(bench.account, now()),
            lambda bench: bench.venue.look_up(bench.account, bench.id()),
            lambda bench: bench.venue.fills(bench.account, now()),
            lambda bench: bench.venue.cash_flows(bench.account, now()),
        ],
        ids=["list_markets", "quotes", "account_state", "look_up", "fills", "cash_flows"],
    )
    def test_a_reply_outside_the_protocol_is_an_error_and_never_nothing(
        self, bench: Bench, ask: Callable[[Bench], Any]
    ) -> None:
        bench.sim.fault(bench.reads, "malformed", count=None)
        with pytest.raises(MalformedReplyError):
            ask(bench)

    @staticmethod
    def _random_order(bench: Bench, dice: random.Random, market: Market) -> OrderSpec | None:
        """An entry or a protective order at a random price and size; None where the adapter declines."""
        price = (market.price or Decimal(1)) * Decimal(str(dice.uniform(0.2, 5)))
        spread = 1 + Decimal(str(dice.uniform(0, 0.01)))
        quote = Quote(bench.venue.venue, market.token, price / spread, price, price * spread, now())
        side = dice.choice(list(OrderSide))
        notional = Decimal(str(10 ** dice.uniform(0, 6)))
        slippage = Decimal(str(dice.uniform(0, 500)))
        try:
            size, limit = bench.venue.entry(market, side, notional, quote, slippage)
            if size == 0:
                return None
            spec = bench.spec(market, OrderPurpose.ENTRY, side, size, limit)
            if dice.random() < 0.5:
                return spec
            trigger = bench.venue.round_price(market, price * Decimal(str(dice.uniform(0.8, 1.2))))
            limit = bench.venue.limit_price(market, side, trigger, WIDE_BPS)
        except InvariantError:
            return None
        purpose = dice.choice([OrderPurpose.TAKE_PROFIT, OrderPurpose.STOP_LOSS])
        return replace(
            spec, purpose=purpose, limit_price=limit, trigger_price=trigger, reduce_only=True
        )
