"""The price process and the market hours, as pure functions of seed and time."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from agentwhere_sim.hours import schedule
from agentwhere_sim.prices import wander
from agentwhere_sim.world import World

DAY_S = 86_400
MAY_2026_MS = 1_777_600_000_000


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, seed=11)


def test_a_price_depends_on_seed_symbol_and_time_alone(world: World, tmp_path: Path) -> None:
    twin, stranger = World(tmp_path / "twin", seed=11), World(tmp_path / "stranger", seed=12)
    for at_ms in (MAY_2026_MS, MAY_2026_MS - 5, MAY_2026_MS + 10**9):
        assert world.prices.mid("BTC", at_ms) == twin.prices.mid("BTC", at_ms)
        assert world.prices.mid("BTC", at_ms) != stranger.prices.mid("BTC", at_ms)


def test_the_path_is_continuous_and_moves_about_its_daily_volatility() -> None:
    days = [wander("3:ETH", 1.7e9 + DAY_S * day) for day in range(365)]
    daily = statistics.pstdev(later - earlier for earlier, later in pairwise(days))
    assert 0.6 < daily < 1.8
    seconds = [wander("3:ETH", 1.7e9 + second) for second in range(3600)]
    leaps = [abs(later - earlier) for earlier, later in pairwise(seconds)]
    assert max(leaps) < 0.03


def test_a_pin_holds_from_its_instant_on_and_rewrites_no_history(world: World) -> None:
    now_ms = world.now_ms()
    before = world.prices.mid("BTC", now_ms - 1000)
    world.prices.pin({"BTC": Decimal(123456)})
    assert world.prices.mid("BTC") == Decimal(123456)
    assert world.prices.mid("BTC", now_ms - 1000) == before
    world.prices.pin({"BTC": None})
    assert world.prices.mid("BTC") != Decimal(123456)


def test_a_pin_of_an_unknown_symbol_pins_nothing(world: World) -> None:
    with pytest.raises(ValueError, match="NOSUCH"):
        world.prices.pin({"BTC": Decimal(1), "NOSUCH": Decimal(1)})
    assert world.prices.pinned() == {}


@pytest.mark.parametrize(
    ("name", "instant", "is_open"),
    [
        ("forex", "2026-05-15T20:59:59+00:00", True),
        ("forex", "2026-05-15T21:00:00+00:00", False),
        ("forex", "2026-05-17T20:59:59+00:00", False),
        ("forex", "2026-05-17T21:00:00+00:00", True),
        ("metal", "2026-05-13T21:30:00+00:00", False),
        ("metal", "2026-05-13T22:00:00+00:00", True),
        ("us_stock", "2026-05-13T13:29:00+00:00", False),
        ("us_stock", "2026-05-13T13:30:00+00:00", True),
        ("us_stock", "2026-01-13T14:29:00+00:00", False),
        ("us_stock", "2026-05-16T15:00:00+00:00", False),
        ("tokyo", "2026-05-13T00:00:00+00:00", True),
        ("always", "2026-05-16T03:00:00+00:00", True),
    ],
)
def test_markets_open_and_close_in_their_own_time_zone(
    name: str, instant: str, is_open: bool
) -> None:
    assert schedule(name).is_open(datetime.fromisoformat(instant)) is is_open


def test_the_next_opening_is_told_in_seconds() -> None:
    saturday = datetime(2026, 5, 16, 12, tzinfo=UTC)
    assert schedule("forex").seconds_to_toggle(saturday) == 33 * 3600
