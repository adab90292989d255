"""The worked examples of docs/routing.md are what the code computes."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from agentwhere_core.domain.enums import RoutingStrategy, Side, Venue
from agentwhere_core.domain.market import Book, Market, OracleImpact
from agentwhere_core.domain.routing import FundsAt, RoutingConfig, RoutingDecision
from agentwhere_core.where.router import route
from agentwhere_core.where.scene import RouteRequest, Scene, Site, Standing
from tests.core.examples import NOW, market

PAGE = (Path(__file__).parents[2] / "docs/routing.md").read_text(encoding="utf-8")
PRIORITY = (Venue.LIGHTER, Venue.HYPERLIQUID, Venue.OSTIUM)
NOTIONAL = Decimal(300_000)
MID = Decimal(100_000)


def table(first: str) -> list[dict[str, str]]:
    """Return the rows of the page's table whose first column is called ``first``."""
    block = re.search(rf"^\| {first} \|.*?(?=\n\n)", PAGE, re.MULTILINE | re.DOTALL)
    assert block is not None, f"docs/routing.md has no table of {first}"
    lines = [line.strip("| ").split(" | ") for line in block.group().splitlines()]
    names = [cell.strip() for cell in lines[0]]
    return [dict(zip(names, (cell.strip() for cell in line), strict=True)) for line in lines[2:]]


def told_book(venue: Venue) -> Book | None:
    levels = [
        (Decimal(row["distance from mid USD"]), Decimal(row["size USD"]) / MID)
        for row in table("book of")
        if row["book of"] == venue
    ]
    if not levels:
        return None
    bids = tuple((MID - distance, size) for distance, size in levels)
    asks = tuple((MID + distance, size) for distance, size in levels)
    return Book(venue, "BTC", bids, asks, NOW)


def told_market(row: dict[str, str]) -> Market:
    venue = Venue(row["market of"])
    spread = row["spread bps"]
    impact = OracleImpact(Decimal("1e-11"), Decimal(1_000_000), Decimal(900_000), Decimal(0))
    return replace(
        market(venue),
        taker_fee_bps=Decimal(row["taker fee bps"]),
        close_fee_bps=Decimal(row["close fee bps"]),
        spread_bps=None if spread == "book" else Decimal(spread),
        funding_hourly=Decimal(row["funding per hour"]),
        rollover_hourly=Decimal(row["rollover per hour"]),
        oracle_fee_usd=Decimal(row["oracle USD"]),
        gas_fee_usd=Decimal(row["gas USD"]),
        oracle_impact=impact if venue is Venue.OSTIUM else None,
    )


def scene(strategy: RoutingStrategy) -> Scene:
    markets = [told_market(row) for row in table("market of")]
    sites = {listed.venue: Site(listed, told_book(listed.venue)) for listed in markets}
    return Scene("BTC", RoutingConfig(PRIORITY, strategy, True), sites, NOW)


def decide(strategy: RoutingStrategy) -> tuple[Scene, RoutingDecision]:
    seen = scene(strategy)
    rich = Standing(FundsAt(Decimal(10**6), Decimal(10**6)))
    request = RouteRequest("BTC", Side.LONG, NOTIONAL / 3, Decimal(3))
    return seen, route(request, seen, dict.fromkeys(PRIORITY, rich))


def test_the_pages_costs_follow_from_its_markets_and_books() -> None:
    told = table("cost at")
    _, decision = decide(RoutingStrategy.LOWEST_FEES)
    assert [row["cost at"] for row in told] == [answer.venue for answer in decision.checked]
    for row, answer in zip(told, decision.checked, strict=True):
        cost = answer.cost
        assert cost is not None
        terms = [name for name in row if name != "cost at"]
        computed = {name: getattr(cost, f"{name.replace(' ', '_')}_bps") for name in terms}
        assert computed == {name: Decimal(row[name]) for name in terms}, answer.venue


@pytest.mark.parametrize("strategy", list(RoutingStrategy))
def test_the_pages_strategies_choose_what_it_says(strategy: RoutingStrategy) -> None:
    told = next(row for row in table("by strategy") if row["by strategy"] == f"`{strategy}`")
    seen, decision = decide(strategy)
    places = [f"{leg.share:.0%} {leg.venue}" for leg in decision.legs]
    goes_to = decision.legs[0].venue if len(places) == 1 else ", ".join(places)
    total = sum(
        seen.pricing(leg.venue).cost(NOTIONAL * leg.share, Side.LONG, Decimal(24)).total_bps
        * leg.share
        for leg in decision.legs
    )
    assert (goes_to, total.quantize(Decimal("0.0001"))) == (
        told["goes to"],
        Decimal(told["costs bps"]),
    )
