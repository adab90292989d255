"""The simulator's market table against the recordings of the real venues."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentwhere_sim.universe import (
    hyperliquid_markets,
    lighter_markets,
    ostium_pairs,
    underlyings,
)

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "data"
DEAD_LIGHTER_MARKETS = {"MKR", "AI16Z", "LAUNCHCOIN"}
SMALLEST_SPREAD = Decimal("0.001")


@pytest.fixture
def recordings() -> Path:
    if not RECORDINGS.is_dir():
        pytest.skip(f"the recordings are not beside the project: no {RECORDINGS}")
    return RECORDINGS


def recorded(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_hyperliquid_perp_stands_at_its_asset_id_with_its_real_rules(
    recordings: Path,
) -> None:
    universe = recorded(recordings / "hyperliquid_universe.json")["universe"]
    ours = hyperliquid_markets()
    assert len(ours) == len(universe) >= 150
    for asset, (market, real) in enumerate(zip(ours, universe, strict=True)):
        assert market.asset == asset
        assert market.name == real["name"]
        assert market.sz_decimals == real["szDecimals"]
        assert market.max_leverage == real["maxLeverage"]
        assert market.only_isolated == real["onlyIsolated"]
        assert market.delisted == real["isDelisted"]


def test_price_levels_are_the_recorded_ones_rounded(recordings: Path) -> None:
    for market, real in zip(
        hyperliquid_markets(),
        recorded(recordings / "hyperliquid_universe.json")["universe"],
        strict=True,
    ):
        level = market.underlying.price_usd * market.multiplier
        assert abs(level / Decimal(real["markPx"]) - 1) < SMALLEST_SPREAD, market.name


def test_every_living_lighter_market_has_its_real_decimals_minimums_and_margins(
    recordings: Path,
) -> None:
    real = {
        market["market_id"]: market
        for market in recorded(recordings / "lighter_markets.json")["markets"]
        if market["symbol"] not in DEAD_LIGHTER_MARKETS
    }
    ours = lighter_markets()
    assert {market.market_id for market in ours} == set(real)
    assert len(ours) >= 40
    for market in ours:
        for name in (
            "symbol",
            "size_decimals",
            "price_decimals",
            "min_base_amount",
            "min_quote_amount",
            "default_initial_margin_fraction",
            "min_initial_margin_fraction",
            "maintenance_margin_fraction",
            "closeout_margin_fraction",
            "maker_fee",
            "taker_fee",
        ):
            assert getattr(market, name) == real[market.market_id][name], (market.symbol, name)


def test_lighter_levels_are_near_what_lighter_recorded_days_apart(recordings: Path) -> None:
    real = {m["symbol"]: m for m in recorded(recordings / "lighter_markets.json")["markets"]}
    for market in lighter_markets():
        level = market.underlying.price_usd * market.multiplier
        recorded_level = Decimal(str(real[market.symbol]["last_trade_price"]))
        assert Decimal("0.6") < level / recorded_level < Decimal("1.6"), market.symbol


def test_ostium_lists_the_known_pairs() -> None:
    by_id = {pair.pair_id: pair for pair in ostium_pairs()}
    known = {0: "BTCUSD", 4: "USDJPY", 5: "XAUUSD", 10: "SPXUSD", 18: "NVDAUSD", 24: "MSFTUSD"}
    assert {pair_id: by_id[pair_id].name for pair_id in known} == known
    assert set(by_id) == {*range(31), *range(38, 44), 55}
    assert all(1 <= pair.max_leverage <= 200 for pair in by_id.values())


def test_one_underlying_has_one_level_whatever_a_venue_calls_it() -> None:
    pepe = {
        market.multiplier: market.underlying
        for market in (*hyperliquid_markets(), *lighter_markets())
        if market.underlying.symbol == "PEPE"
    }
    assert pepe == {1000: underlyings()["PEPE"]}


def test_the_memecoin_spx_is_not_the_stock_index() -> None:
    perp = next(market for market in hyperliquid_markets() if market.name == "SPX")
    index = next(pair for pair in ostium_pairs() if pair.base == "SPX")
    assert perp.underlying.symbol != index.underlying.symbol
