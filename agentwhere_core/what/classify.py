"""What is believed of a model's answer.

A trade counts only if its token is in the synced market lists *and* the post's own text names it: by cashtag, by
symbol, or by a name that everybody knows. Whatever a post or a model made up falls through here, with a reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentwhere_core.domain.idea import Classification, Mention, Post
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.llm.prompts import prepare_post_text
from agentwhere_core.llm.schema import MAX_TRADES
from agentwhere_core.venues.symbols import KNOWN_NAMES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from agentwhere_core.llm.client import ClassificationOutcome
    from agentwhere_core.llm.schema import ProposedTrade

COMMON_WORDS: Final = re.compile(
    r"""
    ACE|AI|ALT|ANIME|APE|APEX|AR|ARK|BABY|BADGER|BANANA|BIGTIME|BIO
    |BLAST|BLUR|CAKE|CC|COMP|CYBER|EDEN|FF|FRIEND|GAS|GOAT|GRASS|INIT
    |IO|IP|JELLY|LAYER|LOOM|ME|MEGA|MEME|MET|MON|MOVE|NEAR|NIL|NOT|OM
    |OP|PEOPLE|PIXEL|POL|PROMPT|PROVE|PUMP|REQ|S|SAGA|SAND|SKY|STABLE
    |SUPER|SUSHI|TRUMP|TST|TURBO|USELESS|USUAL|VINE|VIRTUAL|W|ZERO
    """,
    re.VERBOSE,
)
"""Symbols that are also words, or one letter: in a text they count as a name only as a cashtag or in a pair."""

_QUOTES: Final = r"(?:USDT?|USDC|PERP)"
_ADDRESS: Final = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_UNIT: Final = re.compile(r"k(?=[A-Z]{2})|1000(?=[A-Za-z])")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The trades that are believed, and why the others are not."""

    mentions: tuple[Mention, ...]
    refusals: tuple[tuple[str, Reason], ...]


def accept_mentions(
    proposed: Sequence[ProposedTrade],
    text: str,
    listed: Collection[str],
    most: int = MAX_TRADES,
) -> Accepted:
    """Believe those trades whose token the text names and a venue lists.

    Parameters
    ----------
    proposed
        What the model read from the text.
    text
        The post's text, raw or prepared.
    listed
        Canonical symbols of all synced markets.
    most
        How many trades one post may cause. Of more, the most confident are kept, of equally confident ones those that
        the text names first: a post stuffed with cashtags is worth no more than a plain one.

    Returns
    -------
    Accepted
        One mention per token, in the order proposed. A token proposed twice on one side keeps the lower confidence;
        on both sides it is refused.
    """
    readable = prepare_post_text(text)
    mentions: dict[str, Mention] = {}
    refusals: dict[str, Reason] = {}
    for trade in proposed:
        token = _symbol(trade.token, listed)
        reason = _refusal(token, readable, listed)
        if reason is not None:
            refusals.setdefault(token, reason)
            continue
        earlier = mentions.get(token)
        if earlier is None:
            mentions[token] = Mention(token, trade.side, trade.confidence, trade.horizon)
        elif earlier.side is not trade.side:
            refusals[token] = Reason.CONFLICTING_POSTS
        elif trade.confidence < earlier.confidence:
            mentions[token] = Mention(token, trade.side, trade.confidence, trade.horizon)
    believed = [each for each in mentions.values() if each.token not in refusals]
    kept = sorted(believed, key=lambda each: (-each.confidence, _place(readable, each.token)))[
        :most
    ]
    refusals |= dict.fromkeys(
        (each.token for each in believed if each not in kept), Reason.TOO_MANY_TOKENS
    )
    return Accepted(tuple(each for each in believed if each in kept), tuple(refusals.items()))


def names(text: str, token: str) -> bool:
    """Tell whether a text names a canonical token.

    By cashtag in any case (``$btc``), as a pair (``BTC-PERP``, ``XAU/USD``), by a known name in any case (``gold``), or
    by its bare symbol in capitals, unless that is an everyday word. What stands in a web address does not count.
    """
    return _place(text, token) is not None


def to_classification(
    post: Post,
    outcome: ClassificationOutcome,
    listed: Collection[str],
    *,
    most: int = MAX_TRADES,
    is_cached: bool = False,
) -> Classification:
    """Turn an answered outcome into what is stored about the post; ``most`` trades of it count.

    Raises
    ------
    ValueError
        If the outcome is an abstention: its post stays pending.
    """
    if outcome.answer is None:
        raise ValueError(f"post {post.id} was not answered ({outcome.error}); leave it pending")
    answer = outcome.answer
    if answer.is_signal:
        accepted = accept_mentions(answer.signals, post.text, listed, most)
    else:
        refused = dict.fromkeys((trade.token for trade in answer.signals), Reason.NOT_A_SIGNAL)
        accepted = Accepted((), tuple(refused.items()))
    return Classification(
        post_id=post.id,
        is_signal=answer.is_signal,
        mentions=accepted.mentions,
        refusals=accepted.refusals,
        reasoning=answer.reasoning,
        model=outcome.model,
        prompt_version=outcome.prompt_version,
        schema_version=outcome.schema_version,
        raw_response=outcome.raw_response,
        prompt_tokens=outcome.prompt_tokens,
        completion_tokens=outcome.completion_tokens,
        cost_usd=outcome.cost_usd,
        latency_ms=outcome.latency_ms,
        is_cached=is_cached,
    )


def _place(text: str, token: str) -> int | None:
    """Return where a text first names a token, or None."""
    symbol = re.escape(token)
    spoken = [name for name, named in KNOWN_NAMES.items() if named == token]
    ways = [
        re.compile(rf"(?<!\w)\$(?:k|1000)?{symbol}(?!\w)", re.IGNORECASE),
        re.compile(rf"(?<![\w$])(?:k|1000)?{symbol}[-/]?{_QUOTES}(?!\w)"),
        *(re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE) for name in spoken),
    ]
    if COMMON_WORDS.fullmatch(token) is None and len(token) > 1:
        ways.append(re.compile(rf"(?<![\w$])(?:k|1000)?{symbol}(?!\w)"))
    readable = _ADDRESS.sub(lambda found: " " * len(found[0]), text)
    return min((found.start() for way in ways if (found := way.search(readable))), default=None)


def _symbol(token: str, listed: Collection[str]) -> str:
    """Read the model's way of writing a token as a canonical symbol, if one fits."""
    bare = prepare_post_text(token).removeprefix("$").strip()
    pair = re.fullmatch(rf"(.+?)[-/]{_QUOTES}", bare, re.IGNORECASE)
    bare = str(pair[1]) if pair else bare
    plain = bare.upper()
    spellings = (plain, KNOWN_NAMES.get(bare.lower(), plain), _UNIT.sub("", bare, count=1).upper())
    return next((each for each in spellings if each in listed), plain)


def _refusal(token: str, text: str, listed: Collection[str]) -> Reason | None:
    if not token or not names(text, token):
        return Reason.TOKEN_NOT_NAMED
    if token not in listed:
        return Reason.TOKEN_NOT_LISTED
    return None
