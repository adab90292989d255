"""Backtests: nothing of the future is seen, and every cent is accounted for."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.arena.backtest import History, run, visible
from agentwhere_core.arena.baselines import RULES, decide_by_rule
from agentwhere_core.arena.tools import judge
from agentwhere_core.arena.values import Decision, RawCall, Snapshot, Usage
from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.market import Candle
from agentwhere_flow.arena.backtest import Plan, run_backtest
from agentwhere_flow.system import System
from tests.flow.world import rows, utc_now

START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)


def bar(
    number: int, price: float, *, high: float | None = None, low: float | None = None
) -> Candle:
    """Return the 5 m bar of this number after the start, flat unless told otherwise."""
    at = Decimal(repr(price))
    return Candle(
        venue=Venue.LIGHTER,
        token="BTC",
        interval="5m",
        open_time=START + number * STEP,
        open=at,
        high=at if high is None else Decimal(repr(high)),
        low=at if low is None else Decimal(repr(low)),
        close=at,
        volume=Decimal(1),
        is_closed=True,
    )


def history(bars: list[Candle], **options: Any) -> History:
    """Return a market without costs unless told otherwise."""
    zero = Decimal(0)
    given_: dict[str, Any] = {
        "taker_fee_bps": zero,
        "half_spread_bps": zero,
        "funding_hourly": zero,
        "leverage": Decimal(2),
        "max_leverage": Decimal(20),
        "size_step": Decimal("0.001"),
        **options,
    }
    return History("BTC", {"5m": bars, "4h": []}, **given_)


def once(**wish: Any) -> Any:
    """Return a trader that makes one call at its first turn."""

    def decide(shown: Snapshot) -> Decision:
        if shown.invocation > 1:
            return Decision((), "", Usage())
        arguments = json.dumps({"symbol": "BTC", **wish})
        return Decision(
            tuple(judge([RawCall("1", "createPosition", arguments)], shown)), "", Usage()
        )

    return decide


def test_no_candle_that_closed_later_is_visible() -> None:
    """Every moment shows candles that had closed by then, and the newest of them."""
    bars = [bar(n, 1000 + n) for n in range(400)]
    seen: list[tuple[str, str, str]] = []

    def look(shown: Snapshot) -> Decision:
        series = shown.markets[0].series[0]
        seen.append((shown.at, series.closed_at, series.mids[-1]))
        return Decision((), "", Usage())

    first = START + 300 * STEP
    run("look", look, [history(bars)], first, first + 50 * STEP, Decimal(1000), STEP)
    for number, (at, closed_at, mid) in enumerate(seen, start=300):
        assert at.startswith(closed_at.removesuffix("Z"))
        assert mid == str(1000 + number - 1), "the bar that begins now is not among them"


@given(st.integers(0, 400 * 300), st.integers(1, 400))
def test_what_is_visible_never_depends_on_the_future(seconds: int, count: int) -> None:
    bars = [bar(n, 1000 + n) for n in range(count)]
    at = START + timedelta(seconds=seconds)
    assert visible(bars, at, "5m") == visible([b for b in bars if b.open_time < at], at, "5m")


def test_a_decision_is_filled_at_the_open_of_the_bar_that_begins_then() -> None:
    bars = [bar(0, 100), bar(1, 110)]
    made = run(
        "buy", once(side="LONG", quantity=1), [history(bars)], START, START + 2 * STEP,
        Decimal(1000), STEP,
    )  # fmt: skip
    assert [value for _, value in made.values] == [1000, 1000, 1010]


def test_fees_spread_and_funding_are_paid() -> None:
    costly = {"taker_fee_bps": Decimal(10), "half_spread_bps": Decimal(20)}
    bars = [bar(n, 100) for n in range(13)]
    made = run(
        "buy",
        once(side="LONG", quantity=1),
        [history(bars, **costly, funding_hourly=Decimal("0.001"))],
        START,
        START + 13 * STEP,
        Decimal(1000),
        STEP,
    )
    assert made.fees_usd == Decimal("0.10020")
    assert made.funding_usd == Decimal("-0.1")
    assert made.values[-1][1] == 1000 - Decimal("0.2") - made.fees_usd + made.funding_usd


@pytest.mark.parametrize(
    ("wish", "moves", "left"),
    [
        ({"side": "LONG", "stop_loss": 95}, {"low": 90, "high": 100}, 995),
        ({"side": "LONG", "take_profit": 105}, {"low": 100, "high": 120}, 1005),
        ({"side": "LONG", "stop_loss": 95, "take_profit": 105}, {"low": 90, "high": 120}, 995),
        ({"side": "SHORT", "stop_loss": 105}, {"low": 100, "high": 110}, 995),
        ({"side": "SHORT", "take_profit": 95}, {"low": 80, "high": 100}, 1005),
    ],
)
def test_stops_fill_at_their_price_and_losses_come_first(
    wish: dict[str, Any], moves: dict[str, float], left: int
) -> None:
    bars = [bar(0, 100), bar(1, 100, **moves), bar(2, 100)]
    made = run(
        "stop", once(quantity=1, **wish), [history(bars)], START, START + 3 * STEP,
        Decimal(1000), STEP,
    )  # fmt: skip
    assert made.values[-1][1] == left


def test_an_account_is_liquidated_and_never_owes() -> None:
    bars = [bar(0, 100), bar(1, 20), bar(2, 1000)]
    made = run(
        "ruin", once(side="LONG", quantity=48, leverage=20), [history(bars)], START,
        START + 3 * STEP, Decimal(1000), STEP,
    )  # fmt: skip
    assert [value for _, value in made.values][-2:] == [0, 0]


@given(st.lists(st.floats(50, 200), min_size=40, max_size=80), st.sampled_from(sorted(RULES)))
def test_baselines_never_go_below_zero_and_start_with_their_capital(
    prices: list[float], name: str
) -> None:
    bars = [bar(n, round(price, 2)) for n, price in enumerate(prices)]
    made = run(
        name, lambda shown: decide_by_rule(f"baseline/{name}", shown), [history(bars)], START,
        START + len(bars) * STEP, Decimal(1000), STEP,
    )  # fmt: skip
    assert made.values[0][1] == 1000
    assert all(value >= 0 for _, value in made.values)


def test_models_and_baselines_are_run_over_candles_of_their_venue(desk: System) -> None:
    now = utc_now()
    end = now.replace(hour=0, minute=0, second=0, microsecond=0)
    plan = Plan(
        names=("baseline/nothing", "baseline/hold-BTC", "baseline/macd", "sim/trend"),
        venue=Venue.LIGHTER,
        markets=("BTC",),
        start=end - timedelta(hours=6),
        end=end,
        capital_usd=Decimal(10_000),
        leverage=Decimal(3),
        interval_s=1800,
    )
    first = run_backtest(desk, now, plan, lambda _: None)
    again = run_backtest(desk, now, plan, lambda _: None)
    assert [one.values for one in first.runs] == [one.values for one in again.runs]
    by_name = {one.name: one for one in first.runs}
    assert by_name["baseline/nothing"].values[-1][1] == 10_000
    assert by_name["sim/trend"].invocations == 12
    assert by_name["sim/trend"].llm_cost_usd > 0
    assert by_name["baseline/hold-BTC"].trades == 1
    assert rows(desk, "SELECT count(*) FROM agentwhere.orders") == [(0,)], "nothing is traded"
