"""Indicators: TA-Lib's values, a case computed by hand, and the values beside the recorded candles."""

from __future__ import annotations

import csv
import json
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.arena.indicators import (
    INTERVALS,
    SHOWN,
    as_text,
    indicators,
    seen_at,
    series_of,
    without_gaps,
)
from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.market import Candle

START = datetime(2026, 1, 1, tzinfo=UTC)


def data_folder() -> Path:
    """Return the folder of recordings, which lies beside the project or beside its other worktrees."""
    here = Path(__file__).resolve()
    found = next(
        (p / "shared/data/candles" for p in here.parents if (p / "shared/data/candles").is_dir()),
        None,
    )
    if found is None:
        pytest.skip("the recorded candles are not beside the project")
    return found


def bar(number: int, close: float, *, is_closed: bool = True, low: float | None = None) -> Candle:
    """Return the 5 m bar of this number; its open is its close."""
    price = Decimal(repr(close))
    return Candle(
        venue=Venue.LIGHTER,
        token="BTC",
        interval="5m",
        open_time=START + number * INTERVALS["5m"],
        open=price,
        high=price,
        low=price if low is None else Decimal(repr(low)),
        close=price,
        volume=Decimal(1),
        is_closed=is_closed,
    )


@pytest.mark.parametrize("interval", ["5m", "4h"])
def test_recorded_candles_give_the_values_listed_beside_them(interval: str) -> None:
    folder = data_folder()
    expected = json.loads((folder / "expected_indicators.json").read_text())[interval]
    rows = list(csv.DictReader((folder / expected["file"]).read_text().splitlines()))
    found = indicators(
        [float(row["high"]) for row in rows],
        [float(row["low"]) for row in rows],
        [float(row["close"]) for row in rows],
    )
    assert len(rows) == expected["rows"]
    for value in expected["values"]:
        at = value["row"]
        assert rows[at]["open_time"] == value["open_time"]
        for name in ("ema20", "macd", "macd_signal", "macd_hist", "rsi14", "atr14"):
            assert getattr(found, name)[at] == pytest.approx(value[name], abs=1e-6), (name, at)


def test_a_case_computed_by_hand() -> None:
    """Closes 1 to 22: the mean of the first twenty is 10.5, then k = 2/21 of the way to each close."""
    closes = [float(n) for n in range(1, 23)]
    found = indicators([c + 1 for c in closes], [c - 1 for c in closes], closes)

    assert math.isnan(found.ema20[18])
    assert found.ema20[19] == pytest.approx(10.5)
    assert found.ema20[20] == pytest.approx(10.5 + (21 - 10.5) * 2 / 21)
    assert found.ema20[21] == pytest.approx(11.5 + (22 - 11.5) * 2 / 21)
    assert found.rsi14[14] == pytest.approx(100), "it only ever rose"
    assert found.atr14[14] == pytest.approx(2), "each bar is two wide, and overlaps the one before"


def test_macd_of_a_constant_slope_is_the_distance_of_its_averages() -> None:
    """An EMA of n values lags a straight line by (n − 1)/2 steps: MACD(12, 26) of slope 1 is 12.5 − 5.5 = 7."""
    closes = [float(n) for n in range(400)]
    found = indicators(closes, closes, closes)
    assert found.macd[-1] == pytest.approx(7)
    assert found.macd_hist[-1] == pytest.approx(0, abs=1e-9)


def test_a_forming_candle_is_not_in_the_series() -> None:
    closed = [bar(n, 100 + n) for n in range(60)]
    forming = bar(60, 5000, is_closed=False)
    assert series_of([*closed, forming], "5m") == series_of(closed, "5m")
    assert series_of(closed, "5m").closed_at == "2026-01-01T05:00Z"


def test_short_history_is_said_and_not_invented() -> None:
    series = series_of([bar(n, 100 + n) for n in range(5)], "5m")
    assert series.mids == ("100", "101", "102", "103", "104")
    assert set(series.ema20) == {"n/a"}
    assert series_of([], "5m").mids == ()


def test_a_thousandfold_market_is_shown_in_single_tokens() -> None:
    thousands = series_of([bar(n, 7 + n / 100) for n in range(60)], "5m", Decimal(1000))
    assert thousands.mids[-1] == "0.00759"
    assert len(thousands.ema20) == SHOWN


def test_gaps_become_flat_candles_at_the_close_before() -> None:
    filled = without_gaps([bar(0, 10), bar(3, 20)], INTERVALS["5m"])
    assert [one.close for one in filled] == [Decimal(10), Decimal(10), Decimal(10), Decimal(20)]
    assert [one.volume for one in filled] == [1, 0, 0, 1]
    with pytest.raises(InvariantError):
        without_gaps([bar(1, 10), bar(0, 10)], INTERVALS["5m"])


@given(st.integers(0, 3600 * 24))
def test_no_candle_that_closes_later_is_seen(seconds: int) -> None:
    bars = [bar(n, 100 + n) for n in range(288)]
    at = START + timedelta(seconds=seconds)
    seen = seen_at(bars, at, INTERVALS["5m"])
    assert all(one.open_time + INTERVALS["5m"] <= at for one in seen)
    assert len(seen) == seconds // 300


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_text_keeps_seven_digits(value: Decimal) -> None:
    text = as_text(value)
    assert "E" not in text
    if value != 0:
        assert abs(Decimal(text) / value - 1) < Decimal("1e-6")


def test_unknown_numbers_are_said() -> None:
    cases: list[tuple[Any, str]] = [(math.nan, "n/a"), (math.inf, "n/a"), (0.0, "0"), (-0.0, "0")]
    for value, text in cases:
        assert as_text(value) == text
