"""Rules to measure models against: they see the same snapshot, and act through the same tool calls.

==========================  ==========================================================================================
``baseline/nothing``        never trades
``baseline/hold-BTC``       buys the token once, for 95 % of the account, and holds (any token)
``baseline/equal-weight``   buys all of its markets once, 95 % of the account in equal parts, and holds
``baseline/macd``           holds the side of MACD over its signal line at 5 m, in equal parts; turns when they cross
==========================  ==========================================================================================

A rule that finds its position gone (liquidated, or closed by a stop) buys it again: it is a rule, not a story.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from types import MappingProxyType
from typing import Any, Final

from agentwhere_core.arena.indicators import UNKNOWN
from agentwhere_core.arena.tools import CLOSE_ALL, CREATE, MAX_MARGIN_PCT, judge
from agentwhere_core.arena.values import (
    BASELINE_PREFIX,
    Decision,
    MarketScene,
    RawCall,
    Snapshot,
    Usage,
)
from agentwhere_core.domain.enums import Side
from agentwhere_core.domain.errors import ConfigurationError

EXPOSURE: Final = Decimal("0.95")
MACD_EXPOSURE: Final = Decimal("0.5")
_HOLD: Final = "hold-"
_FIGURES = Decimal("1e-6")

Rule = Callable[[Snapshot], list[RawCall]]


def decide_by_rule(name: str, snapshot: Snapshot) -> Decision:
    """Return what the rule ``name`` (with its prefix) does in the moment of ``snapshot``; its calls are validated too.

    Raises
    ------
    ConfigurationError
        If there is no such rule.
    """
    calls = rule(name)(snapshot)
    verdicts = judge(calls, snapshot)
    return Decision(tuple(verdicts), "", Usage(provider_model=name))


def rule(name: str) -> Rule:
    """Return the rule called ``name``, with its prefix.

    Raises
    ------
    ConfigurationError
        If there is no such rule.
    """
    short = name.removeprefix(BASELINE_PREFIX)
    if short in RULES:
        return RULES[short]
    if short.startswith(_HOLD) and len(short) > len(_HOLD):
        token = short.removeprefix(_HOLD).upper()
        return lambda snapshot: _hold(snapshot, [token])
    known = ", ".join(f"{BASELINE_PREFIX}{each}" for each in (*RULES, f"{_HOLD}TOKEN"))
    raise ConfigurationError(f"there is no baseline {name!r}: there are {known}")


def _nothing(_snapshot: Snapshot) -> list[RawCall]:
    return []


def _equal_weight(snapshot: Snapshot) -> list[RawCall]:
    return _hold(snapshot, [market.token for market in snapshot.markets])


def _macd(snapshot: Snapshot) -> list[RawCall]:
    wanted = {
        market.token: side
        for market in snapshot.markets
        if (side := _side_of_macd(market)) is not None
    }
    held = {position.token: position.side for position in snapshot.positions}
    turned = any(wanted.get(token, side) is not side for token, side in held.items())
    part = MACD_EXPOSURE / len(snapshot.markets) if snapshot.markets else Decimal(0)
    calls = [_call(0, CLOSE_ALL, {"reasoning": "MACD crossed its signal line"})] if turned else []
    for market in snapshot.markets:
        if market.token in wanted and (turned or market.token not in held):
            calls += _open(snapshot, market, wanted[market.token], part, len(calls))
    return calls


RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {"nothing": _nothing, "equal-weight": _equal_weight, "macd": _macd}
)


def _hold(snapshot: Snapshot, tokens: list[str]) -> list[RawCall]:
    calls: list[RawCall] = []
    for token in tokens:
        market = snapshot.market(token)
        if market is not None and not snapshot.holds(token):
            calls += _open(snapshot, market, Side.LONG, EXPOSURE / len(tokens), len(calls))
    return calls


def _side_of_macd(market: MarketScene) -> Side | None:
    """Return LONG while MACD lies above its signal line, SHORT below, None while unknown or equal."""
    series = market.series[0] if market.series else None
    if series is None or not series.macd or not series.macd_signal:
        return None
    macd, signal = series.macd[-1], series.macd_signal[-1]
    if UNKNOWN in {macd, signal} or macd == signal:
        return None
    return Side.LONG if Decimal(macd) > Decimal(signal) else Side.SHORT


def _open(
    snapshot: Snapshot, market: MarketScene, side: Side, exposure: Decimal, number: int
) -> list[RawCall]:
    """Return the call that opens ``exposure`` of the capital, with as little leverage as the margin's cap allows."""
    mid, capital = Decimal(market.mid), Decimal(snapshot.capital_usd)
    # Half a percent below the cap, so that the validation's own rounding never refuses a baseline.
    cap = (MAX_MARGIN_PCT - Decimal("0.5")) / 100
    needed = (exposure / cap).to_integral_value(ROUND_UP)
    leverage = min(max(needed, Decimal(1)), Decimal(market.max_leverage))
    quantity = min(exposure, cap * leverage) * capital / mid
    rounded = quantity.quantize(_FIGURES, ROUND_DOWN)
    if rounded <= 0:
        return []
    wish = {
        "symbol": market.token,
        "side": side.value,
        "quantity": float(rounded),
        "leverage": int(leverage),
    }
    return [_call(number, CREATE, wish)]


def _call(number: int, name: str, arguments: dict[str, Any]) -> RawCall:
    return RawCall(f"rule-{number}", name, json.dumps(arguments))
