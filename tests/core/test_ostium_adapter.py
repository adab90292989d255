"""The Ostium adapter over its real wire: pairs, prices and hours."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import MalformedReplyError, RefusedError, ServerFaultError
from agentwhere_core.domain.market import Market
from agentwhere_core.venues.ostium import Ostium
from agentwhere_core.venues.protocol import MarketData
from agentwhere_sim.testing import Simulator
from tests.core.wires import Answer, Wire, client, wire

WEEKDAY = datetime(2025, 11, 12, 15, 0, tzinfo=UTC)
SATURDAY = datetime(2025, 11, 15, 15, 0, tzinfo=UTC)


def listed(sim: Simulator, now: datetime) -> dict[str, Market]:
    sim.control("hours", mode="real")
    sim.control("clock", now=now.isoformat())
    with client("ostium") as http:
        markets = adapter(http, sim.url).list_markets(now)
    assert len({market.token for market in markets}) == len(markets)
    return {market.token: market for market in markets}


def adapter(http: Any, url: str) -> Ostium:
    return Ostium(http, data_url=f"{url}/ostium", subgraph_url=f"{url}/ostium/subgraph")


def test_the_adapter_reads_and_says_that_it_cannot_trade(sim: Simulator) -> None:
    with client("ostium") as http:
        venue: MarketData = adapter(http, sim.url)
        assert (venue.venue, venue.can_execute) == (Venue.OSTIUM, False)


def test_gold_is_listed_with_its_own_limits_and_fees(sim: Simulator) -> None:
    gold = listed(sim, WEEKDAY)["XAU"]
    assert (gold.market_name, gold.market_index, gold.group) == ("XAU/USD", 5, "COMMODITY")
    assert (gold.is_active, gold.is_open, gold.opens_at) == (True, True, None)
    assert gold.price is not None
    assert 1000 < gold.price < 10_000
    assert 1 < gold.max_leverage <= 200
    assert 0 < gold.taker_fee_bps < 20
    assert gold.oracle_fee_usd == Decimal("0.1")
    assert gold.min_notional_usd > 0
    assert Decimal(gold.metadata["max_open_interest_usd"]) > 0


def test_every_kind_of_thing_has_its_group(sim: Simulator) -> None:
    markets = listed(sim, WEEKDAY)
    kinds = {"BTC": "CRYPTO", "EUR": "FX", "XAG": "COMMODITY", "US500": "INDEX", "TSLA": "STOCK"}
    assert {token: markets[token].group for token in kinds} == kinds


def test_at_the_weekend_only_crypto_is_open_and_the_rest_says_when_it_opens(sim: Simulator) -> None:
    markets = listed(sim, SATURDAY)
    assert markets["BTC"].is_open
    closed = markets["XAU"]
    assert (closed.is_open, closed.is_active) == (False, True)
    assert closed.opens_at is not None
    assert SATURDAY < closed.opens_at <= SATURDAY + timedelta(days=3)


def test_quotes_are_the_oracles_and_carry_its_time(sim: Simulator) -> None:
    markets = listed(sim, WEEKDAY)
    sim.control("prices", XAU="4000")
    with client("ostium") as http:
        quotes = adapter(http, sim.url).quotes([markets["XAU"], markets["BTC"]], WEEKDAY)
    gold = quotes["XAU"]
    assert set(quotes) == {"XAU", "BTC"}
    assert gold.bid < gold.mid < gold.ask
    assert gold.mid == pytest.approx(4000, rel=Decimal("1e-3"))
    assert abs(gold.at - WEEKDAY) < timedelta(minutes=1)


def test_there_is_no_history_to_read(sim: Simulator) -> None:
    gold = listed(sim, WEEKDAY)["XAU"]
    with client("ostium") as http:
        bars = adapter(http, sim.url).candles(gold, "1h", WEEKDAY, WEEKDAY, WEEKDAY)
    assert bars == []


@pytest.mark.parametrize(
    ("kind", "error"), [("5xx", ServerFaultError), ("malformed", MalformedReplyError)]
)
def test_a_failing_venue_lists_nothing_rather_than_less(
    sim: Simulator, kind: str, error: type[Exception]
) -> None:
    sim.fault("ostium", kind, count=2)
    with client("ostium") as http, pytest.raises(error):
        adapter(http, sim.url).list_markets(WEEKDAY)


PAIR = {
    "id": "5",
    "from": "XAU",
    "to": "USD",
    "feed": "0x1",
    "maxLeverage": "0",
    "overnightMaxLeverage": "0",
    "longOI": "2000000000000000000",
    "shortOI": "0",
    "maxOI": "1000000",
    "makerFeeP": "30000",
    "takerFeeP": "30000",
    "lastFundingRate": "1000000000",
    "rolloverFeePerBlock": "0",
    "group": {"name": "commodities", "minLeverage": "100", "maxLeverage": "10000"},
    "fee": {"minLevPos": "5000000"},
}
PRICE = {
    "feed_id": "0x1",
    "bid": 3999.5,
    "mid": 4000,
    "ask": 4000.5,
    "isMarketOpen": True,
    "isDayTradingClosed": False,
    "from": "XAU",
    "to": "USD",
    "timestampSeconds": 1762959600,
}


def read(*answers: Any) -> tuple[list[Market], Wire]:
    with wire(*answers) as served, client("ostium") as http:
        venue = Ostium(http, data_url=served.url, subgraph_url=served.url)
        return venue.list_markets(WEEKDAY), served


def test_units_of_the_contracts_become_dollars_and_basis_points() -> None:
    [gold], _ = read({"data": {"pairs": [PAIR]}}, [PRICE])
    assert gold.max_leverage == 100
    assert gold.taker_fee_bps == 3
    assert gold.min_notional_usd == 5
    assert gold.open_interest_usd == 8000
    assert gold.funding_hourly == Decimal("0.000012")
    assert gold.spread_bps == Decimal("2.5")
    assert gold.oracle_fee_usd == Decimal("0.10")


def test_a_subgraph_without_the_oracle_fee_is_asked_again_without_it() -> None:
    unknown = {"errors": [{"message": "Type `Fee` has no field `oracleFee`"}]}
    [gold], served = read(unknown, {"data": {"pairs": [PAIR]}}, [PRICE])
    queries = [json.loads(body)["query"] for body in served.received[:2]]
    assert ["oracleFee" in query for query in queries] == [True, False]
    assert gold.oracle_fee_usd == Decimal("0.10")


def test_any_other_error_of_the_subgraph_is_a_refusal() -> None:
    with pytest.raises(RefusedError, match="indexing failed"):
        read({"errors": [{"message": "indexing failed"}], "data": None}, [PRICE])


def test_a_pair_without_a_price_is_listed_and_not_active() -> None:
    [gold], _ = read({"data": {"pairs": [PAIR]}}, [], Answer("{}", 404))
    assert (gold.is_active, gold.is_open, gold.price, gold.opens_at) == (False, False, None, None)


@pytest.mark.parametrize(
    "broken",
    [
        {"data": {"pairs": None}},
        {"data": {}},
        {"data": {"pairs": [PAIR | {"takerFeeP": "a lot"}]}},
        {"data": {"pairs": [{name: PAIR[name] for name in PAIR if name != "fee"}]}},
    ],
)
def test_a_list_outside_the_protocol_is_an_error_and_not_an_empty_list(broken: Any) -> None:
    with pytest.raises(MalformedReplyError, match="expected a list of pairs"):
        read(broken, [PRICE])
