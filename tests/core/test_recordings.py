"""Real recordings of the venues' answers go through the adapters as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from agentwhere_core.domain.enums import CashFlowKind, Side, Venue
from agentwhere_core.domain.errors import MalformedReplyError
from agentwhere_core.domain.trade import VenueAccount
from agentwhere_core.venues.hyperliquid import Hyperliquid
from tests.core.examples import market
from tests.core.venues import lighter
from tests.core.wires import Answer, client, wire

RECORDED = Path(__file__).parents[3] / "shared" / "data"
NOW = datetime(2025, 11, 12, 12, 0, tzinfo=UTC)
EPOCH = datetime.fromtimestamp(0, UTC)
FEES = {"userCrossRate": "0.00045", "userAddRate": "0.00015"}

pytestmark = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="the recordings (../shared/data) are not beside the project"
)


def recorded(name: str) -> Any:
    return json.loads((RECORDED / name).read_text(), parse_float=str)


def answers_of(name: str, kind: str) -> list[tuple[dict[str, Any], Any]]:
    """Requests of one type in a recording, with their answers."""
    found = [
        (item["request"], item["response"])
        for item in recorded(f"hyperliquid/{name}.json")
        if item["request"]["type"] == kind
    ]
    assert found
    return found


def account(address: str) -> VenueAccount:
    return VenueAccount(UUID(int=1), UUID(int=2), Venue.HYPERLIQUID, address, address, "K")


@contextmanager
def hyperliquid(*answers: Any) -> Iterator[Hyperliquid]:
    with wire(*answers) as served, client() as http:
        yield Hyperliquid(http, data_url=served.url, trade_url=served.url, is_mainnet=False)


def test_the_recorded_universe_is_listed_whole() -> None:
    universe = recorded("hyperliquid_universe.json")["universe"]
    names = ("name", "szDecimals", "maxLeverage", "onlyIsolated", "isDelisted")
    meta = {"universe": [{name: one[name] for name in names} for one in universe]}
    contexts = [{name: one[name] for name in one if name not in names} for one in universe]
    with hyperliquid([meta, contexts], FEES) as venue:
        markets = {one.market_name: one for one in venue.list_markets(NOW)}
    assert set(markets) == {one["name"] for one in universe}
    assert markets["BTC"].price == Decimal("105944.5")
    assert markets["BTC"].open_interest_usd == pytest.approx(
        Decimal(3_092_000_000), rel=Decimal("0.01")
    )
    assert markets["kPEPE"].size_multiplier == 1000
    assert not markets["MATIC"].is_active
    with hyperliquid([meta, contexts]) as venue:
        quotes = venue.quotes(list(markets.values()), NOW)
    assert len(quotes) == sum(one.is_active for one in markets.values())
    for one in markets.values():
        if one.price is not None and one.is_active:
            # Whatever trades there was quoted by the venue's own rules.
            assert venue.round_price(one, quotes[one.token].mid) > 0


def test_recorded_books_and_candles_are_read() -> None:
    [(request, book)] = answers_of("get_l2_snapshot", "l2Book")
    with hyperliquid(book) as venue:
        quote = venue.book_quote(market(token=request["coin"]))
    assert quote is not None
    assert 0 < quote.bid < quote.ask
    [(request, bars)] = answers_of("get_candles_snapshot", "candleSnapshot")
    name = request["req"]["coin"]
    with hyperliquid(bars) as venue:
        candles = venue.candles(market(token="PEPE", name=name), "1h", EPOCH, NOW, NOW)
    assert len(candles) == len(bars)
    assert all(candle.low <= candle.close <= candle.high for candle in candles)


def test_a_recorded_account_is_read_with_its_shorts() -> None:
    [(request, state)] = answers_of("get_user_state", "clearinghouseState")
    with hyperliquid(state) as venue:
        read = venue.account_state(account(request["user"]), NOW)
    assert len(read.positions) == len(state["assetPositions"])
    bitcoin = next(one for one in read.positions if one.token == "BTC")
    assert (bitcoin.side, bitcoin.size) == (Side.SHORT, Decimal("0.00785"))
    assert read.equity_usd == Decimal("1182.312496")
    assert 0 < read.free_margin_usd < read.equity_usd


def test_recorded_fills_are_read_and_none_without_an_id() -> None:
    [(request, fills)] = answers_of("get_user_fills", "userFills")
    # The recording is older than fill ids; without them two equal fills could not be told apart.
    with hyperliquid(fills) as venue, pytest.raises(MalformedReplyError, match="tid"):
        venue.fills(account(request["user"]), EPOCH)
    numbered = [fill | {"tid": number} for number, fill in enumerate(fills)]
    with hyperliquid(numbered) as venue:
        read = venue.fills(account(request["user"]), EPOCH)
    assert len(read) == len(fills)
    assert sum(fill.closed_pnl_usd for fill in read) == sum(
        Decimal(fill["closedPnl"]) for fill in fills
    )


def test_recorded_funding_and_transfers_are_cash_flows() -> None:
    [(request, funding)] = answers_of("user_funding_history_with_end_time", "userFunding")
    [(_, ledger)] = answers_of(
        "user_non_funding_ledger_updates_without_end_time", "userNonFundingLedgerUpdates"
    )
    with hyperliquid(funding, funding, ledger) as venue:
        flows = venue.cash_flows(account(request["user"]), EPOCH)
    paid = [flow for flow in flows if flow.kind is CashFlowKind.FUNDING]
    moved = [flow.amount_usd for flow in flows if flow.kind is not CashFlowKind.FUNDING]
    assert len(paid) == len(funding)
    assert len({flow.reference for flow in flows}) == len(flows)
    assert moved == [
        Decimal("2703997.4500000002"),
        Decimal("-12.0"),
        Decimal("-2684105.0099999998"),
        Decimal("1099994.98"),
    ]


def test_a_recorded_time_without_transfers_has_no_cash_flows() -> None:
    [(request, ledger)] = answers_of(
        "user_non_funding_ledger_updates_with_end_time", "userNonFundingLedgerUpdates"
    )
    with hyperliquid([], [], ledger) as venue:
        assert venue.cash_flows(account(request["user"]), EPOCH) == []


def test_lighters_recorded_answers_are_read() -> None:
    details = (RECORDED / "lighter" / "http_order_book_details.json").read_text()
    orders = (RECORDED / "lighter" / "http_order_book_orders.json").read_text()
    with wire(Answer(details), Answer(orders)) as served, client("lighter") as http:
        venue = lighter(http, served.url)
        [ether] = venue.list_markets(NOW)
        quote = venue.quotes([ether], NOW)["ETH"]
    assert (ether.market_index, ether.max_leverage, ether.price) == (0, 50, Decimal("2361.31"))
    assert (quote.bid, quote.ask) == (Decimal("2361.17"), Decimal("2361.32"))


def test_all_of_lighters_recorded_markets_are_listed() -> None:
    markets = json.loads((RECORDED / "lighter_markets.json").read_text())["markets"]
    details = [one | {"status": "active"} for one in markets]
    with (
        wire({"code": 200, "order_book_details": details}) as served,
        client("lighter") as http,
    ):
        read = lighter(http, served.url).list_markets(NOW)
    assert {one.market_name for one in read} == {one["symbol"] for one in markets}
    assert all(one.max_leverage >= 1 for one in read)
