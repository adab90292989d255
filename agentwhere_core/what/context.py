"""How far the market's state supports a signal: a factor in (0, 1] on its score (W5, W6).

Three terms are multiplied, each 1 in an ordinary liquid market:

=========== ======================================================== ======= =======
term        rule                                                     least   unknown
=========== ======================================================== ======= =======
volume      1 from $10M a day, falling with its logarithm to $100k   0.25    0.7
spread      1 up to 5 bps, then 5 bps ÷ spread                       0.2     0.8
volatility  1 up to 5 % a day, then 5 % ÷ volatility                 0.2     0.8
=========== ======================================================== ======= =======

Where the volatility is unknown, the size of the last day's move stands in for it. What is not known is taken
for mediocre: better than the worst, never as good as a market that is known to be liquid and calm.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from agentwhere_core.domain.market import MarketContext

LIQUID_VOLUME_USD = Decimal(10_000_000)
THIN_VOLUME_USD = Decimal(100_000)
TIGHT_SPREAD_BPS = Decimal(5)
CALM_VOLATILITY = Decimal("0.05")

LEAST_FOR_VOLUME = Decimal("0.25")
LEAST_FOR_SPREAD = Decimal("0.2")
LEAST_FOR_VOLATILITY = Decimal("0.2")
UNKNOWN_VOLUME = Decimal("0.7")
UNKNOWN_SPREAD = Decimal("0.8")
UNKNOWN_VOLATILITY = Decimal("0.8")

_ONE = Decimal(1)
_PLACES = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class ContextTerm:
    """One term of the factor: what was measured, what it made of it, and why in words."""

    name: str
    measured: Decimal | None
    value: Decimal
    why: str


@dataclass(frozen=True, slots=True)
class ContextFactor:
    """The factor with its terms; ``value`` is their product."""

    value: Decimal
    terms: tuple[ContextTerm, ...]


def context_factor(context: MarketContext | None) -> Decimal:
    """Return the factor in (0, 1] for a market's state; None where nothing is known of it."""
    return judge_context(context).value


def judge_context(context: MarketContext | None) -> ContextFactor:
    """Return the factor with the reason for each of its terms."""
    terms = (
        _volume_term(context.volume_24h_usd if context else None),
        _spread_term(context.spread_bps if context else None),
        _volatility_term(_volatility(context)),
    )
    product = _ONE
    for term in terms:
        product *= term.value
    return ContextFactor(product.quantize(_PLACES, ROUND_DOWN), terms)


def _volatility(context: MarketContext | None) -> Decimal | None:
    if context is None:
        return None
    if context.volatility_24h is not None:
        return context.volatility_24h
    return None if context.change_24h is None else abs(context.change_24h)


def _volume_term(volume: Decimal | None) -> ContextTerm:
    if volume is None:
        return ContextTerm("volume", None, UNKNOWN_VOLUME, "volume unknown")
    if volume >= LIQUID_VOLUME_USD:
        return ContextTerm("volume", volume, _ONE, "liquid")
    if volume <= THIN_VOLUME_USD:
        return ContextTerm("volume", volume, LEAST_FOR_VOLUME, "hardly traded")
    way = (volume / THIN_VOLUME_USD).log10() / (LIQUID_VOLUME_USD / THIN_VOLUME_USD).log10()
    value = (LEAST_FOR_VOLUME + (_ONE - LEAST_FOR_VOLUME) * way).quantize(_PLACES, ROUND_DOWN)
    return ContextTerm("volume", volume, value, "thinly traded")


def _spread_term(spread_bps: Decimal | None) -> ContextTerm:
    if spread_bps is None:
        return ContextTerm("spread", None, UNKNOWN_SPREAD, "spread unknown")
    if spread_bps <= TIGHT_SPREAD_BPS:
        return ContextTerm("spread", spread_bps, _ONE, "tight spread")
    value = max(LEAST_FOR_SPREAD, TIGHT_SPREAD_BPS / spread_bps).quantize(_PLACES, ROUND_DOWN)
    return ContextTerm("spread", spread_bps, value, "wide spread")


def _volatility_term(volatility: Decimal | None) -> ContextTerm:
    if volatility is None:
        return ContextTerm("volatility", None, UNKNOWN_VOLATILITY, "volatility unknown")
    if volatility <= CALM_VOLATILITY:
        return ContextTerm("volatility", volatility, _ONE, "calm")
    value = max(LEAST_FOR_VOLATILITY, CALM_VOLATILITY / volatility)
    return ContextTerm("volatility", volatility, value.quantize(_PLACES, ROUND_DOWN), "volatile")
