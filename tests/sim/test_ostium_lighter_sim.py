"""Market data of simulated Ostium and Lighter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from agentwhere_sim.testing import Simulator

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "data" / "lighter"
PAIRS = """
query getPairs {
  pairs(first: 1000) {
    id from to feed overnightMaxLeverage longOI shortOI maxOI makerFeeP takerFeeP makerMaxLeverage
    curFundingLong curFundingShort curRollover totalOpenTrades totalOpenLimitOrders accRollover
    lastRolloverBlock rolloverFeePerBlock accFundingLong accFundingShort lastFundingBlock
    maxFundingFeePerBlock lastFundingRate lastTradePrice maxLeverage
    group { id name minLeverage maxLeverage maxCollateralP longCollateral shortCollateral }
    fee { minLevPos }
  }
}
"""


def query(sim: Simulator, text: str, **variables: Any) -> Any:
    body = {"query": text, "variables": variables}
    return sim.http.post("/ostium/subgraph", json=body).json()


def shape(value: Any) -> Any:
    """Reduce an answer to its names and types."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value)
    )


def test_the_subgraph_answers_what_was_selected_in_chain_units(sim: Simulator) -> None:
    pairs = query(sim, PAIRS)["data"]["pairs"]
    gold = next(pair for pair in pairs if pair["from"] == "XAU")
    assert len(pairs) == 38
    assert gold["id"] == "5"
    assert gold["maxLeverage"] == "10000"
    assert gold["takerFeeP"] == "30000"
    assert gold["group"]["name"] == "commodities"
    assert int(gold["maxOI"]) > 10**12


def test_the_subgraph_pages_like_a_subgraph(sim: Simulator) -> None:
    page = query(sim, "{ pairs(first: 2, skip: 3) { id } }")["data"]["pairs"]
    assert page == [{"id": "3"}, {"id": "4"}]
    one = query(sim, "query($id: ID!) { pair(id: $id) { from to } }", id="4")
    assert one == {"data": {"pair": {"from": "USD", "to": "JPY"}}}


@pytest.mark.parametrize(
    "text",
    [
        "{ pairs { nonsense } }",
        "{ pairs(where: {id_gt: 3}) { id } }",
        "{ nonsense { id } }",
        "{ pairs { id",
        "mutation",
    ],
)
def test_a_wrong_query_gets_errors_not_data(sim: Simulator, text: str) -> None:
    assert set(query(sim, text)) == {"errors"}


def test_venues_agree_on_what_a_token_is_worth(sim: Simulator) -> None:
    ostium = {
        p["from"]: p["mid"] for p in sim.http.get("/ostium/PricePublish/latest-prices").json()
    }
    mids = sim.http.post("/hyperliquid/info", json={"type": "allMids"}).json()
    details = sim.http.get("/lighter/api/v1/orderBookDetails").json()["order_book_details"]
    lighter = {market["symbol"]: market["last_trade_price"] for market in details}
    for token in ("BTC", "ETH", "SOL", "LINK"):
        assert ostium[token] == pytest.approx(float(mids[token]), rel=0.002)
        assert lighter[token] == pytest.approx(float(mids[token]), rel=0.002)
    assert lighter["XAU"] == pytest.approx(ostium["XAU"], rel=0.002)
    assert lighter["1000PEPE"] == pytest.approx(float(mids["kPEPE"]), rel=0.002)


def test_ostium_hours_are_open_by_default_and_real_on_demand(sim: Simulator) -> None:
    def gold_is_open() -> bool:
        prices = sim.http.get("/ostium/PricePublish/latest-prices").json()
        return next(p["isMarketOpen"] for p in prices if p["from"] == "XAU")

    sim.control("clock", now="2026-05-16T12:00:00+00:00", frozen=True)
    assert gold_is_open()
    sim.control("hours", mode="real")
    assert not gold_is_open()
    week = sim.http.get("/ostium/trading-hours/asset-schedule?asset=XAUUSD").json()
    assert week["isOpenNow"] is False
    assert week["secondsToToggleMarketStatus"] == 34 * 3600
    sim.control("hours", markets={"XAU": "open"})
    assert gold_is_open()


@pytest.mark.parametrize(
    ("path", "recording"),
    [
        ("orderBooks", "http_order_books.json"),
        ("orderBookDetails?market_id=0", "http_order_book_details.json"),
        ("orderBookOrders?market_id=0&limit=5", "http_order_book_orders.json"),
    ],
)
def test_lighter_answers_have_the_recorded_shape(sim: Simulator, path: str, recording: str) -> None:
    if not RECORDINGS.is_dir():
        pytest.skip(f"the recordings are not beside the project: no {RECORDINGS}")
    real = json.loads((RECORDINGS / recording).read_text(encoding="utf-8"))
    assert shape(sim.http.get(f"/lighter/api/v1/{path}").json()) == shape(real)


def test_a_lighter_book_is_sorted_and_scaled_to_the_markets_decimals(sim: Simulator) -> None:
    book = sim.http.get("/lighter/api/v1/orderBookOrders?market_id=1&limit=10").json()
    asks = [float(order["price"]) for order in book["asks"]]
    bids = [float(order["price"]) for order in book["bids"]]
    assert asks == sorted(asks)
    assert bids == sorted(bids, reverse=True)
    assert bids[0] < asks[0]
    assert all(len(order["price"].split(".")[1]) == 1 for order in book["asks"])


def test_lighter_refuses_an_unknown_market(sim: Simulator) -> None:
    reply = sim.http.get("/lighter/api/v1/orderBookOrders?market_id=9999&limit=5")
    assert (reply.status_code, reply.json()["code"]) == (400, 20001)
