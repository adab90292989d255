"""A subscriber's policy makes trades smaller or refuses them, and says why (H1–H3)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.domain.enums import DeploymentStatus, PolicyOutcome, Side, Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import Deployment, Policy, PolicyDecision
from agentwhere_core.how.policy import (
    MAX_FUND_PERCENTAGE,
    decide,
    policy_from_json,
    policy_to_json,
)
from tests.core.examples import NOW

SIGNAL = Signal(
    id=UUID(int=1),
    agent_id=UUID(int=2),
    batch="b1",
    token="BTC",
    side=Side.LONG,
    venue=Venue.MULTI,
    fund_percentage=Decimal("8.00"),
    confidence=Decimal("0.6"),
    leverage=Decimal(3),
    stop_loss_pct=Decimal(5),
    take_profit_pct=None,
    trailing_activation_pct=None,
    trailing_distance_pct=None,
    max_holding_h=None,
    created_at=NOW,
    expires_at=NOW + timedelta(hours=6),
    reasoning="",
)
DEPLOYMENT = Deployment(
    id=UUID(int=3),
    agent_id=UUID(int=2),
    name="careful",
    subscriber_wallet="0x0",
    capital_usd=Decimal(10_000),
    status=DeploymentStatus.ACTIVE,
)


def decided(*, signal: Signal = SIGNAL, open_positions: int = 0, **policy: Any) -> PolicyDecision:
    return decide(signal, replace(DEPLOYMENT, policy=Policy(**policy)), open_positions, NOW)


def test_the_default_policy_passes_a_signal_unchanged() -> None:
    decision = decided()
    assert decision.outcome is PolicyOutcome.PASSED
    assert (decision.fund_percentage, decision.leverage) == (Decimal("8.00"), Decimal(3))
    assert decision.reasons == ()


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"min_confidence": Decimal("0.61")}, Reason.BELOW_MIN_CONFIDENCE),
        ({"blocked_tokens": frozenset({"BTC"})}, Reason.TOKEN_BLOCKED),
        ({"allowed_tokens": frozenset({"ETH"})}, Reason.TOKEN_BLOCKED),
        ({"allowed_tokens": frozenset()}, Reason.TOKEN_BLOCKED),
        ({"allowed_sides": frozenset({Side.SHORT})}, Reason.SIDE_BLOCKED),
        ({"max_open_positions": 0}, Reason.MAX_POSITIONS_REACHED),
        ({"style_multiplier": Decimal("0.001")}, Reason.SIZE_ROUNDS_TO_ZERO),
    ],
)
def test_a_refusal_names_its_rule_and_puts_up_nothing(
    policy: dict[str, Any], reason: Reason
) -> None:
    decision = decided(**policy)
    assert decision.outcome is PolicyOutcome.REFUSED
    assert decision.reasons[-1] is reason
    assert decision.fund_percentage == 0


def test_a_refusal_names_everything_that_stands_in_the_way() -> None:
    decision = decided(min_confidence=Decimal(1), max_open_positions=2, open_positions=2)
    assert decision.reasons == (Reason.BELOW_MIN_CONFIDENCE, Reason.MAX_POSITIONS_REACHED)


@pytest.mark.parametrize("status", [DeploymentStatus.PAUSED, DeploymentStatus.HALTED])
def test_a_deployment_that_is_not_active_trades_nothing(status: DeploymentStatus) -> None:
    decision = decide(SIGNAL, replace(DEPLOYMENT, status=status), 0, NOW)
    assert decision.reasons == (Reason.DEPLOYMENT_INACTIVE,)


def test_an_expired_signal_is_refused() -> None:
    decision = decided(signal=replace(SIGNAL, expires_at=NOW))
    assert decision.reasons == (Reason.SIGNAL_EXPIRED,)


def test_caps_reduce_and_say_so() -> None:
    decision = decided(max_fund_percentage=Decimal(5), max_leverage=Decimal(2))
    assert decision.outcome is PolicyOutcome.ADJUSTED
    assert (decision.fund_percentage, decision.leverage) == (5, 2)
    assert decision.reasons == (Reason.SIZE_CAPPED, Reason.LEVERAGE_CAPPED)


def test_the_style_scales_before_the_cap_holds() -> None:
    careful = decided(style_multiplier=Decimal("0.5"))
    assert careful.fund_percentage == 4
    bold = decided(style_multiplier=Decimal("1.5"), max_fund_percentage=Decimal(10))
    assert bold.fund_percentage == 10
    assert bold.reasons == (Reason.STYLE_APPLIED, Reason.SIZE_CAPPED)


def test_no_style_lifts_a_size_above_a_quarter_of_the_funds() -> None:
    signal = replace(SIGNAL, fund_percentage=Decimal("20.00"))
    assert decided(signal=signal, style_multiplier=Decimal(3)).fund_percentage == 25


policies = st.builds(
    Policy,
    min_confidence=st.none() | st.decimals(0, 1, places=2),
    max_fund_percentage=st.none() | st.decimals("0.01", 100, places=2),
    max_leverage=st.none() | st.decimals(1, 50, places=1),
    max_open_positions=st.none() | st.integers(0, 5),
    allowed_tokens=st.none() | st.frozensets(st.sampled_from(["BTC", "ETH"])),
    blocked_tokens=st.frozensets(st.sampled_from(["BTC", "ETH"])),
    allowed_sides=st.none() | st.frozensets(st.sampled_from(list(Side))),
    style_multiplier=st.decimals("0.01", 3, places=2),
)
signals = st.builds(
    lambda size, leverage, confidence: replace(
        SIGNAL, fund_percentage=size, leverage=leverage, confidence=confidence
    ),
    st.decimals("0.01", 25, places=2),
    st.decimals(1, 50, places=1),
    st.decimals(0, 1, places=2),
)


@given(signals, policies, st.integers(0, 6))
def test_no_policy_enlarges_beyond_its_limits(
    signal: Signal, policy: Policy, open_positions: int
) -> None:
    decision = decide(signal, replace(DEPLOYMENT, policy=policy), open_positions, NOW)
    assert 0 <= decision.fund_percentage <= MAX_FUND_PERCENTAGE
    assert decision.leverage <= signal.leverage
    if policy.style_multiplier <= 1:
        assert decision.fund_percentage <= signal.fund_percentage
    if policy.max_fund_percentage is not None:
        assert decision.fund_percentage <= policy.max_fund_percentage
    if decision.outcome is PolicyOutcome.REFUSED:
        assert decision.fund_percentage == 0
    else:
        assert decision.fund_percentage > 0


@given(signals, policies, st.integers(0, 6))
def test_what_is_not_passed_unchanged_has_a_reason(
    signal: Signal, policy: Policy, open_positions: int
) -> None:
    decision = decide(signal, replace(DEPLOYMENT, policy=policy), open_positions, NOW)
    unchanged = (decision.fund_percentage, decision.leverage) == (
        signal.fund_percentage,
        signal.leverage,
    )
    assert (decision.outcome is PolicyOutcome.PASSED) == (decision.reasons == ())
    assert unchanged or decision.reasons


@given(policies)
def test_a_policy_survives_its_way_through_json(policy: Policy) -> None:
    assert policy_from_json(json.loads(json.dumps(policy_to_json(policy)))) == policy


def test_an_empty_object_is_the_default_policy() -> None:
    assert policy_from_json({}) == Policy()


def test_a_style_may_be_given_by_its_name() -> None:
    assert policy_from_json({"style_multiplier": "aggressive"}).style_multiplier == Decimal("1.5")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("min_confidence", 2),
        ("min_confidence", "high"),
        ("max_fund_percentage", 0),
        ("max_leverage", True),
        ("max_leverage", "NaN"),
        ("max_open_positions", -1),
        ("max_open_positions", 1.5),
        ("allowed_tokens", "BTC"),
        ("blocked_tokens", [1]),
        ("allowed_sides", ["UP"]),
        ("style_multiplier", 0),
        ("style_multiplier", "reckless"),
        ("max_drawdown", 1),
    ],
)
def test_nonsense_in_a_policy_is_an_error_that_names_the_field(field: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=field):
        policy_from_json({field: value})
