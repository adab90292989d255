"""A subscriber's policy makes trades smaller or refuses them, and says why (H1–H3)."""

from __future__ import annotations

import json
from collections.abc import Iterable
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
from agentwhere_core.how.book import Book, Engagement
from agentwhere_core.how.policy import barred_venues, decide, explain
from agentwhere_core.how.rules import (
    GATES,
    MAX_FUND_PERCENTAGE,
    SHAPERS,
    Draft,
    Rule,
    Situation,
    cap_the_token_exposure,
    cap_the_total_exposure,
    cap_the_venue_exposure,
)
from agentwhere_core.how.schema import policy_from_json, policy_to_json
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


def decided(
    *, signal: Signal = SIGNAL, open_positions: int = 0, book: Book | None = None, **policy: Any
) -> PolicyDecision:
    held = book or holding(open_positions)
    return decide(signal, replace(DEPLOYMENT, policy=Policy(**policy)), held, NOW)


def holding(count: int) -> Book:
    """Return a book of as many small positions."""
    return Book(tuple(Engagement(f"T{n}", Venue.LIGHTER, Decimal(1)) for n in range(count)))


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
    decision = decide(SIGNAL, replace(DEPLOYMENT, status=status), Book(), NOW)
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


venues = st.sampled_from([Venue.HYPERLIQUID, Venue.OSTIUM, Venue.LIGHTER])
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
    max_total_exposure_pct=st.none() | st.decimals(0, 500, places=1),
    max_token_exposure_pct=st.none() | st.decimals(0, 200, places=1),
    max_venue_exposure_pct=st.none() | st.decimals(0, 200, places=1),
    allowed_venues=st.none() | st.frozensets(venues),
    blocked_venues=st.frozensets(venues, max_size=1),
    cooldown_h=st.none() | st.decimals(0, 48, places=1),
    daily_loss_limit_pct=st.none() | st.decimals("0.01", 100, places=2),
)
engagements = st.builds(
    Engagement,
    st.sampled_from(["BTC", "ETH", "SOL"]),
    st.none() | venues,
    st.decimals(0, 300, places=1),
)
books = st.builds(
    Book,
    st.lists(engagements, max_size=6).map(tuple),
    st.dictionaries(
        st.sampled_from(["BTC", "ETH"]),
        st.integers(0, 60).map(lambda hours: NOW - timedelta(hours=hours)),
    ),
    st.booleans(),
)
signals = st.builds(
    lambda size, leverage, confidence, venue: replace(
        SIGNAL, fund_percentage=size, leverage=leverage, confidence=confidence, venue=venue
    ),
    st.decimals("0.01", 25, places=2),
    st.decimals(1, 50, places=1),
    st.decimals(0, 1, places=2),
    st.just(Venue.MULTI) | venues,
)


@given(signals, policies, books)
def test_no_policy_enlarges_beyond_its_limits(signal: Signal, policy: Policy, book: Book) -> None:
    decision = decide(signal, replace(DEPLOYMENT, policy=policy), book, NOW)
    assert 0 <= decision.fund_percentage <= MAX_FUND_PERCENTAGE
    assert decision.leverage <= signal.leverage
    if policy.style_multiplier <= 1:
        assert decision.fund_percentage <= signal.fund_percentage
    if policy.max_fund_percentage is not None:
        assert decision.fund_percentage <= policy.max_fund_percentage
    if decision.outcome is PolicyOutcome.REFUSED:
        assert decision.fund_percentage == 0
        return
    exposure = decision.fund_percentage * decision.leverage
    if policy.max_total_exposure_pct is not None:
        assert book.exposure_pct() + exposure <= policy.max_total_exposure_pct
    if policy.max_token_exposure_pct is not None:
        assert book.exposure_pct(token="BTC") + exposure <= policy.max_token_exposure_pct
    if policy.max_venue_exposure_pct is not None and signal.venue is not Venue.MULTI:
        assert book.exposure_pct(venue=signal.venue) + exposure <= policy.max_venue_exposure_pct
    assert decision.fund_percentage <= signal.fund_percentage * max(policy.style_multiplier, 1)
    assert decision.fund_percentage > 0


@given(signals, policies, books)
def test_what_is_not_passed_unchanged_has_a_reason(
    signal: Signal, policy: Policy, book: Book
) -> None:
    decision = decide(signal, replace(DEPLOYMENT, policy=policy), book, NOW)
    unchanged = (decision.fund_percentage, decision.leverage) == (
        signal.fund_percentage,
        signal.leverage,
    )
    assert (decision.outcome is PolicyOutcome.PASSED) == (decision.reasons == ())
    assert unchanged or decision.reasons


@given(signals, policies, books, st.permutations(GATES))
def test_the_order_of_the_gates_decides_nothing(
    signal: Signal, policy: Policy, book: Book, order: list[Rule]
) -> None:
    situation = Situation(signal, replace(DEPLOYMENT, policy=policy), book, NOW)
    start = Draft(signal.fund_percentage, signal.leverage)
    usual, other = start, start
    for gate in GATES:
        usual = gate(usual, situation)
    for gate in order:
        other = gate(other, situation)
    assert usual.is_refused == other.is_refused
    assert set(usual.reasons) == set(other.reasons)


CAPS_ON_EXPOSURE = (cap_the_total_exposure, cap_the_token_exposure, cap_the_venue_exposure)


@given(signals, policies, books, st.permutations(CAPS_ON_EXPOSURE))
def test_of_the_caps_on_exposure_the_tightest_decides_in_any_order(
    signal: Signal, policy: Policy, book: Book, order: list[Rule]
) -> None:
    situation = Situation(signal, replace(DEPLOYMENT, policy=policy), book, NOW)

    def size(rules: Iterable[Rule]) -> Decimal:
        draft = Draft(signal.fund_percentage, signal.leverage)
        for rule in rules:
            draft = draft if draft.is_refused else rule(draft, situation)
        return Decimal(0) if draft.is_refused else draft.fund_percentage

    assert size(order) == size(CAPS_ON_EXPOSURE)


@given(signals, policies, books)
def test_a_larger_book_never_gets_more(signal: Signal, policy: Policy, book: Book) -> None:
    deployment = replace(DEPLOYMENT, policy=policy)
    more = book.with_engagement(Engagement("BTC", Venue.LIGHTER, Decimal(10)))
    assert (
        decide(signal, deployment, more, NOW).fund_percentage
        <= decide(signal, deployment, book, NOW).fund_percentage
    )


@given(signals, policies, books)
def test_an_explanation_ends_in_the_decision(signal: Signal, policy: Policy, book: Book) -> None:
    deployment = replace(DEPLOYMENT, policy=policy)
    decision, notes = explain(signal, deployment, book, NOW)
    assert decision == decide(signal, deployment, book, NOW)
    assert tuple(note.reason for note in notes if note.reason is not None) == decision.reasons
    assert len(GATES) <= len(notes) <= len(GATES) + len(SHAPERS)


def test_exposure_leaves_only_the_room_that_is_free() -> None:
    """8 % at 3× are 24 % of capital; where 14 % are free, 4.66 % of the funds fit."""
    book = Book((Engagement("ETH", Venue.LIGHTER, Decimal(36)),))
    decision = decided(book=book, max_total_exposure_pct=Decimal(50))
    assert decision.fund_percentage == Decimal("4.66")
    assert decision.reasons == (Reason.TOTAL_EXPOSURE_CAPPED,)


def test_the_worked_example_of_the_page_on_agents() -> None:
    decision = decided(
        book=Book((Engagement("ETH", Venue.LIGHTER, Decimal(30)),)),
        style_multiplier=Decimal("1.5"),
        max_leverage=Decimal(2),
        max_total_exposure_pct=Decimal(50),
    )
    assert (decision.fund_percentage, decision.leverage) == (10, 2)
    assert decision.reasons == (
        Reason.STYLE_APPLIED,
        Reason.LEVERAGE_CAPPED,
        Reason.TOTAL_EXPOSURE_CAPPED,
    )


def test_where_no_room_is_free_the_signal_is_refused() -> None:
    book = Book((Engagement("BTC", Venue.LIGHTER, Decimal(50)),))
    decision = decided(book=book, max_token_exposure_pct=Decimal(50))
    assert decision.outcome is PolicyOutcome.REFUSED
    assert decision.reasons == (Reason.TOKEN_EXPOSURE_CAPPED,)


def test_a_token_rests_until_its_cooldown_is_over() -> None:
    book = Book(last_traded={"BTC": NOW - timedelta(hours=6)})
    assert decided(book=book, cooldown_h=Decimal(6)).outcome is PolicyOutcome.PASSED
    late = decided(book=book, cooldown_h=Decimal("6.1"))
    assert late.reasons == (Reason.COOLING_DOWN,)


def test_a_lost_day_stops_every_entry() -> None:
    assert decided(book=Book(is_halted=True)).reasons == (Reason.DAILY_LOSS_LIMIT,)


def test_a_signal_that_names_a_blocked_venue_is_refused() -> None:
    named = replace(SIGNAL, venue=Venue.OSTIUM)
    blocked = frozenset({Venue.OSTIUM})
    assert decided(signal=named, blocked_venues=blocked).reasons == (Reason.VENUE_BLOCKED,)
    assert decided(blocked_venues=blocked).outcome is PolicyOutcome.PASSED


def test_the_router_is_told_which_venues_are_barred_and_why() -> None:
    policy = Policy(
        allowed_venues=frozenset({Venue.HYPERLIQUID, Venue.LIGHTER}),
        max_venue_exposure_pct=Decimal(30),
    )
    book = Book((Engagement("ETH", Venue.LIGHTER, Decimal(20)),))
    barred = barred_venues(policy, book, Decimal(11))
    assert Venue.HYPERLIQUID not in barred
    assert barred[Venue.OSTIUM][0] is Reason.VENUE_BLOCKED
    assert barred[Venue.LIGHTER][0] is Reason.VENUE_EXPOSURE_CAPPED
    assert barred_venues(Policy(), book, Decimal(1000)) == {}


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
        ("allowed_venues", ["MULTI"]),
        ("blocked_venues", ["BINANCE"]),
        ("cooldown_h", -1),
        ("daily_loss_limit_pct", 0),
        ("max_total_exposure_pct", "all of it"),
    ],
)
def test_nonsense_in_a_policy_is_an_error_that_names_the_field(field: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=field):
        policy_from_json({field: value})
