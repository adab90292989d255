"""What a position owes to have resting at its venue, and what one look there says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.domain.enums import (
    OrderPurpose,
    OrderSide,
    PositionStatus,
    ProtectionState,
    Side,
    Venue,
)
from agentwhere_core.domain.errors import ServerFaultError, UnreachableError
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.trade import Position, RestingOrder
from agentwhere_core.execution.protection import (
    default_stop_pct,
    initial_state,
    is_overdue,
    look_at,
    strangers,
)
from agentwhere_flow.outages import Outages

STOP, TARGET = OrderPurpose.STOP_LOSS, OrderPurpose.TAKE_PROFIT
NOW = datetime(2026, 11, 21, tzinfo=UTC)
OWING = Position(
    id=new_id(),
    deployment_id=new_id(),
    agent_id=new_id(),
    account_id=new_id(),
    signal_id=new_id(),
    venue=Venue.HYPERLIQUID,
    token="BTC",
    market_name="BTC",
    side=Side.LONG,
    size=Decimal(2),
    entry_price=Decimal(100),
    leverage=Decimal(2),
    status=PositionStatus.OPEN,
    opened_at=NOW,
    stop_loss_price=Decimal(95),
    take_profit_price=Decimal(110),
)


def rests(purpose: OrderPurpose, price: int, size: int | None = 2, name: str = "") -> RestingOrder:
    return RestingOrder(
        venue_order_id="1",
        client_id=name or purpose.value,
        token=OWING.token,
        market_name=OWING.market_name,
        side=OWING.side.closing,
        size=None if size is None else Decimal(size),
        purpose=purpose,
        trigger_price=Decimal(price),
        reduce_only=True,
    )


OWN = {"STOP_LOSS", "TAKE_PROFIT"}


@pytest.mark.parametrize("size", [2, None])
def test_what_fits_needs_nothing(size: int | None) -> None:
    look = look_at(OWING, [rests(STOP, 95, size), rests(TARGET, 110, size)], OWN)
    assert (look.missing, look.superfluous, look.is_protected) == ((), (), True)
    assert (look.stop_price, look.target_price) == (95, 110)


def test_what_is_gone_is_missing() -> None:
    look = look_at(OWING, [rests(TARGET, 110)], OWN)
    assert (look.missing, look.is_protected) == ((STOP,), False)


def test_a_stop_that_is_too_small_protects_a_part_and_one_too_large_all() -> None:
    small = look_at(OWING, [rests(STOP, 95, 1), rests(TARGET, 110)], OWN)
    large = look_at(OWING, [rests(STOP, 95, 3), rests(TARGET, 110)], OWN)
    assert (small.missing, small.is_protected) == ((STOP,), False)
    assert (large.missing, large.is_protected) == ((STOP,), True)
    assert len(small.superfluous) == len(large.superfluous) == 1


def test_a_stop_of_somebody_else_protects_nothing() -> None:
    foreign = rests(STOP, 95, name="somebody else's")
    assert not look_at(OWING, [foreign, rests(TARGET, 110)], OWN).is_protected
    assert strangers([foreign, rests(TARGET, 110)], OWN) == [foreign]


def test_a_price_that_only_a_part_of_the_position_carries_protects_that_part() -> None:
    carried = replace(rests(STOP, 95, 1), client_id=None, is_carried=True)
    assert not look_at(OWING, [carried], ()).is_protected
    assert look_at(OWING, [carried, carried], ()).is_protected
    assert strangers([carried], ()) == []


def test_an_opening_order_is_no_protection() -> None:
    opening = replace(rests(STOP, 95), side=OrderSide.BUY)
    assert not look_at(OWING, [opening], OWN).is_protected


def test_a_position_begins_owing_waiving_or_outside() -> None:
    assert initial_state(OWING) is ProtectionState.PENDING
    assert initial_state(replace(OWING, stop_loss_price=None)) is ProtectionState.WAIVED
    assert initial_state(replace(OWING, signal_id=None)) is ProtectionState.OUTSIDE


@pytest.mark.parametrize(
    ("state", "overdue"),
    [("PENDING", True), ("MISSING", True), ("PROTECTED", False), ("WAIVED", False)],
)
def test_only_a_debt_is_overdue_and_only_after_its_deadline(state: str, overdue: bool) -> None:
    owed = replace(OWING, protection=ProtectionState(state), protect_by=NOW)
    assert is_overdue(owed, NOW) is overdue
    assert not is_overdue(owed, NOW - timedelta(seconds=1))


@given(st.decimals("0.5", 50, places=2), st.integers(1, 200))
def test_a_default_stop_lies_before_liquidation(usual: Decimal, leverage: int) -> None:
    stop = default_stop_pct(usual, Decimal(leverage))
    assert 0 < stop <= usual
    assert stop * leverage <= 80


def test_a_venue_that_cannot_be_reached_is_not_asked_again() -> None:
    outages = Outages()
    assert not outages.spares(Venue.LIGHTER)
    outages.note(Venue.LIGHTER, UnreachableError("lighter", "no connection"))
    assert outages.spares(Venue.LIGHTER)
    assert outages.spares(Venue.LIGHTER)
    assert not outages.spares(Venue.OSTIUM)
    [problem] = outages.problems()
    assert "2 more accounts" in problem


def test_one_fault_may_be_one_accounts_own() -> None:
    outages = Outages()
    outages.note(Venue.OSTIUM, ServerFaultError("ostium", "no price"))
    assert not outages.spares(Venue.OSTIUM)
    outages.note(Venue.OSTIUM, ServerFaultError("ostium", "no price"))
    assert outages.spares(Venue.OSTIUM)
