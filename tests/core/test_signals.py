"""Posts become at most one explained signal per token (W6, W7)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.domain.enums import AgentStatus, Side, Venue
from agentwhere_core.domain.idea import Agent, ScoredMention
from agentwhere_core.domain.market import MarketContext
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.what.context import context_factor, judge_context
from agentwhere_core.what.signals import SignalPlan, SizingRules, build_signals
from agentwhere_core.what.sizing import fund_percentage
from tests.core.examples import NOW

RULES = SizingRules()

AGENT = Agent(
    id=UUID(int=1),
    name="Demo Desk",
    creator_wallet="0x0",
    venue=Venue.MULTI,
    status=AgentStatus.ACTIVE,
    leverage=Decimal(3),
    stop_loss_pct=Decimal(5),
    take_profit_pct=Decimal(10),
    trailing_activation_pct=None,
    trailing_distance_pct=None,
    max_holding_h=Decimal(72),
)

CALM = MarketContext(
    venue=Venue.HYPERLIQUID,
    token="BTC",
    at=NOW,
    price=Decimal(100_000),
    change_24h=Decimal("0.01"),
    volume_24h_usd=Decimal(3_000_000_000),
    open_interest_usd=None,
    funding_hourly=None,
    spread_bps=Decimal(1),
    volatility_24h=Decimal("0.02"),
)


def mention(
    post: int,
    *,
    source: int = 1,
    token: str = "BTC",
    side: Side = Side.LONG,
    confidence: str = "0.8",
    hours_old: float = 1,
) -> ScoredMention:
    return ScoredMention(
        post_id=UUID(int=post),
        source_id=UUID(int=source),
        token=token,
        side=side,
        confidence=Decimal(confidence),
        source_weight=Decimal("0.5"),
        context_factor=Decimal(1),
        published_at=NOW - timedelta(hours=hours_old),
    )


def counter() -> Callable[[], UUID]:
    ids = iter(range(100, 1000))
    return lambda: UUID(int=next(ids))


def build(*mentions: ScoredMention, **recent_h: float) -> SignalPlan:
    recent = {token: NOW + timedelta(hours=hours) for token, hours in recent_h.items()}
    return build_signals(
        AGENT,
        mentions,
        recent,
        NOW,
        "b1",
        settings=RULES,
        contexts={"BTC": CALM},
        make_id=counter(),
    )


def test_a_post_becomes_a_signal_with_the_agents_leverage_and_stops() -> None:
    (signal,) = build(mention(1)).signals
    assert (signal.token, signal.side, signal.venue) == ("BTC", Side.LONG, Venue.MULTI)
    assert signal.fund_percentage == fund_percentage(Decimal("0.4"))
    assert (signal.leverage, signal.stop_loss_pct, signal.take_profit_pct) == (3, 5, 10)
    assert signal.expires_at == NOW + timedelta(hours=6)
    assert signal.source_post_ids == (UUID(int=1),)
    assert signal.confidence == Decimal("0.8")


def test_independent_sources_that_agree_reinforce_each_other() -> None:
    (signal,) = build(mention(1), mention(2, source=2)).signals
    assert signal.explanation["score"] == "0.640000"
    assert "2 posts of 2 sources" in signal.reasoning


def test_a_source_that_repeats_itself_adds_nothing() -> None:
    (once,) = build(mention(1)).signals
    (twice,) = build(mention(1), mention(2, confidence="0.7")).signals
    assert twice.fund_percentage == once.fund_percentage


def test_equal_conflicting_posts_make_no_signal() -> None:
    plan = build(mention(1), mention(2, source=2, side=Side.SHORT))
    assert plan.signals == ()
    (refusal,) = plan.refusals
    assert refusal.reason is Reason.CONFLICTING_POSTS
    assert refusal.post_ids == (UUID(int=1), UUID(int=2))


def test_unequal_conflicting_posts_leave_the_difference_and_say_so() -> None:
    (alone,) = build(mention(1)).signals
    (netted,) = build(mention(1), mention(2, source=2, side=Side.SHORT, confidence="0.2")).signals
    assert netted.side is Side.LONG
    assert netted.fund_percentage < alone.fund_percentage
    assert netted.explanation["netted"] == Reason.CONFLICTING_POSTS
    assert netted.explanation["score_against"] == "0.100000"
    assert netted.confidence == Decimal("0.6")
    assert "1 post for SHORT took 0.1 off" in netted.reasoning
    assert netted.source_post_ids == (UUID(int=1),)


def test_old_posts_and_tokens_with_a_living_signal_are_refused() -> None:
    plan = build(mention(1, hours_old=25), mention(2, token="ETH"), ETH=1)
    assert plan.signals == ()
    assert [(r.token, r.reason) for r in plan.refusals] == [
        ("BTC", Reason.POST_TOO_OLD),
        ("ETH", Reason.RECENT_SIGNAL),
    ]


def test_an_expired_signal_does_not_stand_in_the_way() -> None:
    assert len(build(mention(1), BTC=0).signals) == 1


def test_a_signal_too_weak_to_size_is_refused() -> None:
    plan = build(mention(1, confidence="0.001"))
    assert [r.reason for r in plan.refusals] == [Reason.SIZE_ROUNDS_TO_ZERO]


def test_a_signal_without_any_confidence_is_refused_and_not_an_error() -> None:
    plan = build(mention(1, confidence="0"))
    assert [r.reason for r in plan.refusals] == [Reason.SIZE_ROUNDS_TO_ZERO]


def test_the_explanation_is_plain_json_and_names_every_factor() -> None:
    (signal,) = build(mention(1), mention(2, source=2, side=Side.SHORT, confidence="0.1")).signals
    told = json.loads(json.dumps(signal.explanation))
    assert told == signal.explanation
    assert [post["score"] for post in told["posts"]] == ["0.40", "0.05"]
    assert told["context"]["volume_24h_usd"] == "3000000000"
    assert {term["name"] for term in told["context_factor"]["terms"]} == {
        "volume",
        "spread",
        "volatility",
    }


mentions = st.builds(
    mention,
    post=st.integers(1, 20),
    source=st.integers(1, 4),
    token=st.sampled_from(["BTC", "ETH", "SOL", "XAU", "DOGE"]),
    side=st.sampled_from(list(Side)),
    confidence=st.decimals(0, 1, places=3).map(str),
    hours_old=st.integers(0, 30),
)


@given(st.lists(mentions, max_size=25))
def test_a_batch_keeps_its_limits_and_makes_one_signal_per_token(
    batch: list[ScoredMention],
) -> None:
    plan = build(*batch)
    tokens = [signal.token for signal in plan.signals]
    assert len(tokens) == len(set(tokens))
    assert sum(signal.fund_percentage for signal in plan.signals) <= RULES.budget_pct
    for signal in plan.signals:
        assert 0 < signal.fund_percentage <= RULES.cap_pct
        assert 0 <= signal.confidence <= 1
        assert Decimal(signal.explanation["score"]) <= 1
    refused = {refusal.token for refusal in plan.refusals}
    assert {item.token for item in batch} == refused | set(tokens)


@given(st.data(), st.lists(mentions, max_size=25))
def test_the_order_of_posts_does_not_matter(
    data: st.DataObject, batch: list[ScoredMention]
) -> None:
    shuffled = data.draw(st.permutations(batch))
    assert [s.fund_percentage for s in build(*shuffled).signals] == [
        s.fund_percentage for s in build(*batch).signals
    ]


def test_a_liquid_calm_market_changes_nothing() -> None:
    assert context_factor(CALM) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"volume_24h_usd": Decimal(500_000)},
        {"spread_bps": Decimal(30)},
        {"volatility_24h": Decimal("0.2")},
        {"volatility_24h": None, "change_24h": Decimal("-0.2")},
        {"volume_24h_usd": None},
    ],
)
def test_a_thin_wide_or_wild_market_takes_from_the_score(change: dict[str, Decimal]) -> None:
    assert 0 < context_factor(replace(CALM, **change)) < 1


def test_an_unknown_market_is_taken_for_mediocre() -> None:
    worst = replace(
        CALM,
        volume_24h_usd=Decimal(0),
        spread_bps=Decimal(10_000),
        volatility_24h=Decimal(9),
    )
    assert 0 < context_factor(worst) < context_factor(None) < 1
    assert all("unknown" in term.why for term in judge_context(None).terms)


measures = st.none() | st.decimals(0, 10**12, places=6)


@given(measures, measures, measures)
def test_the_factor_stays_above_zero_and_at_most_one(
    volume: Decimal | None, spread: Decimal | None, volatility: Decimal | None
) -> None:
    context = replace(
        CALM, volume_24h_usd=volume, spread_bps=spread, volatility_24h=volatility, change_24h=None
    )
    assert 0 < context_factor(context) <= 1


# Corroboration, copies and open positions


def sure(post: int, *, source: int = 1, text: str = "", token: str = "BTC") -> ScoredMention:
    """Return a mention of a source with a long record, sure of itself."""
    strong = mention(post, source=source, confidence="0.95", token=token)
    return replace(strong, source_weight=Decimal("0.95"), content_hash=text or f"text {post}")


def test_one_voice_alone_is_held_at_the_corroboration_threshold_and_the_reason_is_kept() -> None:
    plan = build(sure(1))
    (signal,) = plan.signals
    assert signal.fund_percentage == RULES.corroboration_pct
    assert Decimal(signal.explanation["size"]["by_score_pct"]) > RULES.corroboration_pct
    assert [(each.reason, each.post_ids) for each in plan.refusals] == [
        (Reason.UNCORROBORATED, (UUID(int=1),))
    ]


def test_a_second_source_lifts_the_threshold() -> None:
    (signal,) = build(sure(1), sure(2, source=2)).signals
    assert signal.fund_percentage > RULES.corroboration_pct
    assert signal.explanation["voices"] == 2


def test_a_second_post_of_the_same_source_does_not() -> None:
    (signal,) = build(sure(1), sure(2)).signals
    assert signal.fund_percentage == RULES.corroboration_pct


def test_a_source_that_copies_another_word_for_word_is_no_second_voice() -> None:
    (copied,) = build(sure(1, text="same"), sure(2, source=2, text="same")).signals
    assert copied.explanation["voices"] == 1
    assert copied.fund_percentage == RULES.corroboration_pct
    (own,) = build(
        sure(1, text="same"), sure(2, source=2, text="same"), sure(3, source=2, text="its own")
    ).signals
    assert own.explanation["voices"] == 2


def test_small_sizes_need_no_second_voice() -> None:
    plan = build(mention(1))
    assert plan.refusals == ()
    assert plan.signals[0].fund_percentage < RULES.corroboration_pct


def test_a_token_that_every_deployment_holds_makes_no_signal() -> None:
    plan = build_signals(
        AGENT,
        [mention(1), mention(2, token="ETH")],
        {},
        NOW,
        "b1",
        settings=RULES,
        held={"BTC"},
        make_id=counter(),
    )
    assert [signal.token for signal in plan.signals] == ["ETH"]
    assert [(each.token, each.reason) for each in plan.refusals] == [("BTC", Reason.ALREADY_HELD)]


anybody = st.builds(
    lambda made, weight, text: replace(made, source_weight=weight, content_hash=text),
    mentions,
    st.decimals("0.05", 1, places=2),
    st.sampled_from(["", "a", "b", "c"]),
)
rules = st.builds(
    SizingRules,
    cap_pct=st.decimals("0.1", 25, places=2),
    budget_pct=st.decimals("0.1", 100, places=2),
    curvature=st.decimals("0.1", 20, places=1),
    corroboration_pct=st.decimals("0.1", 25, places=2),
)


def planned(batch: list[ScoredMention], limits: SizingRules) -> SignalPlan:
    return build_signals(AGENT, batch, {}, NOW, "b1", settings=limits, make_id=counter())


@given(st.data(), st.lists(anybody, max_size=25), rules)
def test_sizes_are_decimals_within_every_limit_whatever_the_order(
    data: st.DataObject, batch: list[ScoredMention], limits: SizingRules
) -> None:
    plan = planned(batch, limits)
    sizes = {signal.token: signal.fund_percentage for signal in plan.signals}
    assert all(type(size) is Decimal for size in sizes.values())
    assert all(0 < size <= limits.cap_pct for size in sizes.values())
    assert sum(sizes.values()) <= limits.budget_pct
    for signal in plan.signals:
        if signal.explanation["voices"] == 1:
            assert signal.fund_percentage <= limits.corroboration_pct
    shuffled = planned(data.draw(st.permutations(batch)), limits)
    assert {signal.token: signal.fund_percentage for signal in shuffled.signals} == sizes


@given(
    st.decimals("0.05", 1, places=3),
    st.decimals("0.05", 1, places=3),
    st.decimals("0.05", 1, places=2),
    rules,
)
def test_more_confidence_never_makes_a_lone_signal_smaller(
    one: Decimal, other: Decimal, weight: Decimal, limits: SizingRules
) -> None:
    sizes = []
    for confidence in sorted((one, other)):
        lone = replace(mention(1, confidence=str(confidence)), source_weight=weight)
        sizes.append(sum(signal.fund_percentage for signal in planned([lone], limits).signals))
    assert sizes[0] <= sizes[1]
