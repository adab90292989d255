"""One token per thing: the rules of R9, and the merges that must never happen."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.market import Market
from agentwhere_core.venues.symbols import KNOWN_NAMES, CanonicalSymbol, canonical, unlike
from agentwhere_sim.universe import hyperliquid_markets, lighter_markets, ostium_pairs
from tests.core.examples import market

RECORDED = Path(__file__).parents[3] / "shared" / "data"

HL, OSTIUM, LIGHTER = Venue.HYPERLIQUID, Venue.OSTIUM, Venue.LIGHTER


@pytest.mark.parametrize(
    ("venue", "name", "token", "multiplier"),
    [
        (HL, "kPEPE", "PEPE", 1000),
        (LIGHTER, "1000PEPE", "PEPE", 1000),
        (OSTIUM, "PEPE/USD", "PEPE", 1),
        (HL, "BTC-PERP", "BTC", 1),
        (HL, "BTC-USD", "BTC", 1),
        (HL, "BTC-USD-PERP", "BTC", 1),
        (LIGHTER, "BTC_USDC", "BTC", 1),
        (LIGHTER, "1000PEPE-PERP", "PEPE", 1000),
        (LIGHTER, "1MBABYDOGE", "BABYDOGE", 1_000_000),
        (LIGHTER, "1000000MOG", "MOG", 1_000_000),
        (OSTIUM, "XAU/USD", "XAU", 1),
        (OSTIUM, "XAUUSD", "XAU", 1),
        (LIGHTER, "XAU", "XAU", 1),
        (HL, "xyz:TSLA", "TSLA", 1),
        (OSTIUM, "TSLA/USD", "TSLA", 1),
        (LIGHTER, "TSLA", "TSLA", 1),
        (OSTIUM, "EUR/USD", "EUR", 1),
        (LIGHTER, "EURUSD", "EUR", 1),
        (OSTIUM, "USD/JPY", "USDJPY", 1),
        (LIGHTER, "USDJPY", "USDJPY", 1),
        (OSTIUM, "NIK/JPY", "NIK", 1),
        (OSTIUM, "HYPEUSD", "HYPE", 1),
        (LIGHTER, "WTI", "CL", 1),
        (OSTIUM, "CL/USD", "CL", 1),
        (HL, "btc", "BTC", 1),
    ],
)
def test_names_of_one_thing_meet_in_one_token(
    venue: Venue, name: str, token: str, multiplier: int
) -> None:
    assert canonical(venue, name) == CanonicalSymbol(token, Decimal(multiplier))


@pytest.mark.parametrize(
    "name", ["KAS", "KAITO", "1INCH", "0G", "2Z", "AI16Z", "kX", "Kpepe", "1000", "MON", "USDC"]
)
def test_a_name_that_only_looks_like_a_unit_stays_whole(name: str) -> None:
    assert canonical(HL, name) == CanonicalSymbol(name.upper(), Decimal(1))


def test_the_memecoin_spx_and_the_stock_index_never_meet() -> None:
    assert canonical(HL, "SPX").token == canonical(LIGHTER, "SPX").token == "SPX6900"
    assert canonical(OSTIUM, "SPX/USD").token == canonical(OSTIUM, "SPXUSD").token == "US500"
    assert canonical(HL, "xyz:SPX").token == "US500"


def test_a_bare_spx_in_a_post_names_neither() -> None:
    assert "spx" not in KNOWN_NAMES
    assert "SPX" not in {canonical(venue, "SPX").token for venue in (HL, OSTIUM, LIGHTER)}


def test_a_builders_own_names_are_not_merged() -> None:
    assert canonical(HL, "flx:GAS").token == "FLX:GAS"
    assert canonical(HL, "GAS").token == "GAS"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((OSTIUM, "GOOG/USD"), (LIGHTER, "GOOGL")),  # two classes of shares
        ((OSTIUM, "XAU/USD"), (HL, "PAXG")),  # a coin that follows gold
        ((OSTIUM, "SPX/USD"), (LIGHTER, "SPY")),  # a tenth of the index
        ((LIGHTER, "SAMSUNG"), (LIGHTER, "SAMSUNGUSD")),  # quoted in won, and in dollars
        ((OSTIUM, "META/USD"), (HL, "MET")),
        ((HL, "kNEIRO"), (HL, "NEIROETH")),
        ((HL, "MKR"), (HL, "SKY")),
    ],
)
def test_things_that_resemble_each_other_stay_apart(
    one: tuple[Venue, str], other: tuple[Venue, str]
) -> None:
    assert canonical(*one).token != canonical(*other).token


def test_no_name_of_a_currency_turns_a_trade_around() -> None:
    """Long yen is short USDJPY, so the word alone must not select the pair."""
    for word in ("yen", "franc", "peso", "loonie"):
        assert word not in KNOWN_NAMES


def test_known_names_are_lower_case_and_lead_to_tokens() -> None:
    assert all(name == name.lower() for name in KNOWN_NAMES)
    assert all(token == token.upper() for token in KNOWN_NAMES.values())
    assert KNOWN_NAMES["bitcoin"] == "BTC"
    assert KNOWN_NAMES["gold"] == "XAU"
    assert KNOWN_NAMES["euro"] == "EUR"


@pytest.mark.parametrize("name", ["", "  ", "BTC;DROP", "\uff22\uff34\uff23", "-BTC", "BTC\x00"])
def test_what_is_no_market_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="no market name"):
        canonical(HL, name)


@given(st.sampled_from(list(Venue)), st.from_regex(r"[A-Za-z0-9]{2,12}", fullmatch=True))
def test_a_canonical_token_is_in_capitals_and_its_multiplier_at_least_one(
    venue: Venue, name: str
) -> None:
    symbol = canonical(venue, name)
    assert symbol.token == symbol.token.upper() != ""
    assert symbol.multiplier in {1, 1000, 10_000, 100_000, 1_000_000}


def recorded(name: str) -> dict[str, list[dict[str, object]]]:
    path = RECORDED / name
    if not path.exists():
        pytest.skip(f"the recordings are not here: {path.name}")
    data: dict[str, list[dict[str, object]]] = json.loads(path.read_text())
    return data


def listed() -> dict[Venue, dict[str, tuple[str, Decimal]]]:
    """Tokens of the recorded lists, with the venue's name and the price of one canonical unit."""
    lists: dict[Venue, dict[str, tuple[str, Decimal]]] = {HL: {}, LIGHTER: {}}
    for row in recorded("hyperliquid_universe.json")["universe"]:
        symbol = canonical(HL, str(row["name"]))
        price = Decimal(0) if row["isDelisted"] else Decimal(str(row["markPx"]))
        lists[HL][symbol.token] = (str(row["name"]), price / symbol.multiplier)
    for row in recorded("lighter_markets.json")["markets"]:
        symbol = canonical(LIGHTER, str(row["symbol"]))
        price = Decimal(str(row["last_trade_price"]))
        lists[LIGHTER][symbol.token] = (str(row["symbol"]), price / symbol.multiplier)
    return lists


def test_every_recorded_market_has_a_token_of_its_own() -> None:
    lists = listed()
    assert len(lists[HL]) == 220
    assert len(lists[LIGHTER]) == 105
    later = recorded("lighter_markets.json")["later_markets"]
    assert isinstance(later, dict)
    names = [
        *lists[LIGHTER],
        *(canonical(LIGHTER, row["symbol"]).token for row in later["markets"]),
    ]
    assert not [name for name, count in Counter(names).items() if count > 1]


def test_recorded_markets_of_one_token_cost_the_same() -> None:
    lists = listed()
    shared = lists[HL].keys() & lists[LIGHTER].keys()
    assert len(shared) > 75
    for token in shared:
        one, other = lists[HL][token][1], lists[LIGHTER][token][1]
        if one and other:
            assert Decimal("0.5") < one / other < 2, token


def at(venue: Venue, price: str | None, multiplier: int = 1) -> Market:
    return replace(
        market(venue=venue),
        price=None if price is None else Decimal(price),
        size_multiplier=Decimal(multiplier),
    )


def test_a_market_that_costs_something_else_is_another_thing() -> None:
    assert unlike([at(HL, "0.72"), at(OSTIUM, "6830")]) == {HL, OSTIUM}
    assert unlike([at(HL, "0.72"), at(OSTIUM, "6830"), at(LIGHTER, "0.64")]) == {OSTIUM}


def test_prices_of_one_thing_may_differ_a_little_and_by_their_units() -> None:
    assert unlike([at(HL, "660"), at(LIGHTER, "480")]) == frozenset()
    assert unlike([at(HL, "0.006", 1000), at(OSTIUM, "0.000006")]) == frozenset()
    assert unlike([at(HL, "660"), at(LIGHTER, None), at(OSTIUM, "0")]) == frozenset()


def test_the_simulated_venues_markets_get_the_tokens_that_their_tables_say() -> None:
    """The simulator's tables were written by other hands; they call the memecoin SPX."""
    named = [
        *((HL, each.name, each.underlying, each.multiplier) for each in hyperliquid_markets()),
        *((OSTIUM, f"{each.base}/{each.quote}", each.underlying, 1) for each in ostium_pairs()),
        *((OSTIUM, each.name, each.underlying, 1) for each in ostium_pairs()),
        *((LIGHTER, each.symbol, each.underlying, each.multiplier) for each in lighter_markets()),
    ]
    assert len(named) > 350
    for venue, name, underlying, multiplier in named:
        token = "SPX6900" if underlying.symbol == "SPX" else underlying.symbol
        assert canonical(venue, name) == CanonicalSymbol(token, Decimal(multiplier))
