"""The Lighter adapter over its real wire: order books and what they say of themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import MalformedReplyError, RefusedError, ServerFaultError
from agentwhere_core.domain.market import Market
from agentwhere_core.domain.time import utc_now
from agentwhere_core.venues.protocol import Execution
from agentwhere_sim.testing import Simulator
from tests.core.venues import lighter
from tests.core.wires import client, wire

NOW = datetime(2025, 11, 12, 15, 0, tzinfo=UTC)


def listed(sim: Simulator) -> dict[str, Market]:
    with client("lighter") as http:
        markets = lighter(http, f"{sim.url}/lighter").list_markets(NOW)
    assert len({market.token for market in markets}) == len(markets)
    return {market.token: market for market in markets}


def test_the_adapter_speaks_the_whole_protocol(sim: Simulator) -> None:
    with client("lighter") as http:
        venue: Execution = lighter(http, f"{sim.url}/lighter")
        assert (venue.venue, venue.can_execute) == (Venue.LIGHTER, True)


def test_markets_carry_decimals_minimums_and_leverage(sim: Simulator) -> None:
    sim.control("prices", ETH="3500")
    markets = listed(sim)
    ether = markets["ETH"]
    assert len(markets) >= 40
    assert (ether.market_name, ether.market_index) == ("ETH", 0)
    assert (ether.size_decimals, ether.price_decimals) == (4, 2)
    assert (ether.min_size, ether.min_notional_usd) == (Decimal("0.005"), 10)
    assert (ether.max_leverage, ether.taker_fee_bps) == (50, 0)
    assert ether.is_active
    assert ether.price == pytest.approx(3500, rel=Decimal("1e-3"))


def test_thousands_are_units_of_the_same_token(sim: Simulator) -> None:
    pepe = listed(sim)["PEPE"]
    assert (pepe.market_name, pepe.size_multiplier) == ("1000PEPE", 1000)


def test_what_is_no_crypto_is_told_apart(sim: Simulator) -> None:
    markets = listed(sim)
    kinds = {"BTC": "CRYPTO", "EUR": "FX", "XAU": "COMMODITY"}
    assert {token: markets[token].group for token in kinds} == kinds


def test_few_markets_are_quoted_from_their_books(sim: Simulator) -> None:
    sim.control("prices", ETH="3500")
    market = listed(sim)["ETH"]
    with client("lighter") as http:
        quotes = lighter(http, f"{sim.url}/lighter").quotes([market], NOW)
    assert quotes["ETH"].bid < quotes["ETH"].mid < quotes["ETH"].ask
    assert quotes["ETH"].mid == pytest.approx(3500, rel=Decimal("1e-2"))


def test_many_markets_are_quoted_by_one_request(sim: Simulator) -> None:
    markets = list(listed(sim).values())
    sim.fault("lighter", "5xx", count=1)
    with client("lighter") as http:
        quotes = lighter(http, f"{sim.url}/lighter").quotes(markets, NOW)
    assert set(quotes) == {market.token for market in markets if market.price}


def test_candles_are_read_page_by_page_with_the_forming_one_marked(sim: Simulator) -> None:
    market, now = listed(sim)["ETH"], utc_now()
    start = now - timedelta(minutes=5 * 600)
    with client("lighter") as http:
        bars = lighter(http, f"{sim.url}/lighter").candles(market, "5m", start, now, now)
    opens = [bar.open_time for bar in bars]
    assert opens == sorted(set(opens))
    assert {later - earlier for earlier, later in pairwise(opens)} == {timedelta(minutes=5)}
    assert len(bars) == 600
    assert all(bar.low <= min(bar.open, bar.close) for bar in bars)
    assert [bar.is_closed for bar in bars[-3:]] == [True, True, False]


def test_an_interval_that_the_venue_does_not_know_has_no_history(sim: Simulator) -> None:
    market = listed(sim)["ETH"]
    with client("lighter") as http:
        assert lighter(http, f"{sim.url}/lighter").candles(market, "7m", NOW, NOW, NOW) == []


@pytest.mark.parametrize(
    ("kind", "error"), [("5xx", ServerFaultError), ("malformed", MalformedReplyError)]
)
def test_a_failing_venue_lists_nothing_rather_than_less(
    sim: Simulator, kind: str, error: type[Exception]
) -> None:
    sim.fault("lighter", kind, count=2)
    with client("lighter") as http, pytest.raises(error):
        lighter(http, f"{sim.url}/lighter").list_markets(NOW)


DETAIL = {
    "symbol": "ETH",
    "market_id": 0,
    "market_type": "perp",
    "status": "active",
    "taker_fee": "0.0200",
    "is_taker_fee_enabled": True,
    "min_base_amount": "0.0050",
    "min_quote_amount": "10.000000",
    "size_decimals": 4,
    "price_decimals": 2,
    "min_initial_margin_fraction": 200,
    "default_initial_margin_fraction": 500,
    "last_trade_price": 2000.5,
    "daily_quote_token_volume": 1000.0,
    "daily_price_change": -0.5,
    "open_interest": 10,
}


def read(**changes: Any) -> list[Market]:
    reply = {"code": 200, "order_book_details": [DETAIL | changes]}
    with wire(reply) as served, client("lighter") as http:
        return lighter(http, served.url).list_markets(NOW)


def test_units_become_basis_points_fractions_and_dollars() -> None:
    [ether] = read()
    assert ether.taker_fee_bps == 2
    assert ether.change_24h == Decimal("-0.005")
    assert ether.open_interest_usd == 20_005


@pytest.mark.parametrize(
    "change",
    [
        {"status": "inactive"},
        {"market_config": {"force_reduce_only": True}},
        {"market_config": {"hidden": True}},
    ],
)
def test_a_market_that_takes_no_entries_is_not_active(change: dict[str, Any]) -> None:
    [ether] = read(**change)
    assert not ether.is_active


def test_spot_markets_are_not_ours() -> None:
    assert read(market_type="spot") == []


def test_a_fee_that_is_switched_off_costs_nothing() -> None:
    [ether] = read(is_taker_fee_enabled=False)
    assert ether.taker_fee_bps == 0


def test_an_error_code_in_a_good_answer_is_a_refusal() -> None:
    with (
        wire({"code": 21500, "message": "internal"}) as served,
        client("lighter") as http,
        pytest.raises(RefusedError, match="code 21500: internal"),
    ):
        lighter(http, served.url).list_markets(NOW)


@pytest.mark.parametrize(
    "reply", [None, [], {"code": 200}, {"code": 200, "order_book_details": [{"symbol": "ETH"}]}]
)
def test_a_list_outside_the_protocol_is_an_error_and_not_an_empty_list(reply: Any) -> None:
    with wire(reply) as served, client("lighter") as http, pytest.raises(MalformedReplyError):
        lighter(http, served.url).list_markets(NOW)
