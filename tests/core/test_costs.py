"""Expected costs have the right terms, signs and order of magnitude."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.domain.enums import Side, Venue
from agentwhere_core.domain.market import Book, OracleImpact
from agentwhere_core.where.costs import expected_cost
from agentwhere_core.where.slippage import Slippage, slippage_of
from tests.core.examples import NOW, book, market

DAY = Decimal(24)
TEN_THOUSAND = Decimal(10_000)


def test_each_term_is_computed_as_documented() -> None:
    cost = expected_cost(market(), TEN_THOUSAND, Side.LONG, DAY)
    assert (cost.taker_fee_bps, cost.close_fee_bps) == (Decimal("4.5"), Decimal("4.5"))
    assert cost.spread_bps == 1
    assert cost.funding_bps == 3  # 0.0000125 an hour
    assert (cost.rollover_bps, cost.oracle_bps, cost.gas_bps) == (0, 0, 0)
    # 3 % a day × √(10,000 ÷ 3,000,000,000), twice
    assert cost.impact_bps == Decimal("1.0954")
    assert cost.total_bps == Decimal("14.0954")


def test_a_short_receives_what_a_long_pays() -> None:
    long = expected_cost(market(), TEN_THOUSAND, Side.LONG, DAY)
    short = expected_cost(market(), TEN_THOUSAND, Side.SHORT, DAY)
    assert long.funding_bps == -short.funding_bps > 0


def test_a_fixed_fee_weighs_on_small_trades() -> None:
    with_fee = replace(market(), oracle_fee_usd=Decimal("0.10"))
    small = expected_cost(with_fee, Decimal(100), Side.LONG, DAY)
    large = expected_cost(with_fee, TEN_THOUSAND, Side.LONG, DAY)
    assert small.oracle_bps == 10
    assert large.oracle_bps == Decimal("0.1")


def test_gas_is_paid_twice_and_a_free_exit_is_free() -> None:
    onchain = replace(market(), gas_fee_usd=Decimal("0.05"), close_fee_bps=Decimal(0))
    cost = expected_cost(onchain, Decimal(1000), Side.LONG, DAY)
    assert (cost.gas_bps, cost.close_fee_bps, cost.taker_fee_bps) == (1, 0, Decimal("4.5"))


@pytest.mark.parametrize("side", list(Side))
def test_rollover_is_paid_by_both_sides(side: Side) -> None:
    rolled = replace(market(), rollover_hourly=Decimal("0.00001"))
    assert expected_cost(rolled, TEN_THOUSAND, side, DAY).rollover_bps == Decimal("2.4")


def test_what_is_unknown_is_never_free() -> None:
    unknown = replace(market(), spread_bps=None, volume_24h_usd=None, funding_hourly=None)
    cost = expected_cost(unknown, TEN_THOUSAND, Side.LONG, DAY)
    assert cost.spread_bps == 10
    assert cost.impact_bps == 60
    assert cost.funding_bps == 0


def test_a_market_without_volume_counts_as_unknown() -> None:
    dead = replace(market(), volume_24h_usd=Decimal(0))
    assert expected_cost(dead, TEN_THOUSAND, Side.LONG, DAY).impact_bps == 60


def test_an_oracle_priced_venue_has_no_impact() -> None:
    assert expected_cost(market(Venue.OSTIUM), TEN_THOUSAND, Side.LONG, DAY).impact_bps == 0


@pytest.mark.parametrize("notional", [0, -1])
def test_a_cost_needs_a_size(notional: int) -> None:
    with pytest.raises(ValueError, match="notional"):
        expected_cost(market(), Decimal(notional), Side.LONG, DAY)


amounts = st.decimals("0.01", 10**9, places=2)


@given(amounts, amounts, st.sampled_from(list(Side)), st.decimals(0, 1000, places=1))
def test_only_funding_may_be_a_receipt_and_size_never_gets_cheaper(
    one: Decimal, other: Decimal, side: Side, hours: Decimal
) -> None:
    small, large = (expected_cost(market(), size, side, hours) for size in sorted((one, other)))
    for cost in (small, large):
        terms = (
            cost.taker_fee_bps,
            cost.close_fee_bps,
            cost.spread_bps,
            cost.impact_bps,
            cost.rollover_bps,
            cost.oracle_bps,
            cost.gas_bps,
        )
        assert all(term >= 0 for term in terms)
        assert cost.total_bps == sum(terms) + cost.funding_bps
    assert small.impact_bps <= large.impact_bps


# Levels of 100,000 USD each, at 0.5, 1.5, 2.5 ... bps from mid, on both sides.
@pytest.mark.parametrize(
    ("notional", "impact"),
    [
        (50_000, "0"),  # inside the first level: the spread says it all
        (100_000, "0"),
        (200_000, "1"),  # half of it one level further, both ways: 2 × 0.5
        (400_000, "3"),  # (0 + 1 + 2 + 3) ÷ 4, both ways
    ],
)
def test_a_book_is_walked_level_by_level_on_both_ways(notional: int, impact: str) -> None:
    cost = expected_cost(market(), Decimal(notional), Side.LONG, DAY, book())
    assert cost.spread_bps == 1
    assert cost.impact_bps == Decimal(impact)


def test_beyond_the_visible_book_the_distance_goes_on_growing() -> None:
    shown = book(levels=2)  # 200,000 USD, the last level 1.5 bps from mid
    # Up to there 0.5 on average; beyond it the distance grows from 1.5 to 3 at 400,000: 2.25 on average.
    cost = expected_cost(market(), Decimal(400_000), Side.LONG, DAY, shown)
    average = (Decimal(200_000) * 1 + Decimal(200_000) * Decimal("2.25")) / 400_000
    assert cost.slippage_bps == 2 * average


def test_a_book_with_an_empty_side_says_nothing() -> None:
    half = replace(book(), bids=())
    without = expected_cost(market(), TEN_THOUSAND, Side.LONG, DAY)
    assert expected_cost(market(), TEN_THOUSAND, Side.LONG, DAY, half) == without


def test_flow_to_one_side_moves_the_oracles_price_beyond_its_threshold() -> None:
    terms = OracleImpact(
        per_usd=Decimal("0.00000000001"),  # a basis point for each 10 million
        threshold_usd=Decimal(1_000_000),
        buy_volume_usd=Decimal(900_000),
        sell_volume_usd=Decimal(0),
    )
    ostium = replace(market(Venue.OSTIUM), oracle_impact=terms)
    assert expected_cost(ostium, Decimal(100_000), Side.LONG, DAY).impact_bps == 0
    # 200,000 of the 300,000 are beyond: 1e-11 ÷ 2 × 200,000² = 0.2 USD, on 300,000
    assert expected_cost(ostium, Decimal(300_000), Side.LONG, DAY).impact_bps == Decimal("0.0067")


impacts = st.builds(
    OracleImpact,
    per_usd=st.decimals("1e-14", "1e-9", places=14),
    threshold_usd=st.decimals(0, 10**6, places=2),
    buy_volume_usd=st.decimals(0, 10**7, places=2),
    sell_volume_usd=st.decimals(0, 10**7, places=2),
)
step = st.tuples(st.decimals("0.1", 100, places=1), st.decimals("0.001", 10, places=3))


@st.composite
def books(draw: st.DrawFn) -> Book:
    """Any book round 100,000 USD."""
    sides = []
    for direction in (-1, 1):
        price, levels = Decimal(100_000), []
        for move, size in draw(st.lists(step, min_size=1, max_size=8)):
            price += direction * move
            levels.append((price, size))
        sides.append(tuple(levels))
    return Book(Venue.HYPERLIQUID, "BTC", sides[0], sides[1], NOW)


@st.composite
def slippages(draw: st.DrawFn) -> Slippage:
    """Any of the three models."""
    venue = draw(st.sampled_from([Venue.HYPERLIQUID, Venue.OSTIUM]))
    listed = replace(
        market(venue),
        volume_24h_usd=draw(st.none() | st.decimals(1, 10**10, places=2)),
        oracle_impact=draw(st.none() | impacts),
    )
    return slippage_of(listed, draw(st.none() | books()) if venue is Venue.HYPERLIQUID else None)


@given(slippages(), st.lists(amounts, min_size=3, max_size=3))
def test_impact_is_never_negative_and_grows_ever_faster(
    slippage: Slippage, sizes: list[Decimal]
) -> None:
    """Splitting relies on it: what one dollar more costs never falls."""
    low, mid, high = sorted(sizes)
    costs = [slippage.impact_usd(size) for size in (low, mid, high)]
    little = Decimal("1e-12") * (1 + costs[2])
    assert slippage.spread_bps >= 0
    assert -little <= costs[0] <= costs[1] + little <= costs[2] + 2 * little
    if low < mid < high:
        slopes = ((costs[1] - costs[0]) / (mid - low), (costs[2] - costs[1]) / (high - mid))
        assert slopes[0] <= slopes[1] * (1 + Decimal("1e-9")) + Decimal("1e-12")
