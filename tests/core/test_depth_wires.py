"""What venues say of depth, capacity and gas, as their adapters read it over the real wire."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from agentwhere_core.domain.market import Market, OracleImpact
from agentwhere_core.venues.ostium import Ostium
from agentwhere_sim.testing import Simulator
from tests.core.examples import NOW, market
from tests.core.ostium_desk import sim_chain
from tests.core.test_ostium_adapter import PAIR, PRICE, read
from tests.core.venues import lighter
from tests.core.wires import client, wire


def order(price: str, size: str) -> dict[str, str]:
    return {"price": price, "remaining_base_amount": size}


def test_lighters_orders_become_a_book_with_the_best_prices_first() -> None:
    answer = {
        "code": 200,
        "bids": [order("99", "1"), order("100", "2")],
        "asks": [order("103", "3"), order("102", "4")],
    }
    with wire(answer) as served, client("lighter") as http:
        book = lighter(http, served.url).book(market(), NOW)
    assert book is not None
    assert book.bids == ((Decimal(100), Decimal(2)), (Decimal(99), Decimal(1)))
    assert book.asks == ((Decimal(102), Decimal(4)), (Decimal(103), Decimal(3)))
    assert book.mid == 101


def test_a_side_without_orders_makes_no_book() -> None:
    with (
        wire({"code": 200, "bids": [], "asks": [order("1", "1")]}) as served,
        client("lighter") as http,
    ):
        assert lighter(http, served.url).book(market(), NOW) is None


def test_ostiums_headroom_is_its_limit_minus_what_one_side_holds() -> None:
    pair = PAIR | {"maxOI": "10000000000"}  # 10,000 USD, of which longs hold 2 units at 4,000
    [gold], _ = read({"data": {"pairs": [pair]}}, [PRICE])
    assert (gold.long_headroom_usd, gold.short_headroom_usd) == (2000, 10_000)
    [full], _ = read({"data": {"pairs": [PAIR]}}, [PRICE])
    assert full.long_headroom_usd == 0


def test_ostium_takes_its_fee_once() -> None:
    [gold], _ = read({"data": {"pairs": [PAIR]}}, [PRICE])
    assert (gold.taker_fee_bps, gold.close_fee_bps) == (3, 0)


def test_ostiums_impact_is_read_in_dollars() -> None:
    impact = {
        "priceImpactK": "10000000000000000",
        "netVolThreshold": "1000000000000000000000000",
        "buyVolume": "900000000000000000000000",
        "sellVolume": "0",
    }
    [gold], _ = read({"data": {"pairs": [PAIR | impact]}}, [PRICE])
    assert gold.oracle_impact == OracleImpact(
        Decimal("1e-11"), Decimal(1_000_000), Decimal(900_000), Decimal(0)
    )
    [without], _ = read({"data": {"pairs": [PAIR]}}, [PRICE])
    assert without.oracle_impact is None


def test_a_subgraph_that_does_not_know_impact_is_asked_without_it() -> None:
    unknown = {"errors": [{"message": "Type `Pair` has no field `netVolThreshold`"}]}
    [gold], served = read(unknown, {"data": {"pairs": [PAIR]}}, [PRICE])
    queries = [json.loads(body)["query"] for body in served.received[:2]]
    assert ["netVolThreshold" in query for query in queries] == [True, False]
    assert "oracleFee" in queries[1]
    assert gold.oracle_impact is None


def listed(sim: Simulator, **chain: Any) -> dict[str, Market]:
    with client("ostium") as http:
        venue = Ostium(
            http,
            data_url=f"{sim.url}/ostium",
            subgraph_url=f"{sim.url}/ostium/subgraph",
            **chain,
        )
        return {found.token: found for found in venue.list_markets(NOW)}


def test_gas_is_priced_by_the_chain_and_the_price_of_ether(sim: Simulator) -> None:
    sim.control("prices", ETH="4000")
    assert listed(sim)["XAU"].gas_fee_usd == 0, "without a chain nothing is sent"
    gas = listed(sim, chain=sim_chain(sim.url))["XAU"].gas_fee_usd
    assert Decimal("0.001") < gas < 1


def test_currencies_cost_rollover_and_crypto_does_not(sim: Simulator) -> None:
    markets = listed(sim)
    assert (markets["EUR"].rollover_hourly or 0) > 0
    assert markets["BTC"].rollover_hourly == 0
