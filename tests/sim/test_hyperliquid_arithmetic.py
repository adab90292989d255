"""The venue's arithmetic, whatever is traded."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agentwhere_sim.database import Database
from agentwhere_sim.hyperliquid import fills, rules
from agentwhere_sim.hyperliquid.ledger import Ledger, Order

ADDRESS = "0x" + "44" * 20
CENT = Decimal("0.01")

prices = st.decimals("0.0001", "200000", places=6)
decimals = st.integers(0, 5)
trades = st.lists(
    st.tuples(st.booleans(), st.integers(1, 500), st.integers(1, 20_000)), min_size=1, max_size=12
)


@given(price=prices, sz_decimals=decimals)
def test_rounding_goes_to_the_nearest_valid_price_on_its_side(
    price: Decimal, sz_decimals: int
) -> None:
    low, high = rules.floor_price(price, sz_decimals), rules.ceil_price(price, sz_decimals)
    assert low <= price <= high
    assert high - low <= rules.tick(price, sz_decimals)
    assert rules.on_tick(low, sz_decimals) or low == 0
    assert rules.on_tick(high, sz_decimals)


@given(price=prices, sz_decimals=decimals)
def test_a_valid_price_is_an_integer_or_has_five_figures_and_few_decimals(
    price: Decimal, sz_decimals: int
) -> None:
    valid = rules.ceil_price(price, sz_decimals).normalize()
    _, digits, exponent = valid.as_tuple()
    assert isinstance(exponent, int)
    assert exponent >= 0 or (len(digits) <= 5 and -exponent <= 6 - sz_decimals)


@given(number=st.decimals("-1000000", "1000000", places=8))
def test_written_numbers_read_back_equal_and_always_show_a_decimal(number: Decimal) -> None:
    written = rules.text(number)
    assert Decimal(written) == number
    assert "." in written
    assert "E" not in written


@settings(max_examples=50)
@given(sequence=trades)
def test_a_position_is_the_sum_of_its_fills_and_no_dollar_appears(
    sequence: list[tuple[bool, int, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Database(Path(folder) / "venue.sqlite"))
        ledger.deposit(ADDRESS, Decimal(1_000_000), 0)
        flow = Decimal(0)
        for number, (is_buy, lots, dollars) in enumerate(sequence):
            size, price = Decimal(lots) / 100, Decimal(dollars)
            fill = fills.execute(ledger, order(number, is_buy, size), price, size, 0, crossed=True)
            flow -= (size if is_buy else -size) * price + fill.fee
        position = ledger.position(ADDRESS, 1)
        signed = sum(Decimal(lots if buy else -lots) for buy, lots, _ in sequence) / 100
        assert position.szi == signed
        worth = ledger.cash(ADDRESS) + position.szi * (Decimal(1000) - position.entry_px)
        assert abs(worth - (1_000_000 + flow + signed * 1000)) < CENT
        ledger.db.close()


def order(oid: int, is_buy: bool, size: Decimal) -> Order:
    return Order(
        oid=oid,
        address=ADDRESS,
        asset=1,
        is_buy=is_buy,
        limit_px=Decimal(1),
        orig_sz=size,
        sz=size,
        reduce_only=False,
        tif="Ioc",
        trigger_px=None,
        tpsl=None,
        is_market=False,
        grouping="na",
        parent_oid=None,
        cloid=None,
        status="open",
        status_ms=0,
        created_ms=0,
        signer=ADDRESS,
    )
