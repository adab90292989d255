"""Regret compares what a trade cost with what it would have cost elsewhere (R7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from agentwhere_core.domain.enums import RoutingStrategy, Side, Venue
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.market import Market
from agentwhere_core.domain.routing import FundsAt, RoutingConfig
from agentwhere_core.performance.regret import Chosen, ClosedTrade, Fills, trade_regret
from agentwhere_core.where.scene import RouteRequest, Scene, Site, Standing
from tests.core.examples import NOW, market

D = Decimal
HL, OSTIUM, LIGHTER = Venue.HYPERLIQUID, Venue.OSTIUM, Venue.LIGHTER
TRADE = ClosedTrade(
    UUID(int=7),
    HL,
    Side.LONG,
    entry=Fills(D(5000), D(5000), D(1)),
    exit=Fills(D(5000), D(5000), D("0.5")),
    fees_usd=D(5),
    funding_usd=D(1),
    held=timedelta(hours=12),
)


def flat(venue: Venue, fee: str) -> Market:
    """Return a market whose only costs are its fee each way and a hundredth of a basis point an hour."""
    return replace(
        market(venue),
        taker_fee_bps=D(fee),
        spread_bps=D(0),
        volume_24h_usd=D(10) ** 18,
        funding_hourly=D("0.000001"),
    )


def chosen(**fees: str) -> Chosen:
    sites = {Venue(name): Site(flat(Venue(name), fee)) for name, fee in fees.items()}
    config = RoutingConfig((HL, OSTIUM, LIGHTER), RoutingStrategy.FIRST_AVAILABLE, True)
    rich = Standing(FundsAt(D(10**6), D(10**6)))
    request = RouteRequest("BTC", Side.LONG, D(5000), D(1))
    return Chosen(Scene("BTC", config, sites, NOW), request, dict.fromkeys(sites, rich))


def test_regret_compares_the_real_cost_with_what_each_available_venue_would_have_cost() -> None:
    found = trade_regret(TRADE, chosen(HYPERLIQUID="5", OSTIUM="12.44", LIGHTER="1.94"), {})
    # 7.5 USD on 5,000: 10 bps of fees, 3 of slippage, 2 of funding. Elsewhere 12 hours of funding are 0.12.
    rows = [
        (r.venue, r.was_selected, r.cost.total_bps, r.regret_bps, r.regret_usd)
        for r in found.venues
    ]
    assert rows == [
        (HL, True, D(15), D(0), D(0)),
        (OSTIUM, False, D(25), D(-10), D(-5)),
        (LIGHTER, False, D(4), D(11), D("5.5")),
    ]
    assert found.venues[0].cost.slippage_bps == 3
    assert found.model_error_bps == D("4.88")
    assert found.worst == found.venues[2]


def test_funding_that_was_observed_takes_the_place_of_what_was_expected() -> None:
    rates = {LIGHTER: D("0.0001")}
    lighter = trade_regret(TRADE, chosen(HYPERLIQUID="5", LIGHTER="2"), rates).venues[1]
    assert lighter.cost.funding_bps == 12


def test_where_no_mid_is_known_the_expected_slippage_counts() -> None:
    unknown = replace(TRADE, entry=Fills(D(5000)), exit=Fills(D(5000)))
    wide = chosen(HYPERLIQUID="5")
    site = wide.scene.sites[HL]
    assert site.market is not None
    sites = {HL: replace(site, market=replace(site.market, spread_bps=D(6)))}
    scene = Scene("BTC", wide.scene.config, sites, NOW)
    found = trade_regret(unknown, replace(wide, scene=scene), {})
    assert found.venues[0].cost.slippage_bps == 6


def test_without_a_cheaper_venue_nothing_is_regretted() -> None:
    assert trade_regret(TRADE, chosen(HYPERLIQUID="5", OSTIUM="12"), {}).worst is None


def test_a_venue_that_could_not_take_the_trade_is_no_alternative() -> None:
    seen = chosen(HYPERLIQUID="5", LIGHTER="1")
    closed = {**seen.scene.sites, LIGHTER: replace(seen.scene.sites[LIGHTER], is_healthy=False)}
    scene = Scene("BTC", seen.scene.config, closed, NOW)
    assert len(trade_regret(TRADE, replace(seen, scene=scene), {}).venues) == 1


def test_a_venue_without_an_adapter_has_a_cost_and_no_expectation() -> None:
    found = trade_regret(replace(TRADE, venue=Venue.GMX), chosen(HYPERLIQUID="5"), {})
    assert found.model_error_bps is None
    assert found.venues[0].cost.total_bps == 15


def test_a_trade_without_a_size_has_no_regret() -> None:
    empty = replace(TRADE, entry=Fills())
    with pytest.raises(InvariantError, match="fold its fills"):
        trade_regret(empty, chosen(HYPERLIQUID="5"), {})
