"""The router chooses as configured, explains itself, and can be replayed from a row (R1–R6)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.domain.enums import RoutingStrategy, Side, Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.market import Market
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.routing import (
    FundsAt,
    RoutingConfig,
    RoutingDecision,
    VenueAvailability,
)
from agentwhere_core.where.availability import check_availability
from agentwhere_core.where.config import config_of, validate_config
from agentwhere_core.where.record import tell_scene
from agentwhere_core.where.router import explain, replay, route
from agentwhere_core.where.scene import RouteRequest, Scene, Site, Standing
from tests.core.examples import NOW, book, market

HL, OSTIUM, LIGHTER = Venue.HYPERLIQUID, Venue.OSTIUM, Venue.LIGHTER

CONFIG = RoutingConfig(
    venue_priority=(HL, OSTIUM, LIGHTER),
    routing_strategy=RoutingStrategy.FIRST_AVAILABLE,
    failover_enabled=True,
    version=7,
)
FUNDS = FundsAt(equity_usd=Decimal(10_000), free_margin_usd=Decimal(9_000))
BTC = RouteRequest("BTC", Side.LONG, margin_usd=Decimal(500), leverage=Decimal(3))
XAU = replace(BTC, token="XAU")


View = tuple[Site, Standing | None]


def view(market: Market | None, funds: FundsAt | None = None, **known: Any) -> View:
    """What is known of a venue, with the funds of an account there."""
    return Site(market, **known), None if funds is None else Standing(funds)


def decide(
    request: RouteRequest,
    config: RoutingConfig,
    views: Mapping[Venue, View],
    now: datetime = NOW,
) -> RoutingDecision:
    scene, standings = split(request.token, config, views, now)
    return route(request, scene, standings)


def split(
    token: str, config: RoutingConfig, views: Mapping[Venue, View], now: datetime = NOW
) -> tuple[Scene, dict[Venue, Standing]]:
    scene = Scene(token, config, {venue: site for venue, (site, _) in views.items()}, now)
    return scene, {venue: standing for venue, (_, standing) in views.items() if standing}


def check(
    venue: Venue, seen: View, request: RouteRequest, now: datetime = NOW
) -> VenueAvailability:
    scene, standings = split(request.token, CONFIG, {venue: seen}, now)
    return check_availability(venue, scene, request, standings.get(venue))


def everywhere() -> dict[Venue, View]:
    """BTC on all venues; only Hyperliquid can execute."""
    return {
        HL: view(market(HL), FUNDS),
        OSTIUM: view(market(OSTIUM, name="BTC/USD"), can_execute=False),
        LIGHTER: view(market(LIGHTER), can_execute=False),
    }


def gold() -> dict[Venue, View]:
    """XAU on Ostium only."""
    ostium = replace(market(OSTIUM, "XAU", "XAU/USD"), price=Decimal(4000), group="COMMODITY")
    return {
        HL: view(None, FUNDS),
        OSTIUM: view(ostium, can_execute=False),
        LIGHTER: view(None, can_execute=False),
    }


def reasons(decision: RoutingDecision) -> list[tuple[Venue, Reason]]:
    return [(checked.venue, checked.reason) for checked in decision.checked]


def test_btc_goes_to_hyperliquid_and_nothing_else_is_looked_at() -> None:
    decision = decide(BTC, CONFIG, everywhere())
    assert decision.selected_venue is HL
    assert decision.reason is Reason.SELECTED
    assert reasons(decision) == [(HL, Reason.AVAILABLE)]
    assert decision.config_version == 7


def test_gold_goes_to_ostium_after_hyperliquid_was_checked() -> None:
    decision = decide(XAU, CONFIG, gold())
    assert decision.selected_venue is OSTIUM
    assert reasons(decision) == [(HL, Reason.NOT_LISTED), (OSTIUM, Reason.AVAILABLE)]
    assert decision.story.startswith(
        "Hyperliquid does not list XAU; Ostium lists XAU as XAU/USD, open, expected cost "
    )
    assert decision.story.endswith("; chosen by FIRST_AVAILABLE")


def test_a_token_that_nobody_lists_is_skipped_with_a_reason() -> None:
    nowhere = {venue: view(None) for venue in CONFIG.venue_priority}
    decision = decide(replace(BTC, token="WAGMICAT"), CONFIG, nowhere)
    assert decision.selected_venue is None
    assert decision.reason is Reason.NO_VENUE_AVAILABLE
    assert {reason for _, reason in reasons(decision)} == {Reason.NOT_LISTED}
    assert len(decision.checked) == 3


def test_a_signal_that_names_a_venue_is_not_rerouted() -> None:
    decision = decide(replace(BTC, requested_venue=OSTIUM), CONFIG, everywhere())
    assert decision.selected_venue is OSTIUM
    assert decision.reason is Reason.VENUE_NAMED_BY_SIGNAL
    assert reasons(decision) == [(OSTIUM, Reason.AVAILABLE)]


def test_a_named_venue_that_cannot_take_the_trade_skips_it_with_its_own_reason() -> None:
    decision = decide(replace(XAU, requested_venue=HL), CONFIG, gold())
    assert decision.selected_venue is None
    assert decision.reason is Reason.NOT_LISTED
    assert "not rerouted" in decision.story


@pytest.mark.parametrize("venue", [Venue.SPOT, Venue.GMX])
def test_a_named_venue_without_an_adapter_is_passed_on_untouched(venue: Venue) -> None:
    decision = decide(replace(BTC, requested_venue=venue), CONFIG, everywhere())
    assert decision.selected_venue is venue
    assert decision.reason is Reason.VENUE_NAMED_BY_SIGNAL
    assert decision.checked == ()


def test_without_failover_only_the_first_venue_is_considered() -> None:
    decision = decide(XAU, replace(CONFIG, failover_enabled=False), gold())
    assert decision.selected_venue is None
    assert reasons(decision) == [(HL, Reason.NOT_LISTED)]


def test_a_token_may_have_a_priority_of_its_own() -> None:
    config = replace(CONFIG, token_overrides={"BTC": (LIGHTER,)})
    assert decide(BTC, config, everywhere()).selected_venue is LIGHTER
    assert decide(replace(BTC, token="ETH"), config, everywhere()).selected_venue is HL


def test_a_venue_without_a_view_is_switched_off() -> None:
    views = everywhere()
    del views[HL]
    decision = decide(BTC, CONFIG, views)
    assert reasons(decision) == [(HL, Reason.VENUE_DISABLED), (OSTIUM, Reason.AVAILABLE)]


def funds(**changes: Any) -> FundsAt:
    return replace(FUNDS, **changes)


@pytest.mark.parametrize(
    ("known", "listed", "reason"),
    [
        ({"is_enabled": False}, {}, Reason.VENUE_DISABLED),
        ({"is_stopped": True}, {}, Reason.KILL_SWITCH),
        ({"is_healthy": False}, {}, Reason.VENUE_UNHEALTHY),
        ({"market": None}, {}, Reason.NOT_LISTED),
        ({}, {"is_active": False}, Reason.INACTIVE),
        ({}, {"last_synced": NOW - timedelta(hours=27)}, Reason.STALE_DATA),
        ({}, {"is_open": False}, Reason.MARKET_CLOSED),
        ({}, {"price": None}, Reason.PRICE_UNAVAILABLE),
        ({}, {"price": Decimal(0)}, Reason.PRICE_UNAVAILABLE),
        ({}, {"max_leverage": Decimal("2.5")}, Reason.LEVERAGE_TOO_HIGH),
        ({}, {"min_notional_usd": Decimal(1501)}, Reason.BELOW_MINIMUM),
        ({}, {"min_size": Decimal("0.0151")}, Reason.BELOW_MINIMUM),
        ({}, {"long_headroom_usd": Decimal(1499)}, Reason.OPEN_INTEREST_CAP),
        ({"funds": None}, {}, Reason.NO_ACCOUNT),
        ({"funds": funds(open_tokens=frozenset({"BTC"}))}, {}, Reason.POSITION_EXISTS),
        ({"funds": funds(pending_tokens=frozenset({"BTC"}))}, {}, Reason.ORDER_PENDING),
        ({"funds": funds(free_margin_usd=Decimal(500))}, {}, Reason.UNFUNDED),
    ],
)
def test_every_obstacle_has_its_reason_and_words(
    known: dict[str, Any], listed: dict[str, Any], reason: Reason
) -> None:
    seen = view(**{"market": replace(market(), **listed), "funds": FUNDS} | known)
    answer = check(HL, seen, BTC)
    assert (answer.is_available, answer.reason) == (False, reason)
    assert "yperliquid" in answer.detail
    assert answer.cost is None


def test_the_account_must_cover_margin_and_the_entry_fee() -> None:
    enough = view(market(), funds(free_margin_usd=Decimal("500.675")))
    assert check(HL, enough, BTC).is_available


def test_a_venue_that_cannot_execute_yet_is_not_judged_by_its_account() -> None:
    answer = check(OSTIUM, view(market(OSTIUM), None, can_execute=False), BTC)
    assert answer.is_available


def test_a_closed_market_says_until_when() -> None:
    closed = replace(market(), is_open=False, opens_at=NOW + timedelta(hours=8))
    answer = check(HL, view(closed, FUNDS), BTC)
    assert answer.reason is Reason.MARKET_CLOSED
    assert "until 2025-11-12 20:00 UTC" in answer.detail
    assert check(HL, view(closed, FUNDS), BTC, NOW + timedelta(hours=8)).is_available


def test_a_ticker_that_costs_something_else_elsewhere_is_not_traded() -> None:
    """Were SPX the token of the memecoin and of the index, neither could be bought by that name."""
    views = {
        HL: view(replace(market(HL, "SPX"), price=Decimal("0.72")), FUNDS),
        OSTIUM: view(replace(market(OSTIUM, "SPX"), price=Decimal(6830)), can_execute=False),
    }
    decision = decide(replace(BTC, token="SPX"), CONFIG, views)
    assert decision.selected_venue is None
    assert reasons(decision)[:2] == [(HL, Reason.PRICE_DISAGREES), (OSTIUM, Reason.PRICE_DISAGREES)]


def test_a_delisted_markets_last_price_proves_nothing() -> None:
    views = everywhere()
    views[OSTIUM] = view(replace(market(OSTIUM), price=Decimal(1), is_active=False))
    assert decide(BTC, CONFIG, views).selected_venue is HL


def test_an_explanation_tells_the_story_in_lines() -> None:
    lines = explain(decide(XAU, CONFIG, gold()))
    assert lines[0] == "Requested: MULTI, strategy FIRST_AVAILABLE."
    assert lines[1] == "1. HYPERLIQUID: NOT_LISTED. Hyperliquid does not list XAU."
    assert lines[2].startswith("   What to do: ")
    assert lines[3].startswith("2. OSTIUM: available. Ostium lists XAU as XAU/USD")
    assert "Result: goes to OSTIUM (SELECTED)." in lines
    skipped = explain(decide(XAU, CONFIG, {}))
    assert "Result: skipped (NO_VENUE_AVAILABLE)." in skipped


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"venue_priority": ()}, "venue_priority"),
        ({"venue_priority": (HL, HL)}, "venue_priority"),
        ({"venue_priority": (Venue.MULTI,)}, "venue_priority"),
        ({"token_exclusions": {"BTC": ()}}, r"token_exclusions\[BTC\]"),
        (
            {"token_exclusions": {"BTC": (HL, OSTIUM, LIGHTER)}},
            r"token_exclusions\[BTC\] leaves no",
        ),
        ({"token_overrides": {"btc": (HL,)}}, "token_overrides"),
        ({"token_overrides": {"BTC": ()}}, r"token_overrides\[BTC\]"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_when_written(
    change: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigurationError, match=field):
        validate_config(replace(CONFIG, **change))


def test_the_default_configuration_is_valid() -> None:
    validate_config(CONFIG)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"routing_strategy": "CHEAPEST"}, "routing_strategy 'CHEAPEST'.*FIRST_AVAILABLE.*SPLIT"),
        ({"venue_priority": ["BINANCE"]}, "venue_priority names 'BINANCE'.*HYPERLIQUID"),
        ({"token_overrides": {"BTC": ["FTX"]}}, r"token_overrides\[BTC\] names 'FTX'"),
    ],
)
def test_words_that_are_not_known_are_refused_when_written(
    change: dict[str, Any], message: str
) -> None:
    given: dict[str, Any] = {
        "venue_priority": ["HYPERLIQUID"],
        "routing_strategy": "LOWEST_FEES",
        "failover_enabled": True,
    }
    assert config_of(**given).routing_strategy is RoutingStrategy.LOWEST_FEES
    with pytest.raises(ConfigurationError, match=message):
        config_of(**given | change)


def test_a_venue_that_is_excluded_for_a_token_is_never_asked_about_it() -> None:
    config = replace(CONFIG, token_exclusions={"BTC": (HL,)})
    assert reasons(decide(BTC, config, everywhere())) == [(OSTIUM, Reason.AVAILABLE)]
    assert decide(replace(BTC, token="ETH"), config, everywhere()).selected_venue is HL


def test_a_stopped_deployment_goes_nowhere() -> None:
    scene, _ = split("BTC", CONFIG, everywhere())
    stopped = {venue: Standing(FUNDS, is_stopped=True) for venue in (HL, OSTIUM, LIGHTER)}
    assert reasons(route(BTC, scene, stopped)) == [
        (venue, Reason.KILL_SWITCH) for venue in CONFIG.venue_priority
    ]


def test_scenes_of_an_unknown_version_are_not_replayed() -> None:
    decision = decide(BTC, CONFIG, everywhere())
    with pytest.raises(ConfigurationError, match="version 99"):
        replay(decision.inputs, {"version": 99})


money = st.decimals(0, 10**7, places=2)
maybe = st.none() | st.decimals("0.0001", 10**10, places=4)


@st.composite
def markets(draw: st.DrawFn, venue: Venue) -> Market:
    return replace(
        market(venue),
        size_multiplier=draw(st.sampled_from([Decimal(1), Decimal(1000)])),
        is_active=draw(st.booleans()),
        group=draw(st.sampled_from(["CRYPTO", "FX", "OTHER"])),
        min_size=draw(st.sampled_from([Decimal(0), Decimal("0.001")])),
        max_leverage=draw(st.sampled_from([Decimal(2), Decimal(50)])),
        oracle_fee_usd=draw(st.sampled_from([Decimal(0), Decimal("0.10")])),
        price=draw(maybe),
        spread_bps=draw(maybe),
        volume_24h_usd=draw(maybe),
        funding_hourly=draw(st.none() | st.decimals("-0.01", "0.01", places=7)),
        is_open=draw(st.booleans()),
        opens_at=draw(st.sampled_from([None, NOW, NOW + timedelta(hours=1)])),
        last_synced=NOW - timedelta(hours=draw(st.sampled_from([0, 1, 30]))),
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[RouteRequest, RoutingConfig, dict[Venue, View]]:
    accounts = st.none() | st.builds(
        FundsAt,
        equity_usd=money,
        free_margin_usd=money,
        open_tokens=st.sampled_from([frozenset(), frozenset({"BTC"}), frozenset({"ETH"})]),
        pending_tokens=st.sampled_from([frozenset(), frozenset({"BTC"})]),
    )
    mostly = st.sampled_from([True, True, True, False])
    views = {
        venue: view(
            market=draw(st.none() | markets(venue)),
            funds=draw(accounts),
            can_execute=draw(st.booleans()),
            is_enabled=draw(mostly),
            is_healthy=draw(mostly),
            is_stopped=not draw(mostly),
            book=draw(st.sampled_from([None, book(venue)])),
        )
        for venue in draw(st.sets(st.sampled_from([HL, OSTIUM, LIGHTER])))
    }
    request = RouteRequest(
        token="BTC",
        side=draw(st.sampled_from(list(Side))),
        margin_usd=draw(money),
        leverage=draw(st.decimals(1, 50, places=1)),
        requested_venue=draw(st.sampled_from(list(Venue))),
        holding_h=draw(st.decimals(0, 1000, places=1)),
    )
    priority = draw(st.permutations([HL, OSTIUM, LIGHTER]))
    config = replace(
        CONFIG,
        venue_priority=tuple(priority),
        failover_enabled=draw(st.booleans()),
        routing_strategy=draw(st.sampled_from(RoutingStrategy)),
        token_overrides=draw(st.sampled_from([{}, {"BTC": (LIGHTER, HL)}])),
    )
    return request, config, views


@given(worlds())
def test_a_decision_is_recomputed_from_its_row_and_its_scene(
    world: tuple[RouteRequest, RoutingConfig, dict[Venue, View]],
) -> None:
    request, config, views = world
    scene, standings = split("BTC", config, views)
    decision = route(request, scene, standings)
    row = json.loads(json.dumps(decision.inputs, sort_keys=True))
    kept = json.loads(json.dumps(tell_scene(scene), sort_keys=True))
    assert row == decision.inputs
    assert replay(row, kept) == decision


@given(worlds())
def test_a_venue_is_selected_only_if_it_was_found_available(
    world: tuple[RouteRequest, RoutingConfig, dict[Venue, View]],
) -> None:
    request, config, views = world
    decision = decide(request, config, views)
    checked = [answer.venue for answer in decision.checked]
    assert all(answer.cost is not None for answer in decision.checked if answer.is_available)
    if request.requested_venue is not Venue.MULTI:
        assert decision.selected_venue in {None, request.requested_venue}
        return
    assert checked == list(config.priority_for("BTC"))[: len(checked)]
    available = [answer.venue for answer in decision.checked if answer.is_available]
    legs = [leg.venue for leg in decision.legs]
    assert set(legs) <= set(available)
    assert bool(legs) == (decision.selected_venue is not None)
    if config.routing_strategy is RoutingStrategy.FIRST_AVAILABLE:
        assert available == legs
    assert decision.story
