"""How the simulated language model reads a post: rules, no learning, the same answer every time.

``careful`` reads like a careful analyst: it takes a side only where the text takes one, refuses what contradicts
itself, and does not follow instructions inside a post. Its opposite is `agentwhere_sim.puppet`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Final

KNOWN_NAMES: Final = {
    "aave": "AAVE",
    "apple": "AAPL",
    "amazon": "AMZN",
    "aptos": "APT",
    "arbitrum": "ARB",
    "avalanche": "AVAX",
    "bitcoin": "BTC",
    "brent": "BRENT",
    "cardano": "ADA",
    "chainlink": "LINK",
    "copper": "HG",
    "crude": "CL",
    "dogecoin": "DOGE",
    "doge": "DOGE",
    "ether": "ETH",
    "ethereum": "ETH",
    "the euro": "EUR",
    "euro": "EUR",
    "gold": "XAU",
    "google": "GOOG",
    "hyperliquid": "HYPE",
    "litecoin": "LTC",
    "microsoft": "MSFT",
    "nasdaq": "NDX",
    "nvidia": "NVDA",
    "pepe": "PEPE",
    "polkadot": "DOT",
    "ripple": "XRP",
    "s&p 500": "US500",
    "s&p": "US500",
    "silver": "XAG",
    "solana": "SOL",
    "sterling": "GBP",
    "sui": "SUI",
    "tesla": "TSLA",
}
_SYMBOLS: Final = frozenset(KNOWN_NAMES.values()) | {"BNB", "LINK", "META", "NEAR", "TON", "TRX"}

_LONG: Final = r"go(?:ing)? long|long|buy(?:ing)?|bought|bullish|accumulat(?:e|ing)|breakout|bidding|overweight"
_SHORT: Final = (
    r"short(?:ing)?|sell(?:ing)?|sold|bearish|fad(?:e|ing)|breakdown|offering|underweight"
)
_DIRECTION: Final = re.compile(rf"\b(?:(?P<LONG>{_LONG})|(?P<SHORT>{_SHORT}))\b", re.IGNORECASE)
_NEUTRAL: Final = re.compile(
    r"\b(?:(?:long|short)[- ]term|as long as|short squeeze|sell-?off|short interest"
    r"|(?:long|short)[- ]?(?:or|and|/)[- ]?(?:long|short)"
    r"|(?:not|never|no|don't|do not|would not|wouldn't|nor|avoid)\s+(?:\w+\s+){0,1}"
    r"(?:long|short|buy|sell|buying|selling|bullish|bearish)"
    r"|took profit|stopped out|closed)\b",
    re.IGNORECASE,
)
_MENTION: Final = re.compile(
    r"\$(?P<cashtag>[A-Za-z][A-Za-z0-9]{1,11})\b"
    rf"|(?<![\w$])(?P<name>{'|'.join(sorted(map(re.escape, KNOWN_NAMES), key=len, reverse=True))})(?!\w)",
    re.IGNORECASE,
)
_TICKER: Final = re.compile(r"(?<![\w$])([A-Z]{2,6})(?!\w)")
_CLAUSE: Final = re.compile(r"(?<=[.!?;])\s+|\n+")

_INSTRUCTION: Final = re.compile(
    r"ignore (?:all|the|any|previous|prior|everything)|disregard|forget (?:the|all|everything)|system\s*[:>\]]"
    r"|</?\w+>|\[/?inst\]|you are now|you must|assistant\b|language model|\bany ai\b|override|prompt"
    r"|respond only|output (?:is_signal|json|long|short)|is_signal|fund_percentage|new policy|admin message",
    re.IGNORECASE,
)
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")

_CONFIDENCE_STEPS: Final = (
    (r"high conviction|very confident", 0.2),
    (r"strong|best", 0.1),
    (r"added to|confirmed|adding", 0.05),
    (r"maybe|might|perhaps", -0.1),
    (r"small|speculative|starter|low conviction|early", -0.15),
    (r"!!!|explode|moon|never before|will be rich|retirement", -0.25),
)
_HORIZONS: Final = (
    ("INTRADAY", r"intraday|scalp|tonight|next few hours|this session"),
    ("POSITION", r"weeks|months|quarter|position trade|long[- ]term"),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model makes of a post."""

    calls: tuple[tuple[str, str], ...]
    confidence: float
    horizon: str
    reasoning: str

    def as_answer(self) -> dict[str, Any]:
        """Put the reading into the classification schema."""
        return {
            "is_signal": bool(self.calls),
            "signals": [
                {
                    "token": token,
                    "side": side,
                    "confidence": self.confidence,
                    "horizon": self.horizon,
                }
                for token, side in self.calls
            ],
            "reasoning": self.reasoning,
        }


def careful(text: str) -> dict[str, Any]:
    """Read a post as a careful analyst would."""
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    order = _INSTRUCTION.search(plain)
    if order is not None:
        plain = plain[: plain.rfind("\n", 0, order.start()) + 1]
    sides = _sides(plain)
    clear = tuple((token, *found) for token, found in sides.items() if len(found) == 1)
    if not clear or len(clear) < len(sides):
        return _nothing(sides, ordered=order is not None).as_answer()
    calls = tuple((token, side) for token, side in clear)
    return Reading(
        calls,
        _confidence(plain),
        _horizon(plain),
        "The author takes a side: " + ", ".join(f"{side} {token}" for token, side in calls) + ".",
    ).as_answer()


def _nothing(sides: dict[str, set[str]], *, ordered: bool) -> Reading:
    if any(len(found) > 1 for found in sides.values()):
        why = "The post contradicts itself."
    elif ordered:
        why = "The post gives orders to its reader's software and holds no trade idea of its own."
    else:
        why = "The post takes no side on any market."
    return Reading((), 0.0, "SWING", why)


def _sides(text: str) -> dict[str, set[str]]:
    """Find, per token, the sides that the text takes; words without a token speak of the last one named."""
    sides: dict[str, set[str]] = {}
    subject: list[str] = []
    waiting: set[str] = set()
    for clause in _CLAUSE.split(text):
        if clause.rstrip().endswith("?"):
            continue
        words = _NEUTRAL.sub(lambda found: "_" * len(found[0]), clause)
        directions = [
            (found.start(), found.lastgroup or "") for found in _DIRECTION.finditer(words)
        ]
        named = _mentions_at(clause)
        if not named:
            waiting |= {side for _, side in directions} if not subject else set()
            for token in subject:
                sides.setdefault(token, set()).update(side for _, side in directions)
            continue
        for at, token in named:
            found = _sides_of(at, directions) | waiting
            if found:
                sides.setdefault(token, set()).update(found)
        waiting = set()
        subject = list(dict.fromkeys(token for _, token in named))
    return {token: found for token, found in sides.items() if found}


def _sides_of(at: int, directions: list[tuple[int, str]]) -> set[str]:
    taken = {side for _, side in directions}
    before = [side for position, side in directions if position < at]
    return {before[-1]} if len(taken) > 1 and before else taken


def _mentions_at(text: str) -> list[tuple[int, str]]:
    found = [
        (match.start(), (match["cashtag"] or KNOWN_NAMES[match["name"].lower()]).upper())
        for match in _MENTION.finditer(text)
    ]
    found += [(match.start(), match[1]) for match in _TICKER.finditer(text) if match[1] in _SYMBOLS]
    return sorted(set(found))


def _confidence(text: str) -> float:
    steps = sum(step for words, step in _CONFIDENCE_STEPS if re.search(words, text, re.IGNORECASE))
    return round(min(0.95, max(0.2, 0.6 + steps)), 2)


def _horizon(text: str) -> str:
    return next(
        (name for name, words in _HORIZONS if re.search(words, text, re.IGNORECASE)), "SWING"
    )
