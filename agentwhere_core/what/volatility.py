"""How much a market moves in a day, from its hourly bars (W5)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from itertools import pairwise

from agentwhere_core.domain.market import Candle

LEAST_RETURNS = 12
_HOURS_PER_DAY = 24
_PLACES = Decimal("0.000001")
_ARITHMETIC = Context(prec=28)


def volatility_24h(bars: Sequence[Candle]) -> Decimal | None:
    """Return the daily volatility as a fraction: √24 × the standard deviation of hourly log returns.

    Parameters
    ----------
    bars
        One market's hourly bars, oldest first; only the last 25 are used, which give 24 returns.

    Returns
    -------
    Decimal or None
        Rounded to six places; None if fewer than 12 returns are known.
    """
    closes = [bar.close for bar in bars if bar.close > 0][-_HOURS_PER_DAY - 1 :]
    with localcontext(_ARITHMETIC):
        returns = [(later / earlier).ln() for earlier, later in pairwise(closes)]
        if len(returns) < LEAST_RETURNS:
            return None
        mean = sum(returns, Decimal(0)) / len(returns)
        squares = sum(((each - mean) ** 2 for each in returns), Decimal(0))
        variance = squares / (len(returns) - 1)
        return (variance * _HOURS_PER_DAY).sqrt().quantize(_PLACES)
