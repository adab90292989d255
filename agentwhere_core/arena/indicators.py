"""Technical indicators of closed candles, by TA-Lib: EMA(20), MACD(12, 26, 9), RSI(14), ATR(14).

TA-Lib starts each average with a plain mean of its first values, so that a figure depends a little on where the series
begins. With 250 candles in front the rest of that is below 1e-8 of the price.

Prices become floats here, because TA-Lib knows nothing else; what leaves is rounded text. A figure that needs more
history than there is comes out as ``n/a``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from agentwhere_core.arena.values import Series
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.market import Candle

INTERVALS: Final = {"5m": timedelta(minutes=5), "4h": timedelta(hours=4)}
"""Candles that a model is shown, shortest first."""

WARM_UP = 250
SHOWN = 10
EMA, FAST, SLOW, SIGNAL, RSI, ATR = 20, 12, 26, 9, 14, 14
UNKNOWN = "n/a"
_FIGURES = 7


@dataclass(frozen=True, slots=True)
class Indicators:
    """Values per candle, aligned with them; NaN where history is too short."""

    ema20: list[float]
    macd: list[float]
    macd_signal: list[float]
    macd_hist: list[float]
    rsi14: list[float]
    atr14: list[float]


def indicators(
    highs: Sequence[float], lows: Sequence[float], closes: Sequence[float]
) -> Indicators:
    """Return TA-Lib's figures for candles in order, oldest first."""
    import numpy as np
    import talib

    high, low, close = (np.asarray(values, dtype=float) for values in (highs, lows, closes))
    if len(close) <= 1:
        unknown = [math.nan] * len(close)
        return Indicators(unknown, unknown, unknown, unknown, unknown, unknown)
    macd, signal, hist = talib.MACD(close, FAST, SLOW, SIGNAL)
    return Indicators(
        ema20=talib.EMA(close, EMA).tolist(),
        macd=macd.tolist(),
        macd_signal=signal.tolist(),
        macd_hist=hist.tolist(),
        rsi14=talib.RSI(close, RSI).tolist(),
        atr14=talib.ATR(high, low, close, ATR).tolist(),
    )


def series_of(bars: Sequence[Candle], interval: str, multiplier: Decimal = Decimal(1)) -> Series:
    """Return the last values of one market's closed candles, for a prompt.

    Parameters
    ----------
    bars
        Oldest first and without gaps; a forming candle among them is left out.
    multiplier
        Tokens in one unit of the venue's market: prices are divided by it.
    """
    closed = [bar for bar in bars if bar.is_closed]
    found = indicators(
        [float(bar.high / multiplier) for bar in closed],
        [float(bar.low / multiplier) for bar in closed],
        [float(bar.close / multiplier) for bar in closed],
    )
    last = closed[-1].open_time + INTERVALS[interval] if closed else None
    return Series(
        interval=interval,
        closed_at=last.strftime("%Y-%m-%dT%H:%MZ") if last else UNKNOWN,
        mids=_shown(float((bar.open + bar.close) / 2 / multiplier) for bar in closed),
        ema20=_shown(found.ema20),
        macd=_shown(found.macd),
        macd_signal=_shown(found.macd_signal),
        rsi14=_shown(found.rsi14),
        atr14=_shown(found.atr14),
    )


def without_gaps(bars: Sequence[Candle], step: timedelta) -> list[Candle]:
    """Return bars with a flat one, at the close before it, wherever nothing was traded.

    Raises
    ------
    InvariantError
        If the bars are not in order, one per open time.
    """
    filled: list[Candle] = []
    for bar in bars:
        if filled and bar.open_time <= filled[-1].open_time:
            raise InvariantError(
                f"candles of {bar.token} are out of order at {bar.open_time:%Y-%m-%d %H:%M}"
            )
        while filled and filled[-1].open_time + step < bar.open_time:
            filled.append(_flat(filled[-1], filled[-1].open_time + step))
        filled.append(bar)
    return filled


def seen_at(bars: Iterable[Candle], at: datetime, step: timedelta) -> list[Candle]:
    """Return the bars that had closed by ``at``: what nobody could know yet is not among them."""
    return [bar for bar in bars if bar.open_time + step <= at]


def as_text(value: float | Decimal) -> str:
    """Return a number with seven significant digits, plainly written; ``n/a`` for what is unknown."""
    number = Decimal(repr(value)) if isinstance(value, float) else value
    if not number.is_finite():
        return UNKNOWN
    if number == 0:
        return "0"
    places = number.adjusted() - (_FIGURES - 1)
    rounded = number.quantize(Decimal(1).scaleb(places)) if places < 0 else round(number)
    return f"{Decimal(rounded).normalize():f}"


def _shown(values: Iterable[float]) -> tuple[str, ...]:
    return tuple(as_text(value) for value in list(values)[-SHOWN:])


def _flat(before: Candle, open_time: datetime) -> Candle:
    return Candle(
        venue=before.venue,
        token=before.token,
        interval=before.interval,
        open_time=open_time,
        open=before.close,
        high=before.close,
        low=before.close,
        close=before.close,
        volume=Decimal(0),
        is_closed=True,
    )
