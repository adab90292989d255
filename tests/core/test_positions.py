"""Positions folded from fills: averages, partial closes, flips, and the conservation of cash."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, localcontext
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.domain.enums import OrderSide, Side, Venue
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.trade import Fill
from agentwhere_core.execution.positions import PositionState, episodes, fold, mark

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
EXACT = Context(prec=80)
TOLERANCE = Decimal("1e-15")
D = Decimal

sizes = st.decimals("0.001", "500", places=3)
prices = st.decimals("0.01", "120000", places=2)
fees = st.decimals("-0.5", "5", places=4)
trades = st.lists(
    st.tuples(st.sampled_from(OrderSide), sizes, prices, fees), min_size=1, max_size=25
)
Number = str | int | Decimal
Trade = tuple[OrderSide, Decimal, Decimal, Decimal]


def fill(number: int, side: OrderSide, size: Number, price: Number, fee: Number = 0) -> Fill:
    return Fill(
        venue=Venue.HYPERLIQUID,
        account_id=UUID(int=1),
        fill_id=f"{number:04d}",
        venue_order_id="1",
        client_id=None,
        token="BTC",
        market_name="BTC",
        side=side,
        size=D(size),
        price=D(price),
        fee_usd=D(fee),
        closed_pnl_usd=D(0),
        at=START + timedelta(seconds=number),
        is_liquidation=False,
        raw={},
    )


def as_fills(made: list[Trade]) -> list[Fill]:
    return [fill(number, *trade) for number, trade in enumerate(made)]


BUY, SELL = OrderSide.BUY, OrderSide.SELL


def test_no_fills_are_no_position() -> None:
    assert fold([]) == PositionState()
    assert episodes([]) == ()
    assert mark(PositionState(), D(100)) == 0


def test_additions_average_the_entry_price() -> None:
    state = fold([fill(1, BUY, 1, 100), fill(2, BUY, 3, 120)])
    assert (state.side, state.size, state.entry_price) == (Side.LONG, D(4), D(115))
    assert (state.opened_at, state.closed_at) == (START + timedelta(seconds=1), None)
    assert mark(state, D(125)) == 40


def test_a_partial_close_realizes_its_share_and_keeps_the_entry_price() -> None:
    state = fold([fill(1, SELL, 4, 100, "0.4"), fill(2, BUY, 1, 90, "0.09")])
    assert (state.side, state.size, state.entry_price) == (Side.SHORT, D(3), D(100))
    assert (state.realized_pnl_usd, state.fees_usd) == (D(10), D("0.49"))
    assert (state.peak_size, state.exit_price, state.closed_at) == (D(4), D(90), None)
    assert mark(state, D(95)) == 15


def test_a_closed_position_knows_both_averages() -> None:
    state = fold([fill(1, BUY, 2, 100), fill(2, SELL, 1, 110), fill(3, SELL, 1, 120)])
    assert state.is_flat
    assert (state.side, state.peak_size) == (Side.LONG, D(2))
    assert (state.entry_price, state.exit_price, state.realized_pnl_usd) == (D(100), D(115), D(30))
    assert state.closed_at == START + timedelta(seconds=3)
    assert mark(state, D(1)) == 0


def test_a_flip_closes_one_position_and_opens_the_other() -> None:
    made = [fill(1, BUY, 1, 100, "0.1"), fill(2, SELL, 3, 110, "0.3")]
    state = fold(made)
    assert (state.side, state.size, state.entry_price) == (Side.SHORT, D(2), D(110))
    assert (state.realized_pnl_usd, state.fees_usd) == (D(10), D("0.4"))
    closed, opened = episodes(made)
    assert (closed.state.side, closed.state.size, closed.state.realized_pnl_usd) == (
        Side.LONG,
        D(0),
        D(10),
    )
    assert [part.size for part in closed.fills] == [1, 1]
    assert closed.state.fees_usd == D("0.2")
    assert (opened.state.side, opened.state.size, opened.state.entry_price) == (
        Side.SHORT,
        D(2),
        D(110),
    )
    assert (opened.state.fees_usd, opened.state.realized_pnl_usd) == (D("0.2"), D(0))
    assert opened.fills[0].fill_id == made[1].fill_id


def test_the_venues_closed_pnl_stays_with_the_closing_share_of_a_flip() -> None:
    flip = replace(fill(2, SELL, 3, 110), closed_pnl_usd=D(10), is_liquidation=True)
    closed, opened = episodes([fill(1, BUY, 1, 100), flip])
    assert [part.closed_pnl_usd for part in (*closed.fills, *opened.fills)] == [0, 10, 0]
    assert closed.state.is_liquidated
    assert not opened.state.is_liquidated


def test_a_liquidation_is_remembered() -> None:
    forced = replace(fill(2, SELL, 1, 80), is_liquidation=True)
    assert fold([fill(1, BUY, 1, 100), forced]).is_liquidated
    assert not fold([fill(1, BUY, 1, 100), forced, fill(3, BUY, 1, 90)]).is_liquidated


def test_a_fill_that_arrives_twice_counts_once() -> None:
    made = [fill(1, BUY, 1, 100, 1), fill(2, BUY, 1, 110, 1)]
    assert fold(made + made) == fold(made)


@pytest.mark.parametrize(
    "stranger",
    [
        replace(fill(2, BUY, 1, 100), market_name="ETH"),
        replace(fill(2, BUY, 1, 100), account_id=UUID(int=2)),
        replace(fill(2, BUY, 1, 100), venue=Venue.LIGHTER),
        fill(1, BUY, 2, 100),
        fill(2, BUY, 0, 100),
        fill(2, BUY, 1, 0),
    ],
    ids=["market", "account", "venue", "same id, other content", "no size", "no price"],
)
def test_fills_that_contradict_each_other_are_refused(stranger: Fill) -> None:
    with pytest.raises(InvariantError):
        fold([fill(1, BUY, 1, 100), stranger])


@given(trades, prices)
def test_cash_is_conserved(made: list[Trade], price: Decimal) -> None:
    state = fold(as_fills(made))
    with localcontext(EXACT):
        cash = sum((s * p if side is SELL else -s * p) - fee for side, s, p, fee in made)
        inventory = sum((s if side is BUY else -s) for side, s, _, _ in made)
        assert state.size * (state.side.sign if state.side else 0) == inventory
        result = state.realized_pnl_usd + mark(state, price) - state.fees_usd
        assert abs(result - (cash + inventory * price)) < TOLERANCE


@given(
    st.sampled_from(Side),
    *(st.decimals("1e-12", "1e12", places=12) for _ in range(3)),
)
def test_a_mark_is_exact_to_the_last_place_that_is_kept(
    side: Side, entry: Decimal, price: Decimal, size: Decimal
) -> None:
    marked = mark(PositionState(side=side, size=size, entry_price=entry), price)
    with localcontext(EXACT):
        exact = (price - entry) * size * side.sign
        assert marked == exact.quantize(D("1e-18"))


@given(trades, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(made: list[Trade], shuffler: Random) -> None:
    fills = as_fills(made)
    shuffled = fills.copy()
    shuffler.shuffle(shuffled)
    assert fold(shuffled) == fold(fills)
    assert episodes(shuffled) == episodes(fills)


@given(trades)
def test_fills_of_the_same_moment_are_taken_by_their_id(made: list[Trade]) -> None:
    at_once = [replace(item, at=START) for item in as_fills(made)]
    assert fold(reversed(at_once)) == fold(at_once)


@given(trades, st.sampled_from([2, 4, 5, 16]))
def test_slicing_fills_changes_nothing(made: list[Trade], parts: int) -> None:
    whole = as_fills(made)
    with localcontext(EXACT):
        sliced = [
            replace(
                item,
                fill_id=f"{item.fill_id}.{number}",
                size=item.size / parts,
                fee_usd=item.fee_usd / parts,
            )
            for item in whole
            for number in range(parts)
        ]
    one, many = fold(whole), fold(sliced)
    assert (one.side, one.size, one.opened_at, one.closed_at) == (
        many.side,
        many.size,
        many.opened_at,
        many.closed_at,
    )
    assert (one.fees_usd, one.peak_size) == (many.fees_usd, many.peak_size)
    assert abs(one.entry_price - many.entry_price) < TOLERANCE
    assert abs(one.realized_pnl_usd - many.realized_pnl_usd) < TOLERANCE


@given(trades)
def test_episodes_add_up_to_the_whole(made: list[Trade]) -> None:
    fills = as_fills(made)
    whole, parts = fold(fills), episodes(fills)
    assert all(part.state.is_flat for part in parts[:-1])
    assert all(part.state == fold(part.fills) for part in parts)
    assert sum(part.state.fees_usd for part in parts) == whole.fees_usd
    assert sum(f.size for part in parts for f in part.fills) == sum(f.size for f in fills)
    realized = sum(part.state.realized_pnl_usd for part in parts)
    assert abs(realized - whole.realized_pnl_usd) < TOLERANCE
    last = parts[-1].state
    assert (last.side, last.size, last.opened_at) == (whole.side, whole.size, whole.opened_at)
    assert abs(last.entry_price - whole.entry_price) < TOLERANCE
