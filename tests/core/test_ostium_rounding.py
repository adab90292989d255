"""Ten thousand random entries per run: none stakes more than was meant, none is refused for its form."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from agentwhere_core.domain.enums import OrderPurpose, OrderSide
from agentwhere_core.domain.trade import OrderSpec
from agentwhere_core.venues.ostium import rules

MINIMUM = Decimal(5)
prices = st.decimals("0.0001", "200000", places=6)
notionals = st.decimals("0.01", "1000000", places=2)
slippages = st.decimals("0", "500", places=1)
leverages = st.integers(1, 200)
sides = st.sampled_from(OrderSide)


def spec(side: OrderSide, size: Decimal, limit: Decimal, leverage: int) -> OrderSpec:
    return OrderSpec(
        client_id="0x01",
        purpose=OrderPurpose.ENTRY,
        market_name="XAU/USD",
        market_index=5,
        side=side,
        size=size,
        limit_price=limit,
        trigger_price=None,
        reduce_only=False,
        leverage=Decimal(leverage),
    )


@settings(max_examples=10_000, deadline=None)
@given(prices, notionals, slippages, leverages, sides)
def test_a_random_entry_is_within_its_margin_and_above_the_minimum(
    price: Decimal, notional: Decimal, slippage_bps: Decimal, leverage: int, side: OrderSide
) -> None:
    limit = rules.limit_price(side, price, slippage_bps)
    size = rules.entry_size(notional, price, limit, MINIMUM)
    if size == 0:
        assert notional * (1 - slippage_bps / 10_000) < MINIMUM + Decimal("0.01")
        return
    stake = rules.stake(spec(side, size, limit, leverage), None, None)
    assert Decimal(stake.collateral) / rules.USDC <= notional / leverage + 1 / rules.USDC
    assert stake.collateral * stake.leverage // 100 >= (MINIMUM - Decimal("0.0002")) * rules.USDC


@settings(max_examples=500, deadline=None)
@given(prices, leverages, sides, st.decimals("0.01", "10", places=3))
def test_protection_never_leaves_the_venues_bounds(
    price: Decimal, leverage: int, side: OrderSide, factor: Decimal
) -> None:
    wanted = rules.round_price(price * factor)
    limit = rules.round_price(price)
    made = rules.stake(spec(side, Decimal(1), limit, leverage), wanted, wanted)
    farthest = rules.whole(limit * Decimal(9) / leverage)
    nearest = rules.whole(limit * Decimal("0.85") / leverage)
    sign = 1 if side is OrderSide.BUY else -1
    assert (made.take_profit - made.price) * sign <= farthest + 1
    assert (made.price - made.stop_loss) * sign <= nearest + 1


@given(st.integers(1, 10**24), st.decimals("0.0001", "2", places=4))
def test_a_closing_share_is_never_nothing_and_never_more_than_all(held: int, part: Decimal) -> None:
    share = rules.closing_share(Decimal(held) / rules.ONE * part, held)
    assert 1 <= share <= rules.WHOLE_SHARE
    assert rules.part_of(held, share) <= Decimal(held) / rules.ONE
