"""Every strategy chooses what it says it does, from whatever it is given (R3)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentwhere_core.domain.enums import RoutingStrategy, Side, Venue
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.routing import FundsAt, RouteLeg, RoutingConfig, RoutingDecision
from agentwhere_core.where.availability import check_availability, least_usd
from agentwhere_core.where.router import route
from agentwhere_core.where.scene import RouteRequest, Scene, Site, Standing
from agentwhere_core.where.strategies.split import ROOM_ABOVE_MINIMUM, WORTH_A_LEG_BPS
from tests.core.examples import NOW, book, market

HL, OSTIUM, LIGHTER = Venue.HYPERLIQUID, Venue.OSTIUM, Venue.LIGHTER
VENUES = (HL, OSTIUM, LIGHTER)
RICH = Standing(FundsAt(equity_usd=Decimal(10**9), free_margin_usd=Decimal(10**9)))
COMPARING = (RoutingStrategy.BEST_LIQUIDITY, RoutingStrategy.LOWEST_FEES, RoutingStrategy.SPLIT)

World = tuple[RouteRequest, dict[Venue, Site], dict[Venue, Standing]]


def config(strategy: RoutingStrategy, priority: tuple[Venue, ...] = VENUES) -> RoutingConfig:
    return RoutingConfig(priority, strategy, True)


def decide(
    strategy: RoutingStrategy, world: World, priority: tuple[Venue, ...] = VENUES
) -> RoutingDecision:
    request, sites, standings = world
    return route(request, Scene("BTC", config(strategy, priority), sites, NOW), standings)


def request(notional: int | Decimal = 10_000) -> RouteRequest:
    return RouteRequest("BTC", Side.LONG, Decimal(notional) / 2, Decimal(2))


def sites(**changes: Mapping[str, object]) -> dict[Venue, Site]:
    """All three venues, alike but for what is changed of their markets."""
    return {
        venue: Site(replace(market(venue), **changes.get(venue.value.lower(), {})))  # type: ignore[arg-type]
        for venue in VENUES
    }


def everywhere(**changes: Mapping[str, object]) -> World:
    return request(), sites(**changes), dict.fromkeys(VENUES, RICH)


def test_best_liquidity_looks_at_slippage_and_not_at_fees() -> None:
    world = everywhere(lighter={"spread_bps": Decimal("0.1"), "taker_fee_bps": Decimal(50)})
    world[1][OSTIUM] = Site(replace(market(OSTIUM), spread_bps=Decimal(3)))
    assert decide(RoutingStrategy.BEST_LIQUIDITY, world).selected_venue is LIGHTER


def test_lowest_fees_looks_at_the_whole_round_trip() -> None:
    world = everywhere(
        lighter={"taker_fee_bps": Decimal(0), "funding_hourly": Decimal("0.0001")},  # 24 bps a day
        ostium={"close_fee_bps": Decimal(0)},
    )
    assert decide(RoutingStrategy.LOWEST_FEES, world).selected_venue is OSTIUM
    short = replace(world[0], side=Side.SHORT)
    assert decide(RoutingStrategy.LOWEST_FEES, (short, *world[1:])).selected_venue is LIGHTER


@pytest.mark.parametrize("strategy", COMPARING)
def test_of_equals_the_first_in_the_order_is_taken(strategy: RoutingStrategy) -> None:
    flat = {"volume_24h_usd": None, "spread_bps": Decimal(1)}
    world = everywhere(hyperliquid=flat, lighter=flat)
    del world[1][OSTIUM]
    for first, second in ((HL, LIGHTER), (LIGHTER, HL)):
        decision = decide(strategy, world, (first, second))
        assert decision.legs == (RouteLeg(first),)


def two_books(notional: int, *, usd: int = 100_000) -> World:
    """Two venues with the same book, too shallow for the trade."""
    seen = {
        venue: Site(replace(market(venue), taker_fee_bps=Decimal(1)), book(venue, usd=usd))
        for venue in (HL, LIGHTER)
    }
    return request(notional), seen, dict.fromkeys(VENUES, RICH)


def test_a_trade_that_one_book_cannot_bear_is_split_between_two() -> None:
    decision = decide(RoutingStrategy.SPLIT, two_books(2_000_000))
    assert decision.legs == (RouteLeg(HL, Decimal("0.5")), RouteLeg(LIGHTER, Decimal("0.5")))
    assert decision.selected_venue is HL
    assert decision.story.endswith("split into 50% HYPERLIQUID, 50% LIGHTER by SPLIT")


def test_a_trade_that_one_book_bears_is_not_split() -> None:
    assert decide(RoutingStrategy.SPLIT, two_books(50_000)).legs == (RouteLeg(HL),)


def test_a_split_is_made_where_no_account_can_bear_the_whole() -> None:
    _, seen, _ = two_books(100_000)
    half = Standing(FundsAt(equity_usd=Decimal(30_000), free_margin_usd=Decimal(30_000)))
    world = (request(100_000), seen, {HL: half, LIGHTER: half})
    decision = decide(RoutingStrategy.SPLIT, world)
    assert sum(leg.share for leg in decision.legs) == 1
    assert len(decision.legs) == 2
    assert all(leg.share * 50_000 <= 30_000 for leg in decision.legs)
    assert {answer.reason for answer in decision.checked[:1]} == {Reason.AVAILABLE}
    whole = decide(RoutingStrategy.LOWEST_FEES, world)
    assert {answer.reason for answer in whole.checked if answer.venue is not OSTIUM} == {
        Reason.UNFUNDED
    }


def test_what_all_accounts_together_cannot_bear_is_skipped_with_each_ones_reason() -> None:
    _, seen, _ = two_books(100_000)
    poor = Standing(FundsAt(equity_usd=Decimal(20_000), free_margin_usd=Decimal(20_000)))
    decision = decide(RoutingStrategy.SPLIT, (request(100_000), seen, {HL: poor, LIGHTER: poor}))
    assert decision.legs == ()
    assert decision.reason is Reason.NO_VENUE_AVAILABLE
    assert [answer.reason for answer in decision.checked] == [
        Reason.UNFUNDED,
        Reason.VENUE_DISABLED,
        Reason.UNFUNDED,
    ]


def test_no_leg_is_below_its_venues_minimum() -> None:
    trade, seen, rich = two_books(200_000, usd=20_000)
    least = Decimal(90_000)
    lighter = seen[LIGHTER].market
    assert lighter is not None
    seen[LIGHTER] = replace(seen[LIGHTER], market=replace(lighter, min_notional_usd=least))
    decision = decide(RoutingStrategy.SPLIT, (trade, seen, rich))
    shares = {leg.venue: leg.share for leg in decision.legs}
    assert shares[LIGHTER] * 200_000 >= least * ROOM_ABOVE_MINIMUM


amount = st.decimals("0", 20, places=1)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Up to three venues of which some are not available, with books or without."""
    seen, standings = {}, {}
    for venue in draw(st.sets(st.sampled_from(VENUES), min_size=1)):
        listed = replace(
            market(venue),
            taker_fee_bps=draw(amount),
            close_fee_bps=draw(st.none() | amount),
            spread_bps=draw(st.none() | amount),
            volume_24h_usd=draw(st.none() | st.decimals(10**6, 10**9, places=0)),
            funding_hourly=draw(st.none() | st.decimals("-0.0001", "0.0001", places=6)),
            oracle_fee_usd=draw(st.sampled_from([Decimal(0), Decimal(5)])),
            gas_fee_usd=draw(st.sampled_from([Decimal(0), Decimal(1)])),
            min_notional_usd=draw(st.sampled_from([Decimal(10), Decimal(20_000)])),
            is_active=draw(st.sampled_from([True, True, True, False])),
            long_headroom_usd=draw(st.sampled_from([None, None, Decimal(60_000)])),
        )
        depth = draw(st.sampled_from([None, 5_000, 40_000]))
        at = None if depth is None or venue is OSTIUM else book(venue, usd=depth)
        seen[venue] = Site(listed, at, is_healthy=draw(st.sampled_from([True, True, True, False])))
        free = draw(st.sampled_from([10**6, 10**6, 20_000]))
        standings[venue] = Standing(FundsAt(Decimal(free), Decimal(free)))
    return request(draw(st.sampled_from([500, 10_000, 100_000]))), seen, standings


@given(worlds(), st.permutations(VENUES))
def test_the_chosen_venue_is_the_best_of_those_that_are_available(
    world: World, order: list[Venue]
) -> None:
    priority = tuple(order)
    first = decide(RoutingStrategy.FIRST_AVAILABLE, world, priority)
    for strategy in (RoutingStrategy.BEST_LIQUIDITY, RoutingStrategy.LOWEST_FEES):
        decision = decide(strategy, world, priority)
        costs = {answer.venue: answer.cost for answer in decision.checked if answer.cost}
        assert bool(decision.legs) == bool(costs) == bool(first.legs)
        if not costs:
            continue
        chosen = decision.legs[0].venue
        attribute = "slippage_bps" if strategy is RoutingStrategy.BEST_LIQUIDITY else "total_bps"
        measured = {venue: getattr(cost, attribute) for venue, cost in costs.items()}
        least = min(measured.values())
        assert chosen == next(v for v in priority if measured.get(v) == least)
        assert first.legs[0].venue == next(v for v in priority if v in costs)


@given(worlds(), st.permutations(VENUES), st.sampled_from(RoutingStrategy))
def test_a_venue_that_is_not_available_changes_nothing(
    world: World, order: list[Venue], strategy: RoutingStrategy
) -> None:
    decision = decide(strategy, world, tuple(order))
    for venue in order:
        others = tuple(other for other in order if other is not venue)
        if not _can_take(world, venue, in_part=strategy is RoutingStrategy.SPLIT):
            assert decide(strategy, world, others).legs == decision.legs


def _can_take(world: World, venue: Venue, *, in_part: bool) -> bool:
    trade, seen, standings = world
    scene = Scene("BTC", config(RoutingStrategy.SPLIT), seen, NOW)
    answer = check_availability(venue, scene, trade, standings.get(venue), in_part=in_part)
    return answer.is_available


@given(worlds(), st.permutations(VENUES), st.sampled_from(COMPARING))
def test_the_order_matters_only_between_equals(
    world: World, order: list[Venue], strategy: RoutingStrategy
) -> None:
    one, other = decide(strategy, world), decide(strategy, world, tuple(order))
    assert bool(one.legs) == bool(other.legs)
    if one.legs:
        assert _usd(world, one.legs) == _usd(world, other.legs) or _value(strategy, one) == _value(
            strategy, other
        )


def _value(strategy: RoutingStrategy, decision: RoutingDecision) -> Decimal | None:
    cost = next(a.cost for a in decision.checked if a.venue is decision.selected_venue)
    if cost is None or strategy is RoutingStrategy.SPLIT:
        return None
    return cost.slippage_bps if strategy is RoutingStrategy.BEST_LIQUIDITY else cost.total_bps


def _usd(world: World, legs: tuple[RouteLeg, ...]) -> Decimal:
    """Return what a trade in these legs costs."""
    trade, seen, _ = world
    scene = Scene("BTC", config(RoutingStrategy.SPLIT), seen, NOW)
    total = Decimal(0)
    for leg in legs:
        pricing = scene.pricing(leg.venue)
        part = trade.notional_usd * leg.share
        total += pricing.fixed_usd + pricing.variable_usd(part, trade.side, trade.holding_h)
    return total.quantize(Decimal("1e-9"))


@settings(max_examples=60)
@given(worlds())
def test_a_split_costs_within_a_basis_point_of_the_best_that_brute_force_finds(
    world: World,
) -> None:
    trade, seen, _ = world
    decision = decide(RoutingStrategy.SPLIT, world)
    best = _brute_force(world, parts=40)
    if not decision.legs:
        assert best is None
        return
    assert sum(leg.share for leg in decision.legs) == 1
    for leg in decision.legs:
        listed = seen[leg.venue].market
        assert listed is not None
        assert leg.share * trade.notional_usd >= least_usd(listed)
    if best is not None:
        worse_bps = (_usd(world, decision.legs) - best) / trade.notional_usd * 10_000
        assert worse_bps <= 2 * WORTH_A_LEG_BPS < 1


def _brute_force(world: World, parts: int) -> Decimal | None:
    """Return the least cost over every way to hand out so many equal parts, or None if there is none."""
    trade, seen, standings = world
    able = [venue for venue in VENUES if _can_take(world, venue, in_part=True)]
    costs = []
    for given_out in itertools.product(range(parts + 1), repeat=len(able)):
        if sum(given_out) != parts:
            continue
        legs = tuple(
            RouteLeg(venue, Decimal(part) / parts)
            for venue, part in zip(able, given_out, strict=True)
            if part
        )
        if all(_fits(trade, seen, standings, leg) for leg in legs):
            costs.append(_usd(world, legs))
    return min(costs, default=None)


def _fits(
    trade: RouteRequest,
    seen: dict[Venue, Site],
    standings: dict[Venue, Standing],
    leg: RouteLeg,
) -> bool:
    """Tell whether a venue takes a leg as a trade of its own, with room above its minimum."""
    if leg.venue not in seen:
        return False
    listed = seen[leg.venue].market
    assert listed is not None
    part = trade.notional_usd * leg.share
    if leg.share < 1 and part < least_usd(listed) * ROOM_ABOVE_MINIMUM:
        return False
    alone = replace(trade, margin_usd=trade.margin_usd * leg.share)
    own = {leg.venue: standings[leg.venue]}
    scene = Scene("BTC", config(RoutingStrategy.FIRST_AVAILABLE, (leg.venue,)), seen, NOW)
    return bool(route(alone, scene, own).legs)
