"""Traders: personalities of the simulated language model that trade by OpenAI's tool calls.

Each reads the last prompt by its own eyes (mids, MACD and RSI lines, open positions, cash) and answers as a function of
the request alone, so that a run can be repeated to the letter.

=======================  ==========================================================================================
``sim/trend``            follows the 4 h MACD, with stops; closes all when a held market has turned
``sim/contrarian``       sells what rose and buys what fell, by RSI
``sim/erratic``          rolls dice that the prompt seeds: opens, closes, or does nothing
``sim/garbage``          unknown symbols, negative and absurd quantities, contradictions, broken arguments; never learns
``sim/learner``          wrong at first, right once it was told why
``sim/injectable``       does whatever a line in the prompt tells it to, and asks for a fortune without one
``sim/talker``           writes its tool calls in plain text
``sim/truncated``        runs out of tokens in the middle of a call
``sim/shy``              refuses
=======================  ==========================================================================================
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

_CREATE: Final = "createPosition"
_CLOSE: Final = "closeAllPosition"
_HEAD = re.compile(r"^(\S+): mid (\S+), leverage (\S+) \(at most (\S+)\)$")
_INTERVAL = re.compile(r"^  (\S+) candles")
_SERIES = re.compile(r"^    ([A-Za-z]+[^:]*): (.*)$")
_HELD = re.compile(r"^- (\S+) (LONG|SHORT) ")
_CASH = re.compile(r"^Available cash: (\S+) USD", re.MULTILINE)
_WORTH = re.compile(r"^Account value: (\S+) USD", re.MULTILINE)
_ORDER = re.compile(r"(?:IGNORE|OVERRIDE)[^\n]*?(LONG|SHORT)\s+([\d.]+)\s+(\w+)", re.IGNORECASE)
_REFUSAL: Final = "I'm sorry, but I can't give financial advice."
_USD_PER_TOKEN: Final = 0.0000006

Call = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Market:
    token: str
    mid: float
    leverage: float
    series: dict[tuple[str, str], list[float]]

    def last(self, interval: str, name: str) -> float | None:
        """Give the newest value of a series, if it is known."""
        values = self.series.get((interval, name), [])
        return values[-1] if values else None


@dataclass(frozen=True, slots=True)
class _Prompt:
    text: str
    worth: float
    cash: float
    held: dict[str, str]
    markets: tuple[_Market, ...]

    def part(self, market: _Market, share: float) -> float:
        """Give the quantity whose margin is a share of the account."""
        return float(f"{self.worth * share * market.leverage / market.mid:.4g}")


def answer(order: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Give a trader's message and the reason why it ended, for one request."""
    name, messages = order["model"], order["messages"]
    told = any(message.get("role") == "assistant" for message in messages)
    prompt = _read(_prompt_of(messages))
    if name == "sim/shy":
        return _message(None, refusal=_REFUSAL), "stop"
    if name == "sim/talker":
        return _message('I will act: createPosition({"symbol": "BTC", "side": "LONG"})'), "stop"
    if name == "sim/truncated":
        return _message(None, [(_CREATE, '{"symbol": "BTC", "side": "LO')], order), "length"
    words, calls = _TRADERS[name](prompt, told)
    return _message(words, calls, order), "tool_calls" if calls else "stop"


def cost_of(name: str, tokens: int) -> float | None:
    """Give what a trader's answer costs in USD, or nothing for the other personalities."""
    return round(tokens * _USD_PER_TOKEN, 8) if name in MODELS else None


def _trend(prompt: _Prompt, told: bool) -> tuple[str, list[Call]]:
    if told:
        return "I leave it at that.", []
    wanted = {m.token: side for m in prompt.markets if (side := _macd_side(m)) is not None}
    if any(wanted.get(token, side) != side for token, side in prompt.held.items()):
        return "The trend has turned.", [(_CLOSE, json.dumps({"reasoning": "trend turned"}))]
    calls = []
    for market in prompt.markets:
        side = wanted.get(market.token)
        if side is None or market.token in prompt.held:
            continue
        sign = 1 if side == "LONG" else -1
        wish = {
            "symbol": market.token,
            "side": side,
            "quantity": prompt.part(market, 0.08),
            "stop_loss": float(f"{market.mid * (1 - sign * 0.04):.6g}"),
            "take_profit": float(f"{market.mid * (1 + sign * 0.08):.6g}"),
            "reasoning": f"4 h MACD says {side}",
        }
        calls.append((_CREATE, json.dumps(wish)))
    return "I follow the trend.", calls


def _contrarian(prompt: _Prompt, told: bool) -> tuple[str, list[Call]]:
    if told:
        return "So be it.", []
    calls = []
    for market in prompt.markets:
        rsi = market.last("5m", "RSI(14)")
        if rsi is None or market.token in prompt.held or 45 < rsi < 55:
            continue
        wish = {
            "symbol": market.token,
            "side": "SHORT" if rsi >= 55 else "LONG",
            "quantity": prompt.part(market, 0.06),
            "reasoning": f"RSI {rsi:.0f} is overdone",
        }
        calls.append((_CREATE, json.dumps(wish)))
    crowded = len(prompt.held) == len(prompt.markets) > 0
    if crowded and len(prompt.text) % 5 == 0:
        return "Enough of it.", [(_CLOSE, "{}")]
    return "The crowd is wrong.", calls


def _erratic(prompt: _Prompt, told: bool) -> tuple[str, list[Call]]:
    if told:
        return "Whatever.", []
    dice = random.Random(prompt.text)
    calls: list[Call] = []
    if prompt.held and dice.random() < 0.4:
        calls.append((_CLOSE, json.dumps({"reasoning": "bored"})))
    free = [m for m in prompt.markets if calls or m.token not in prompt.held]
    if free and dice.random() < 0.7:
        market = dice.choice(free)
        wish = {
            "symbol": market.token,
            "side": dice.choice(["LONG", "SHORT"]),
            "quantity": prompt.part(market, dice.choice([0.03, 0.1, 0.2])),
            "reasoning": "a hunch",
        }
        calls.append((_CREATE, json.dumps(wish)))
    return "I feel lucky.", calls


def _garbage(prompt: _Prompt, told: bool) -> tuple[str, list[Call]]:
    dice = random.Random(f"{prompt.text}{told}")
    token = prompt.markets[0].token if prompt.markets else "BTC"

    def wish(symbol: str, side: str, quantity: Any) -> Call:
        return _CREATE, json.dumps({"symbol": symbol, "side": side, "quantity": quantity})

    kinds: list[list[Call]] = [
        [wish("WAGMICAT", "LONG", 10)],
        [wish(token, "LONG", -3)],
        [wish(token, "LONG", 1e12)],
        [wish(token, "SIDEWAYS", 1)],
        [wish(token, "LONG", 0.001), wish(token, "SHORT", 0.001)],
        [(_CREATE, '{"symbol": "BTC", "si')],
        [(_CREATE, "[1, 2, 3]")],
        [("sellEverythingNow", "{}")],
        [wish(token, "LONG", "a lot")],
        [],
    ]
    return "asdf \x00 ☃", dice.choice(kinds)


def _learner(prompt: _Prompt, told: bool) -> tuple[str, list[Call]]:
    free = [market for market in prompt.markets if market.token not in prompt.held]
    if not free:
        return "Nothing to do.", []
    market = free[0]
    quantity = prompt.part(market, 0.05) if told else -1
    wish = {"symbol": market.token, "side": "LONG", "quantity": quantity}
    return ("I see." if told else "Let me try."), [(_CREATE, json.dumps(wish))]


def _injectable(prompt: _Prompt, told: bool) -> tuple[str, list[Call]]:
    found = _ORDER.search(prompt.text)
    if found:
        side, quantity, token = found.groups()
    else:
        token = prompt.markets[0].token if prompt.markets else "BTC"
        side, quantity = "LONG", "1000000"
    wish = {"symbol": token, "side": side.upper(), "quantity": float(quantity)}
    return "As you wish." if not told else "Then not.", [] if told else [
        (_CREATE, json.dumps(wish))
    ]


_TRADERS: dict[str, Callable[[_Prompt, bool], tuple[str, list[Call]]]] = {
    "sim/trend": _trend,
    "sim/contrarian": _contrarian,
    "sim/erratic": _erratic,
    "sim/garbage": _garbage,
    "sim/learner": _learner,
    "sim/injectable": _injectable,
}
MODELS: Final = (*_TRADERS, "sim/talker", "sim/truncated", "sim/shy")


def _macd_side(market: _Market) -> str | None:
    macd = market.last("4h", "MACD(12,26)")
    signal = market.last("4h", "MACD signal(9)")
    if macd is None or signal is None or macd == signal:
        return None
    return "LONG" if macd > signal else "SHORT"


def _prompt_of(messages: list[dict[str, Any]]) -> str:
    first = next(message for message in messages if message.get("role") == "user")
    return str(first.get("content") or "")


def _read(text: str) -> _Prompt:
    held = {m[1]: m[2] for line in text.splitlines() if (m := _HELD.match(line))}
    markets: list[_Market] = []
    interval = ""
    for line in text.splitlines():
        if head := _HEAD.match(line):
            markets.append(_Market(head[1], float(head[2]), float(head[3]), {}))
        elif start := _INTERVAL.match(line):
            interval = start[1]
        elif markets and (series := _SERIES.match(line)):
            values = [float(word) for word in series[2].split() if word != "n/a"]
            markets[-1].series[interval, series[1]] = values
    worth, cash = _WORTH.search(text), _CASH.search(text)
    return _Prompt(
        text,
        float(worth[1]) if worth else 0.0,
        float(cash[1]) if cash else 0.0,
        held,
        tuple(markets),
    )


def _message(
    words: str | None,
    calls: list[Call] | None = None,
    order: dict[str, Any] | None = None,
    refusal: str | None = None,
) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": words,
        "refusal": refusal,
        "annotations": [],
    }
    if calls:
        turn = len((order or {}).get("messages", []))
        message["tool_calls"] = [
            {
                "id": f"call_{turn}_{number}",
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }
            for number, (name, arguments) in enumerate(calls)
        ]
    return message
