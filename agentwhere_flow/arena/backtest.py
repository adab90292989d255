"""Backtest models and baselines over candles that are stored; what is missing is fetched first. Nothing is traded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_core.arena.backtest import BASE, History, Run, run
from agentwhere_core.arena.baselines import decide_by_rule, rule
from agentwhere_core.arena.conversation import converse
from agentwhere_core.arena.indicators import INTERVALS, SHOWN, WARM_UP
from agentwhere_core.arena.results import Ledgered, Standing, rank
from agentwhere_core.arena.values import BASELINE_PREFIX, Decision, Snapshot
from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.market import Candle, Market
from agentwhere_flow.arena.candles import fetch_candles, stored_bars
from agentwhere_flow.report import Tally
from agentwhere_store import markets as market_store

if TYPE_CHECKING:
    from agentwhere_flow.system import System

_USUAL_SPREAD_BPS = Decimal(1)
_LONGEST = timedelta(days=120)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: ``names`` are models of the provider or baselines; all baselines if empty."""

    names: tuple[str, ...]
    venue: Venue
    markets: tuple[str, ...]
    start: datetime
    end: datetime
    capital_usd: Decimal
    leverage: Decimal
    interval_s: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Standings of all runs, the runs themselves, and what could not be had."""

    standings: tuple[Standing, ...]
    runs: tuple[Run, ...]
    problems: tuple[str, ...]


def run_backtest(system: System, now: datetime, plan: Plan, tell: Callable[[str], None]) -> Outcome:
    """Return how all traders of ``plan`` would have fared.

    Raises
    ------
    ConfigurationError
        If a name, a market or the time makes no sense, or there are no candles.
    """
    _require_sense(plan, now)
    names = plan.names or tuple(
        f"{BASELINE_PREFIX}{short}"
        for short in ("nothing", *(f"hold-{token}" for token in plan.markets), "equal-weight", "macd")
    )  # fmt: skip
    tally = Tally()
    histories = _histories(system, now, plan, tally)
    runs = []
    for name in names:
        tell(f"running {name}")
        runs.append(
            run(
                name,
                _decider(system, name),
                histories,
                plan.start,
                plan.end,
                plan.capital_usd,
                timedelta(seconds=plan.interval_s),
            )
        )
    books = {one.name: Ledgered(one.fees_usd, one.volume_usd, one.llm_cost_usd) for one in runs}
    problems = [
        f"{one.name}: {one.failures} of {one.invocations} invocations failed"
        for one in runs
        if one.failures
    ]
    standings = rank({one.name: one.values for one in runs}, books, period=INTERVALS[BASE])
    return Outcome(tuple(standings), tuple(runs), (*tally.problems, *problems))


def _histories(system: System, now: datetime, plan: Plan, tally: Tally) -> list[History]:
    with system.engine.begin() as conn:
        known = {
            market.token: market
            for market in market_store.markets(conn, tokens=plan.markets, venues=[plan.venue])
        }
    if missing := [token for token in plan.markets if token not in known]:
        raise ConfigurationError(
            f"{plan.venue} does not list {', '.join(missing)}: run `agentwhere sync-markets {plan.venue}`"
        )
    listed = [known[token] for token in plan.markets]
    spans = {
        name: (plan.start - length * (WARM_UP + SHOWN), plan.end)
        for name, length in INTERVALS.items()
    }
    fetch_candles(system, now, listed, spans, tally)
    with system.engine.begin() as conn:
        since = {name: start for name, (start, _) in spans.items()}
        bars = stored_bars(conn, listed, since, plan.end)
    histories = [
        _history(
            market,
            {name: bars.get((market.venue, market.token, name), []) for name in INTERVALS},
            plan.leverage,
        )
        for market in listed
    ]
    if not any(history.bars[BASE] for history in histories):
        raise ConfigurationError(
            f"there are no candles from {plan.start:%Y-%m-%d} to {plan.end:%Y-%m-%d}: choose days that "
            f"{plan.venue} still keeps"
        )
    return histories


def _history(market: Market, bars: dict[str, list[Candle]], leverage: Decimal) -> History:
    multiplier = market.size_multiplier

    def single(bar: Candle) -> Candle:
        return replace(
            bar,
            open=bar.open / multiplier,
            high=bar.high / multiplier,
            low=bar.low / multiplier,
            close=bar.close / multiplier,
        )

    return History(
        token=market.token,
        bars={
            name: [single(bar) for bar in found] if multiplier != 1 else found
            for name, found in bars.items()
        },
        taker_fee_bps=market.taker_fee_bps,
        half_spread_bps=(market.spread_bps or _USUAL_SPREAD_BPS) / 2,
        funding_hourly=market.funding_hourly or Decimal(0),
        leverage=leverage,
        max_leverage=market.max_leverage,
        size_step=Decimal(1).scaleb(-market.size_decimals) * multiplier,
    )


def _decider(system: System, name: str) -> Callable[[Snapshot], Decision]:
    if name.startswith(BASELINE_PREFIX):
        rule(name)
        return lambda snapshot: decide_by_rule(name, snapshot)
    return lambda snapshot: converse(system.provider, name, snapshot)


def _require_sense(plan: Plan, now: datetime) -> None:
    if not plan.start < plan.end <= now:
        raise ConfigurationError(
            f"--from {plan.start:%Y-%m-%d} must lie before --to {plan.end:%Y-%m-%d}, and that not in the future"
        )
    if plan.end - plan.start > _LONGEST:
        raise ConfigurationError(
            f"at most {_LONGEST.days} days can be run at once: choose a shorter time"
        )
    if plan.capital_usd <= 0 or plan.leverage < 1:
        raise ConfigurationError("--capital must be more than zero, and --leverage 1 or more")
