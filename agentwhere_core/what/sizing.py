"""How much to put up for a signal (W6): exponential in the score, capped, and within the batch's budget.

``fund_percentage = cap · (e^{k·score} − 1) / (e^k − 1)`` gives little to weak signals and the cap to a
perfect one. What the model wrote never becomes a size: only its confidence enters, through the score. Results
are rounded down to 0.01 %, so rounding never lifts a size above its cap or a batch above its budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction
from math import floor

CAP_PCT = Decimal(25)
BUDGET_PCT = Decimal(50)
CURVATURE = Decimal(3)

_ONE = Decimal(1)
_STEPS_PER_PERCENT = 100
# A context of our own: a caller's precision must not change a size.
_ARITHMETIC = Context(prec=34, rounding=ROUND_HALF_EVEN)


def fund_percentage(
    score: Decimal, cap: Decimal = CAP_PCT, curvature: Decimal = CURVATURE
) -> Decimal:
    """Return the share of funds for one signal, in percent, rounded down to 0.01.

    Parameters
    ----------
    score
        Strength of the signal in [0, 1].
    cap
        Share at score 1, in percent, in (0, 100].
    curvature
        The formula's k, above 0: the larger, the more the strong signals are preferred.

    Raises
    ------
    ValueError
        If an argument lies outside its range.
    """
    if not 0 <= score <= 1:
        raise ValueError(f"a score lies in [0, 1], not {score}")
    if not 0 < cap <= 100:
        raise ValueError(f"a cap lies in (0, 100] percent, not {cap}")
    if not 0 < curvature <= 50:
        raise ValueError(f"the curvature lies in (0, 50], not {curvature}")
    with localcontext(_ARITHMETIC):
        growth = (curvature * score).exp() - _ONE
        share = growth / (curvature.exp() - _ONE)
        return _rounded_down(Fraction(cap) * Fraction(min(share, _ONE)))


def scale_to_budget(sizes: Sequence[Decimal], budget: Decimal = BUDGET_PCT) -> tuple[Decimal, ...]:
    """Return the sizes, scaled down in proportion if their sum exceeds the budget, in percent.

    The sum is exact, so the order of the sizes does not matter.

    Raises
    ------
    ValueError
        If a size is negative, or the budget is not positive.
    """
    if budget <= 0:
        raise ValueError(f"a budget is above 0 percent, not {budget}")
    if any(size < 0 for size in sizes):
        raise ValueError("a size is never negative")
    total = sum((Fraction(size) for size in sizes), Fraction(0))
    factor = min(Fraction(1), Fraction(budget) / total) if total else Fraction(1)
    return tuple(_rounded_down(Fraction(size) * factor) for size in sizes)


def _rounded_down(percent: Fraction) -> Decimal:
    return Decimal(floor(percent * _STEPS_PER_PERCENT)).scaleb(-2)
