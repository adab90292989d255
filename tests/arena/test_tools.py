"""What is made of a model's tool calls: exactly what was asked for, or a refusal with its reason."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.arena.tools import fund_percentage, judge, leverage_of
from agentwhere_core.arena.values import ClosePositions, CreatePosition, RawCall, Snapshot
from agentwhere_core.domain.enums import Side
from agentwhere_core.domain.reasons import Reason
from tests.arena.examples import call, held, snapshot


def create(**arguments: Any) -> RawCall:
    """Return a createPosition; ten BTC to the long side unless told otherwise."""
    given_ = {"symbol": "BTC", "side": "LONG", "quantity": 10, **arguments}
    return call(arguments=json.dumps({k: v for k, v in given_.items() if v is not None}))


def reasons(calls: list[RawCall], moment: Snapshot | None = None) -> list[Reason | None]:
    """Return the verdicts' reasons; None for accepted ones."""
    return [verdict.reason for verdict in judge(calls, moment or snapshot())]


@pytest.mark.parametrize("side", list(Side))
def test_the_side_traded_is_the_side_asked_for(side: Side) -> None:
    verdict = judge([create(side=side.value)], snapshot())[0]
    assert verdict.wish == CreatePosition("BTC", side, Decimal(10))


def test_numbers_are_read_digit_by_digit() -> None:
    raw = call(arguments='{"symbol": "btc", "side": "LONG", "quantity": 0.1000000000000000055}')
    wish = judge([raw], snapshot())[0].wish
    assert isinstance(wish, CreatePosition)
    assert wish.quantity == Decimal("0.1000000000000000055")


BAD: dict[str, tuple[RawCall, Reason]] = {
    "unknown symbol": (create(symbol="WAGMICAT"), Reason.UNKNOWN_SYMBOL),
    "negative": (create(quantity=-1), Reason.BAD_QUANTITY),
    "zero": (create(quantity=0), Reason.BAD_QUANTITY),
    "absurd": (create(quantity=1e15), Reason.QUANTITY_TOO_LARGE),
    "over the cap": (create(quantity=51), Reason.QUANTITY_TOO_LARGE),
    "words for a number": (create(quantity="a lot"), Reason.BAD_ARGUMENTS),
    "not a number": (
        call(arguments='{"symbol":"BTC","side":"LONG","quantity":NaN}'),
        Reason.BAD_ARGUMENTS,
    ),
    "infinite": (
        call(arguments='{"symbol":"BTC","side":"LONG","quantity":Infinity}'),
        Reason.BAD_ARGUMENTS,
    ),
    "no such side": (create(side="SIDEWAYS"), Reason.BAD_ARGUMENTS),
    "no side": (create(side=None), Reason.BAD_ARGUMENTS),
    "one argument too many": (create(size=3), Reason.BAD_ARGUMENTS),
    "a list": (call(arguments="[1, 2]"), Reason.BAD_ARGUMENTS),
    "cut off": (call(arguments='{"symbol": "BTC", "si'), Reason.BAD_ARGUMENTS),
    "no such tool": (call("sellEverything"), Reason.UNKNOWN_TOOL),
    "leverage too high": (create(leverage=21), Reason.LEVERAGE_TOO_HIGH),
    "leverage below one": (create(leverage=0.5), Reason.LEVERAGE_TOO_HIGH),
    "stop above a long": (create(stop_loss=101), Reason.STOP_ON_WRONG_SIDE),
    "target below a long": (create(take_profit=99), Reason.STOP_ON_WRONG_SIDE),
    "stop below a short": (create(side="SHORT", stop_loss=99), Reason.STOP_ON_WRONG_SIDE),
    "negative stop": (create(stop_loss=-5), Reason.STOP_ON_WRONG_SIDE),
    "nothing to close": (call("closeAllPosition"), Reason.NOTHING_TO_CLOSE),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_call_is_refused_with_its_reason(name: str) -> None:
    raw, reason = BAD[name]
    verdict = judge([raw], snapshot())[0]
    assert (verdict.reason, verdict.wish) == (reason, None)
    assert verdict.detail


def test_calls_that_contradict_each_other_are_refused() -> None:
    both = [create(side="LONG"), create(side="SHORT")]
    assert reasons(both) == [Reason.CONTRADICTORY_CALLS] * 2
    assert reasons([create(), create()]) == [None, Reason.CONTRADICTORY_CALLS]
    holding = snapshot(positions=(held(),))
    assert reasons([create(), call("closeAllPosition")], holding) == [
        None,
        Reason.CONTRADICTORY_CALLS,
    ]


def test_one_may_close_everything_and_turn_round() -> None:
    holding = snapshot(positions=(held("BTC"),))
    assert reasons([create(side="SHORT")], holding) == [Reason.POSITION_EXISTS]
    assert reasons([call("closeAllPosition"), create(side="SHORT")], holding) == [None, None]


def test_closing_means_the_positions_that_were_shown() -> None:
    wish = judge([call("closeAllPosition", "")], snapshot(positions=(held(),)))[0].wish
    assert isinstance(wish, ClosePositions)
    assert [str(id_) for id_ in wish.position_ids] == [held().position_id]


def test_the_cash_is_spent_only_once() -> None:
    poor = snapshot(available_cash_usd="600.00")
    assert reasons([create(), create(symbol="ETH", quantity=20)], poor) == [None, Reason.UNFUNDED]


@given(st.integers(1, 4999))
def test_the_share_never_binds_before_the_quantity_and_never_exceeds_the_cap(cents: int) -> None:
    quantity = Decimal(cents) / 100
    verdict = judge([create(quantity=float(quantity))], snapshot())[0]
    wish = verdict.wish
    assert isinstance(wish, CreatePosition)
    share = fund_percentage(wish, snapshot())
    notional = Decimal(10_000) * share / 100 * leverage_of(wish, snapshot())
    assert notional >= wish.quantity * 100 or share == 25
    assert share <= 25


@given(st.text(), st.text())
def test_whatever_a_model_writes_is_answered_by_a_verdict(name: str, arguments: str) -> None:
    for tool in (name, "createPosition", "closeAllPosition"):
        verdict = judge([call(tool, arguments)], snapshot(positions=(held(),)))[0]
        assert verdict.is_accepted == (verdict.reason is None)
