"""Expected costs have the right terms, signs and order of magnitude."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.domain.enums import Side, Venue
from agentwhere_core.where.costs import expected_cost
from tests.core.examples import market

DAY = Decimal(24)
TEN_THOUSAND = Decimal(10_000)


def test_each_term_is_computed_as_documented() -> None:
    cost = expected_cost(market(), TEN_THOUSAND, Side.LONG, DAY)
    assert cost.taker_fee_bps == 9  # 4.5 in, 4.5 out
    assert cost.spread_bps == 1
    assert cost.funding_bps == 3  # 0.0000125 an hour
    assert cost.fixed_bps == 0
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
    assert small.fixed_bps == 20
    assert large.fixed_bps == Decimal("0.2")


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
        terms = (cost.taker_fee_bps, cost.spread_bps, cost.impact_bps, cost.fixed_bps)
        assert all(term >= 0 for term in terms)
        assert cost.total_bps == sum(terms) + cost.funding_bps
    assert small.impact_bps <= large.impact_bps
