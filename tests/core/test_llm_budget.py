"""How many questions a day's budget allows."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.llm.budget import Usage, affordable, cost_of

usd = st.decimals(min_value=0, max_value=10, places=4)
tokens = st.integers(0, 100_000)


@given(usd, usd, st.integers(1, 64), st.lists(usd, min_size=1, max_size=64))
def test_a_budget_is_overrun_by_less_than_one_call(
    budget: Decimal, spent: Decimal, most: int, costs: list[Decimal]
) -> None:
    dearest = max(costs)
    count = affordable(budget, Usage(calls=1, cost_usd=spent, dearest_usd=dearest), most)
    after = spent + sum(costs[:count], Decimal(0))
    assert 0 <= count <= most
    assert after < max(budget, Decimal("0.0001")) + dearest or count == 0
    assert count == 0 or spent < budget


@given(tokens, tokens)
def test_tokens_without_a_price_count_too(prompt: int, completion: int) -> None:
    usage = Usage(unpriced_prompt_tokens=prompt, unpriced_completion_tokens=completion)
    assert usage.counted_usd == cost_of(prompt, completion, Decimal(10), Decimal(40))
    assert affordable(usage.counted_usd, usage, 8) == 0


def test_without_a_budget_nothing_is_held_back() -> None:
    assert affordable(None, Usage(cost_usd=Decimal(1000)), 16) == 16


def test_the_first_calls_of_a_day_are_taken_to_be_dear() -> None:
    assert affordable(Decimal("0.1"), Usage(), 16) == 3
    assert affordable(Decimal("0.001"), Usage(), 16) == 1
