"""What the model may cost in a day.

A provider states the cost of a call, or a price list gives it. Where neither does, the budget still has to hold: tokens
without a price count at `ASSUMED_PROMPT_PRICE` and `ASSUMED_COMPLETION_PRICE`, which only expensive models reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

ASSUMED_PROMPT_PRICE: Final = Decimal(10)
ASSUMED_COMPLETION_PRICE: Final = Decimal(40)
"""USD per million tokens."""

FIRST_GUESS_USD: Final = Decimal("0.03")
"""What a call is taken to cost on a day that has seen none."""

_MILLION: Final = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Usage:
    """What calls have used.

    Parameters
    ----------
    calls, answered
        Calls made, and those that got a valid answer.
    cached
        Posts that were answered without a call.
    prompt_tokens, completion_tokens
        Of all calls.
    cost_usd
        Of the calls whose cost is known.
    unpriced_prompt_tokens, unpriced_completion_tokens
        Of the calls whose cost is not.
    dearest_usd
        Cost of the most expensive call.
    """

    calls: int = 0
    answered: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    unpriced_prompt_tokens: int = 0
    unpriced_completion_tokens: int = 0
    dearest_usd: Decimal | None = None

    @property
    def counted_usd(self) -> Decimal:
        """What a budget counts: known costs, and tokens without a price at the assumed one."""
        return self.cost_usd + cost_of(
            self.unpriced_prompt_tokens,
            self.unpriced_completion_tokens,
            ASSUMED_PROMPT_PRICE,
            ASSUMED_COMPLETION_PRICE,
        )


def cost_of(
    prompt_tokens: int, completion_tokens: int, prompt_price: Decimal, completion_price: Decimal
) -> Decimal:
    """Return the cost of tokens in USD, at prices in USD per million."""
    return (prompt_tokens * prompt_price + completion_tokens * completion_price) / _MILLION


def affordable(budget_usd: Decimal | None, today: Usage, most: int) -> int:
    """Return how many calls may be made at once, at most ``most``.

    As many as the rest of the budget pays for if each is as expensive as the day's dearest, but one as long as anything
    is left: the budget is overrun by less than one call.
    """
    if budget_usd is None:
        return most
    left = budget_usd - today.counted_usd
    if left <= 0:
        return 0
    each = today.dearest_usd or FIRST_GUESS_USD
    return max(1, min(most, int(left / each)))
