"""Exits: which rule closes a position, at which level, and which rule wins."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.domain.enums import ExitReason, PositionStatus, Side, Venue
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.trade import Position
from agentwhere_core.execution.exits import (
    ExitRules,
    advance_best_price,
    decide_exit,
    decide_exits,
    protective_prices,
    trailing_stop_level,
)

OPENED = datetime(2026, 1, 5, 12, tzinfo=UTC)
LATER = OPENED + timedelta(hours=1)
D = Decimal

LONG = Position(
    id=UUID(int=1),
    deployment_id=UUID(int=2),
    agent_id=UUID(int=3),
    account_id=UUID(int=4),
    signal_id=UUID(int=5),
    venue=Venue.HYPERLIQUID,
    token="BTC",
    market_name="BTC",
    side=Side.LONG,
    size=D(2),
    entry_price=D(100),
    leverage=D(5),
    status=PositionStatus.OPEN,
    opened_at=OPENED,
    stop_loss_price=D(95),
    take_profit_price=D(110),
)
SHORT = replace(LONG, side=Side.SHORT, stop_loss_price=D(105), take_profit_price=D(90))
TRAILING = replace(
    LONG, take_profit_price=None, trailing_activation_pct=D(5), trailing_distance_pct=D(2)
)

prices = st.decimals("0.01", "1000", places=2)
percents = st.decimals("0.1", "60", places=1)


def reason(
    position: Position, price: str | Decimal, now: datetime = LATER, *, kill_switch: bool = False
) -> ExitReason | None:
    decision = decide_exit(position, D(price), now, kill_switch=kill_switch)
    return decision.reason if decision else None


@pytest.mark.parametrize(
    ("position", "price", "expected"),
    [
        (LONG, "100", None),
        (LONG, "95.01", None),
        (LONG, "95", ExitReason.STOP_LOSS),
        (LONG, "60", ExitReason.STOP_LOSS),
        (LONG, "109.99", None),
        (LONG, "110", ExitReason.TAKE_PROFIT),
        (SHORT, "104.99", None),
        (SHORT, "105", ExitReason.STOP_LOSS),
        (SHORT, "90.01", None),
        (SHORT, "90", ExitReason.TAKE_PROFIT),
    ],
)
def test_a_level_closes_when_the_price_reaches_it(
    position: Position, price: str, expected: ExitReason | None
) -> None:
    assert reason(position, price) is expected


def test_a_decision_tells_its_story() -> None:
    decision = decide_exit(LONG, D("94.5"), LATER)
    assert decision is not None
    assert decision.story == "LONG BTC at 94.5: reached the stop loss 95"
    assert (decision.level, decision.at, decision.position_id) == (D(95), LATER, LONG.id)


def test_a_position_without_levels_stays_open() -> None:
    bare = replace(LONG, stop_loss_price=None, take_profit_price=None)
    assert reason(bare, "0.0001") is None
    assert reason(bare, "1000000") is None


def test_a_trailing_stop_sleeps_until_its_activation() -> None:
    assert trailing_stop_level(TRAILING, D("104.99")) is None
    assert trailing_stop_level(TRAILING, D(105)) == D("102.9")
    assert reason(replace(TRAILING, best_price=D("104.99")), "101") is None


def test_an_active_trailing_stop_follows_the_best_price() -> None:
    risen = replace(TRAILING, best_price=D(120))
    assert trailing_stop_level(risen, D(119)) == D("117.6")
    assert reason(risen, "117.61") is None
    assert reason(risen, "117.6") is ExitReason.TRAILING_STOP
    assert trailing_stop_level(risen, D(130)) == D("127.4")


def test_a_trailing_stop_of_a_short_mirrors_that_of_a_long() -> None:
    fallen = replace(TRAILING, side=Side.SHORT, stop_loss_price=None, best_price=D(80))
    assert trailing_stop_level(fallen, D(81)) == D("81.6")
    assert reason(fallen, "81.59") is None
    assert reason(fallen, "81.6") is ExitReason.TRAILING_STOP
    assert reason(replace(fallen, best_price=D("95.01")), "96") is None


def test_a_position_closes_after_its_longest_holding_time() -> None:
    held = replace(LONG, max_holding_h=D("1.5"))
    assert reason(held, "100", OPENED + timedelta(minutes=89)) is None
    assert reason(held, "100", OPENED + timedelta(minutes=90)) is ExitReason.MAX_HOLDING_TIME


def test_a_position_closes_before_its_venue_liquidates_it() -> None:
    near = replace(LONG, stop_loss_price=None, liquidation_price=D(80))
    assert reason(near, "81.64") is None
    assert reason(near, "81.63") is ExitReason.LIQUIDATION_DISTANCE
    assert reason(near, "79") is ExitReason.LIQUIDATION_DISTANCE
    near = replace(near, side=Side.SHORT, take_profit_price=None, liquidation_price=D(120))
    assert reason(near, "117.64") is None
    assert reason(near, "117.65") is ExitReason.LIQUIDATION_DISTANCE


def test_high_leverage_does_not_close_a_position_at_its_entry() -> None:
    high = replace(LONG, stop_loss_price=None, liquidation_price=D("99.1"))
    assert reason(high, "100") is None
    assert reason(high, "99.29") is None
    assert reason(high, "99.28") is ExitReason.LIQUIDATION_DISTANCE


def test_cross_margin_can_put_liquidation_beyond_the_entry_price() -> None:
    crossed = replace(LONG, take_profit_price=None, liquidation_price=D(120))
    assert reason(crossed, "150") is None
    assert reason(crossed, "122") is ExitReason.LIQUIDATION_DISTANCE


def test_a_liquidation_price_of_zero_or_a_rule_switched_off_closes_nothing() -> None:
    assert reason(replace(LONG, liquidation_price=D(0)), "100") is None
    near = replace(LONG, stop_loss_price=None, liquidation_price=D(80))
    assert decide_exit(near, D(80), LATER, ExitRules(min_liquidation_distance_pct=None)) is None


def test_when_rules_meet_the_first_of_the_documented_order_is_the_reason() -> None:
    everything = replace(
        LONG,
        liquidation_price=D(80),
        stop_loss_price=D(81),
        take_profit_price=D(81),
        trailing_activation_pct=D(5),
        trailing_distance_pct=D(2),
        best_price=D(200),
        max_holding_h=D("0.5"),
    )
    assert reason(everything, "81", kill_switch=True) is ExitReason.KILL_SWITCH
    assert reason(everything, "81") is ExitReason.LIQUIDATION_DISTANCE
    no_liquidation = replace(everything, liquidation_price=None)
    assert reason(no_liquidation, "81") is ExitReason.STOP_LOSS
    no_stop = replace(no_liquidation, stop_loss_price=None)
    assert reason(no_stop, "81") is ExitReason.TAKE_PROFIT
    no_target = replace(no_stop, take_profit_price=None)
    assert reason(no_target, "81") is ExitReason.TRAILING_STOP
    assert reason(replace(no_target, best_price=None), "81") is ExitReason.MAX_HOLDING_TIME


def test_many_positions_are_decided_at_once_and_those_without_a_price_wait() -> None:
    other = replace(SHORT, id=UUID(int=9), token="ETH")
    unpriced = replace(SHORT, id=UUID(int=10), token="XAU", venue=Venue.OSTIUM)
    found = decide_exits(
        [LONG, other, unpriced],
        {(Venue.HYPERLIQUID, "BTC"): D(100), (Venue.HYPERLIQUID, "ETH"): D(89)},
        LATER,
        to_kill={LONG.id, unpriced.id},
    )
    assert [(item.token, item.reason) for item in found] == [
        ("BTC", ExitReason.KILL_SWITCH),
        ("ETH", ExitReason.TAKE_PROFIT),
    ]


@given(st.sampled_from(Side), st.lists(prices, min_size=1, max_size=20))
def test_the_best_price_never_gets_worse(side: Side, path: list[Decimal]) -> None:
    position = replace(LONG, side=side)
    seen = [position.entry_price]
    for price in path:
        position = replace(position, best_price=advance_best_price(position, price))
        assert position.best_price is not None
        seen.append(position.best_price)
    best = max if side is Side.LONG else min
    assert seen[-1] == best([D(100), *path])
    assert all((later - earlier) * side.sign >= 0 for earlier, later in pairwise(seen))


@given(st.sampled_from(Side), prices, st.decimals("0.1", "50", places=1), percents)
def test_a_price_at_its_best_never_triggers_the_trailing_stop(
    side: Side, price: Decimal, distance: Decimal, activation: Decimal
) -> None:
    position = replace(
        LONG,
        side=side,
        stop_loss_price=None,
        take_profit_price=None,
        trailing_activation_pct=activation,
        trailing_distance_pct=distance,
    )
    assert reason(position, price) is None


@given(st.sampled_from(Side), prices, percents, percents)
def test_protective_prices_lie_on_both_sides_of_the_entry(
    side: Side, entry: Decimal, stop_loss_pct: Decimal, take_profit_pct: Decimal
) -> None:
    take_profit, stop_loss = protective_prices(side, entry, stop_loss_pct, take_profit_pct)
    assert take_profit is not None
    assert stop_loss is not None
    assert (take_profit - entry) * side.sign > 0 > (stop_loss - entry) * side.sign
    assert abs(take_profit - entry) * 100 == entry * take_profit_pct
    assert abs(stop_loss - entry) * 100 == entry * stop_loss_pct


def test_protective_prices_are_absent_where_nothing_can_reach_them() -> None:
    assert protective_prices(Side.LONG, D(100), None, None) == (None, None)
    assert protective_prices(Side.SHORT, D(100), D(5), D(100)) == (None, D(105))


@pytest.mark.parametrize(
    ("side", "entry", "stop_loss", "take_profit"),
    [
        (Side.LONG, D(0), D(5), D(5)),
        (Side.LONG, D(100), D(100), None),
        (Side.LONG, D(100), D(0), None),
        (Side.SHORT, D(100), None, D(-1)),
    ],
)
def test_a_signal_that_would_be_unprotected_is_refused(
    side: Side, entry: Decimal, stop_loss: Decimal | None, take_profit: Decimal | None
) -> None:
    with pytest.raises(InvariantError):
        protective_prices(side, entry, stop_loss, take_profit)
