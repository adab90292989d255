"""What every venue adapter promises: one suite, which each venue's test module runs against its simulator.

A module subclasses `Conformance` and gives a ``bench`` fixture. A promise that a venue cannot keep is not skipped here:
it is a reason not to trade there. What venues may do differently, each declares by its bench.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from agentwhere_core.domain.enums import CashFlowKind, OrderPurpose, OrderSide, OrderState
from agentwhere_core.domain.errors import InvariantError, MalformedReplyError, RemoteError
from agentwhere_core.domain.market import Market, Quote
from agentwhere_core.domain.trade import OrderSpec
from tests.venues.bench import DEPOSIT, SLIPPAGE_BPS, WIDE_BPS, Bench, Holding, now


class Conformance:
    """The promises; a subclass gives the ``bench``, and fewer ``triples`` where each costs a request."""

    triples = 10_000

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
        assert entry.filled_size <= specs[0].size
        bench.assert_holds(specs[0])
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
            assert one.size in {None, bench.held()}
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
        spec = bench.entry()
        bench.sign([spec])
        assert bench.look_up(spec) is None

    def test_an_order_whose_answer_is_lost_is_found(self, bench: Bench) -> None:
        spec = bench.entry()
        bench.fault_at_orders("drop_after")
        with pytest.raises(RemoteError):
            bench.send(bench.sign([spec]), [spec])
        [report] = bench.outcome(spec)
        assert report.state is OrderState.FILLED
        bench.assert_holds(spec)

    def test_bytes_that_never_arrived_may_be_sent_again(self, bench: Bench) -> None:
        spec = bench.entry()
        payload = bench.sign([spec])
        bench.fault_at_orders("drop_before")
        with pytest.raises(RemoteError):
            bench.send(payload, [spec])
        assert bench.look_up(spec) is None
        bench.send(payload, [spec])
        [report] = bench.outcome(spec)
        assert report.state is OrderState.FILLED
        assert len(bench.entries_at_venue()) == 1

    @pytest.mark.parametrize("kind", [None, "duplicate", "drop_after", "malformed"])
    def test_the_same_bytes_never_make_two_orders(self, bench: Bench, kind: str | None) -> None:
        spec = bench.entry()
        payload = bench.sign([spec])
        if kind is not None:
            bench.fault_at_orders(kind)
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
        bench.assert_holds(spec)

    def test_bytes_are_refused_after_their_time(self, bench: Bench) -> None:
        spec = bench.entry()
        payload = bench.expired(bench, [spec])
        try:
            [report] = bench.send(payload, [spec])
            assert report.state is OrderState.REJECTED
        except RemoteError:
            # Where a refusal could be mistaken, the venue proves instead that the bytes can never act.
            assert bench.venue.is_void(bench.account, payload)
        assert bench.look_up(spec) is None
        assert bench.held() == 0
        assert bench.entries_at_venue() == []

    def test_bytes_that_may_still_act_are_not_void(self, bench: Bench) -> None:
        payload = bench.sign([bench.entry()])
        assert not bench.venue.is_void(bench.account, payload)

    def test_a_close_reduces_and_never_turns_the_position_round(self, bench: Bench) -> None:
        entry = bench.entry()
        bench.place(entry)
        held = bench.held()
        [report] = bench.place(bench.exit(entry.size * 2))
        assert report.filled_size == held
        assert bench.held() == 0
        assert bench.filled_by_another(bench.exit(entry.size)) == 0
        assert bench.held() == 0

    def test_a_close_of_a_part_leaves_the_rest(self, bench: Bench) -> None:
        bench.place(bench.entry())
        held = bench.held()
        part = bench.rounded(held * Decimal("0.4"))
        [report] = bench.place(bench.exit(part))
        assert report.filled_size == pytest.approx(part, rel=Decimal("0.001"))
        assert bench.held() == held - report.filled_size

    def test_resting_orders_are_cancelled_by_client_id(self, bench: Bench) -> None:
        specs = bench.protected()
        bench.place(*specs)
        bench.cancel(*specs[1:])
        reports = bench.outcome(*specs[1:])
        assert [report.state for report in reports] == [OrderState.CANCELLED] * 2
        bench.assert_holds(specs[0])

    @pytest.mark.parametrize("factor", ["0.94", "1.06"])
    def test_one_protective_order_closes_and_the_other_goes(
        self, bench: Bench, factor: str
    ) -> None:
        specs = bench.protected()
        bench.place(*specs)
        bench.move_price(Decimal(factor))
        take_profit, stop = bench.outcome(*specs[1:])
        assert bench.held() == 0
        fired, gone = (stop, take_profit) if factor < "1" else (take_profit, stop)
        assert (fired.state, gone.state) == (OrderState.FILLED, OrderState.CANCELLED)
        assert fired.filled_size == specs[0].size
        assert fired.average_price is not None

    def test_fills_positions_and_reports_agree(self, bench: Bench) -> None:
        begun = now() - timedelta(minutes=1)
        bench.set_leverage(10)
        entry = bench.entry(notional="20000")
        [opened] = bench.place(entry)
        held = bench.held()
        [closed] = bench.place(bench.exit(held))
        fills = bench.venue.fills(bench.account, begun)
        assert len({fill.fill_id for fill in fills}) == len(fills)
        assert [fill.at for fill in fills] == sorted(fill.at for fill in fills)
        for report in (opened, closed):
            own = bench.fills_of(report, begun)
            # A report never says more than the order was for; fills say all of it.
            assert sum(fill.size for fill in own) == held >= report.filled_size
            value = sum(fill.size * fill.price for fill in own)
            assert report.average_price == pytest.approx(value / held, rel=Decimal("1e-6"))
            assert {fill.venue_order_id for fill in own} == {report.venue_order_id}
        assert opened.filled_size == min(held, entry.size)
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

    def test_what_holding_costs_and_deposits_are_cash_flows(self, bench: Bench) -> None:
        bench.move_price(Decimal(1))
        bench.place(bench.entry())
        bench.sim.control("clock", advance_s=3 * 3600)
        bench.place(bench.exit(bench.held()))
        since = now() - timedelta(hours=1)
        flows = bench.venue.cash_flows(bench.account, since)
        kinds = [flow.kind for flow in flows]
        assert kinds.count(CashFlowKind.FUNDING) == (3 if bench.holding is Holding.HOURLY else 1)
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
        for _ in range(self.triples):
            specs = self._random_orders(bench, dice, dice.choice(markets))
            if not specs:
                continue
            taken += 1
            why = bench.refusal(specs)
            assert why is None, f"{why}: {specs}"
        assert taken > self.triples // 2

    @pytest.mark.parametrize(
        "ask",
        [
            lambda bench, _: bench.venue.list_markets(now()),
            lambda bench, _: bench.quote(),
            lambda bench, _: bench.venue.account_state(bench.account, now()),
            lambda bench, spec: bench.look_up(spec),
            lambda bench, _: bench.venue.fills(bench.account, now()),
            lambda bench, _: bench.venue.cash_flows(bench.account, now()),
        ],
        ids=["list_markets", "quotes", "account_state", "look_up", "fills", "cash_flows"],
    )
    def test_a_reply_outside_the_protocol_is_an_error_and_never_nothing(
        self, bench: Bench, ask: Callable[[Bench, OrderSpec], Any]
    ) -> None:
        spec = bench.entry()
        bench.sign([spec])
        bench.spoil_reads()
        with pytest.raises(MalformedReplyError):
            ask(bench, spec)

    @staticmethod
    def _random_orders(bench: Bench, dice: random.Random, market: Market) -> list[OrderSpec]:
        """An entry, with protection or without, at a random price and size; none where the adapter declines."""
        price = (market.price or Decimal(1)) * Decimal(str(dice.uniform(0.2, 5)))
        spread = 1 + Decimal(str(dice.uniform(0, 0.01)))
        quote = Quote(bench.venue.venue, market.token, price / spread, price, price * spread, now())
        side = dice.choice(list(OrderSide))
        notional = Decimal(str(10 ** dice.uniform(0, 6)))
        slippage = Decimal(str(dice.uniform(0, 500)))
        try:
            size, limit = bench.venue.entry(market, side, notional, quote, slippage)
            if size == 0:
                return []
            entry = bench.spec(market, OrderPurpose.ENTRY, side, size, limit)
            if dice.random() < 0.5:
                return [entry]
            purpose = dice.choice([OrderPurpose.TAKE_PROFIT, OrderPurpose.STOP_LOSS])
            is_above = (side is OrderSide.BUY) == (purpose is OrderPurpose.TAKE_PROFIT)
            away = Decimal(str(dice.uniform(0.07, 0.2)))
            trigger = bench.venue.round_price(market, price * (1 + (away if is_above else -away)))
            closing = OrderSide.SELL if side is OrderSide.BUY else OrderSide.BUY
            limit = bench.venue.limit_price(market, closing, trigger, WIDE_BPS)
        except InvariantError:
            return []
        return [entry, bench.spec(market, purpose, closing, size, limit, trigger)]
