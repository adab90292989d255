"""Sizes grow with the score, and never pass their cap nor their budget (W6)."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.what.sizing import BUDGET_PCT, CAP_PCT, fund_percentage, scale_to_budget

scores = st.decimals(0, 1, places=6)
sizes = st.lists(st.decimals(0, 25, places=2), max_size=40)


@pytest.mark.parametrize(
    ("score", "percent"),
    [("0", "0.00"), ("0.25", "1.46"), ("0.5", "4.56"), ("0.8", "13.12"), ("1", "25.00")],
)
def test_sizes_follow_the_published_formula(score: str, percent: str) -> None:
    formula = 25 * (math.exp(3 * float(score)) - 1) / (math.exp(3) - 1)
    assert fund_percentage(Decimal(score)) == Decimal(percent)
    assert float(percent) == pytest.approx(formula, abs=0.01)


@given(scores, scores)
def test_a_stronger_signal_never_gets_less(one: Decimal, other: Decimal) -> None:
    weaker, stronger = sorted((one, other))
    assert fund_percentage(weaker) <= fund_percentage(stronger)


@given(scores, st.decimals("0.01", 100, places=2), st.decimals("0.01", 50, places=2))
def test_a_size_never_passes_its_cap(score: Decimal, cap: Decimal, curvature: Decimal) -> None:
    size = fund_percentage(score, cap, curvature)
    assert 0 <= size <= cap
    assert size == size.quantize(Decimal("0.01"))


@given(scores)
def test_the_callers_precision_changes_no_size(score: Decimal) -> None:
    with localcontext() as context:
        context.prec = 4
        assert fund_percentage(score) == fund_percentage(score)
        imprecise = fund_percentage(score)
    assert imprecise == fund_percentage(score)


@given(sizes)
def test_a_batch_never_passes_its_budget(batch: list[Decimal]) -> None:
    scaled = scale_to_budget(batch)
    assert sum(scaled) <= BUDGET_PCT
    assert all(after <= before for after, before in zip(scaled, batch, strict=True))
    assert all(after <= CAP_PCT for after in scaled)


@given(sizes)
def test_a_batch_within_its_budget_is_left_alone(batch: list[Decimal]) -> None:
    if sum(batch) <= BUDGET_PCT:
        assert scale_to_budget(batch) == tuple(batch)


@given(st.data(), sizes)
def test_the_order_of_a_batch_does_not_matter(data: st.DataObject, batch: list[Decimal]) -> None:
    order = data.draw(st.permutations(range(len(batch))))
    shuffled = scale_to_budget([batch[place] for place in order])
    straight = scale_to_budget(batch)
    assert shuffled == tuple(straight[place] for place in order)


@given(sizes)
def test_scaling_keeps_the_ranking(batch: list[Decimal]) -> None:
    ranked = scale_to_budget(sorted(batch))
    assert list(ranked) == sorted(ranked)


def test_scaling_is_in_proportion() -> None:
    assert scale_to_budget([Decimal(25), Decimal(25), Decimal(50)]) == (
        Decimal("12.50"),
        Decimal("12.50"),
        Decimal("25.00"),
    )


@pytest.mark.parametrize("score", ["-0.01", "1.01", "NaN"])
def test_a_score_outside_its_range_is_an_error(score: str) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        fund_percentage(Decimal(score))


def test_nonsense_limits_are_errors() -> None:
    half = Decimal("0.5")
    with pytest.raises(ValueError, match="cap"):
        fund_percentage(half, Decimal(0))
    with pytest.raises(ValueError, match="curvature"):
        fund_percentage(half, CAP_PCT, Decimal(0))
    with pytest.raises(ValueError, match="budget"):
        scale_to_budget([half], Decimal(0))
    with pytest.raises(ValueError, match="negative"):
        scale_to_budget([Decimal(-1)])
