"""Whatever is asked for, only numbers that Hyperliquid accepts reach its wire, or none at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random

import pytest
from hyperliquid.utils.signing import float_to_wire
from hypothesis import given, settings
from hypothesis import strategies as st

from agentwhere_core.domain.enums import OrderSide
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.market import Quote
from agentwhere_core.venues.hyperliquid import Hyperliquid, rules
from tests.core.examples import NOW, market
from tests.core.wires import client

EXAMPLES = 100
CASES_PER_EXAMPLE = 100


@dataclass(frozen=True)
class Case:
    """Something that may be asked for in some market."""

    price: Decimal
    size_decimals: int
    notional: Decimal
    slippage_bps: Decimal
    side: OrderSide


@st.composite
def cases(draw: st.DrawFn) -> list[Case]:
    """Many cases at once: hypothesis draws a seed, because 10,000 draws of its own would take a minute."""
    rng = Random(draw(st.integers(0, 2**64)))
    return [random_case(rng) for _ in range(CASES_PER_EXAMPLE)]


def random_case(rng: Random) -> Case:
    """Prices from 1e-7 to 5e6 with up to 12 figures, notionals from nothing to ten million dollars."""
    return Case(
        price=Decimal(rng.randint(1, 10 ** rng.randint(1, 12))).scaleb(rng.randint(-7, -6)),
        size_decimals=rng.randint(0, 6),
        notional=Decimal(rng.randint(0, 10 ** rng.randint(1, 13))).scaleb(-6),
        slippage_bps=Decimal(rng.choice((0, 1, 50, 2000))),
        side=rng.choice(list(OrderSide)),
    )


def is_accepted_price(text: str, size_decimals: int) -> bool:
    """The venue's rule, on the digits that travel: an integer, or five figures and no more decimals than allowed."""
    whole, _, decimals = text.partition(".")
    if not decimals:
        return int(whole) > 0
    figures = (whole + decimals).lstrip("0")
    return 0 < len(figures) <= 5 and len(decimals) <= 6 - size_decimals


def is_accepted_size(text: str, size_decimals: int) -> bool:
    _, _, decimals = text.partition(".")
    return Decimal(text) > 0 and len(decimals) <= size_decimals


@pytest.fixture(scope="module")
def venue() -> Iterator[Hyperliquid]:
    with client() as http:
        yield Hyperliquid(http, data_url="", trade_url="", is_mainnet=False)


@settings(max_examples=EXAMPLES)
@given(cases())
def test_ten_thousand_random_entries_are_valid_or_refused(
    venue: Hyperliquid, asked: list[Case]
) -> None:
    for case in asked:
        listed = replace(market(), size_decimals=case.size_decimals)
        price = case.price
        quote = Quote(listed.venue, listed.token, price, price, price, NOW)
        size, limit = venue.entry(listed, case.side, case.notional, quote, case.slippage_bps)
        for valid in (limit, venue.round_price(listed, price)):
            assert is_accepted_price(rules.wire_number(valid), case.size_decimals), case
        if size > 0:
            assert is_accepted_size(rules.wire_number(size), case.size_decimals), case
            assert 10 <= size * price <= case.notional, case
        else:
            units = case.notional * 10**case.size_decimals // price
            assert units * min(price, limit) < 10 * 10**case.size_decimals, case


@settings(max_examples=EXAMPLES // 4)
@given(cases())
def test_rounding_is_to_a_valid_neighbour_and_repeatable(asked: list[Case]) -> None:
    for case in asked:
        rounded = rules.round_price(case.price, case.size_decimals)
        assert rules.round_price(rounded, case.size_decimals) == rounded, case
        below = rules.round_price(case.price, case.size_decimals, "ROUND_FLOOR")
        above = rules.round_price(case.price, case.size_decimals, "ROUND_CEILING")
        assert rounded in (below, above), case
        assert abs(rounded - case.price) <= max(abs(below - case.price), abs(above - case.price))


@settings(max_examples=EXAMPLES // 4)
@given(cases())
def test_a_limit_never_goes_beyond_its_bound(asked: list[Case]) -> None:
    for case in asked:
        tick = Decimal(1).scaleb(-max(0, 6 - case.size_decimals))
        slippage = case.slippage_bps / 10_000
        arguments = (case.price, case.slippage_bps, case.size_decimals)
        bought = rules.limit_price(OrderSide.BUY, *arguments)
        assert bought <= max(case.price * (1 + slippage), tick), case
        assert rules.limit_price(OrderSide.SELL, *arguments) >= case.price * (1 - slippage), case


@settings(max_examples=EXAMPLES // 4)
@given(cases())
def test_numbers_are_written_as_the_official_sdk_writes_them(asked: list[Case]) -> None:
    for case in asked:
        valid = rules.round_price(case.price, case.size_decimals)
        assert rules.wire_number(valid) == float_to_wire(float(valid)), case


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("100000", "100000"),
        ("1E+5", "100000"),
        ("0.10", "0.1"),
        ("-0", "0"),
        ("0.00000001", "0.00000001"),
    ],
)
def test_numbers_are_written_plainly(value: str, written: str) -> None:
    assert rules.wire_number(Decimal(value)) == written


@pytest.mark.parametrize("value", ["0.000000001", "NaN", "Infinity"])
def test_a_number_that_would_be_changed_is_never_signed(value: str) -> None:
    with pytest.raises(InvariantError):
        rules.wire_number(Decimal(value))


@pytest.mark.parametrize("price", ["0", "-1", "NaN"])
def test_what_is_no_price_is_refused(price: str) -> None:
    with pytest.raises(InvariantError, match="no price"):
        rules.round_price(Decimal(price), 2)


def test_the_smallest_order_is_ten_dollars() -> None:
    assert rules.entry_size(Decimal("9.99"), Decimal(1), Decimal(1), 2) == 0
    assert rules.entry_size(Decimal(10), Decimal(1), Decimal(1), 2) == 10
