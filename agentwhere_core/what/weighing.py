"""What several voices together say of one token: who is independent, who agrees, and what is left of a dispute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from uuid import UUID

from agentwhere_core.domain.enums import Side
from agentwhere_core.domain.idea import ScoredMention

_ZERO = Decimal(0)
_ONE = Decimal(1)
_PLACES = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class View:
    """What the sources together think of a token.

    Parameters
    ----------
    score, confidence
        What is left for ``side`` after netting.
    for_it, against_it
        The mentions of that side, and of the other.
    score_for, score_against
        Each side's score before netting.
    voices
        How many independent voices speak for it.
    """

    token: str
    side: Side
    score: Decimal
    confidence: Decimal
    for_it: tuple[ScoredMention, ...]
    against_it: tuple[ScoredMention, ...]
    score_for: Decimal
    score_against: Decimal
    voices: int


def weigh(token: str, mentions: Sequence[ScoredMention]) -> View | None:
    """Return the side that remains after netting, or None if both are equally strong."""
    longs = tuple(mention for mention in mentions if mention.side is Side.LONG)
    shorts = tuple(mention for mention in mentions if mention.side is Side.SHORT)
    first = _first_to_say(mentions)
    long_score, short_score = _combined(longs, first), _combined(shorts, first)
    if longs and shorts and long_score == short_score:
        return None
    side = Side.LONG if not shorts or long_score > short_score else Side.SHORT
    for_it, against_it = (longs, shorts) if side is Side.LONG else (shorts, longs)
    score_for, score_against = max(long_score, short_score), min(long_score, short_score)
    remaining = (score_for - score_against) / score_for if score_for else _ONE
    confidence = max(mention.confidence for mention in for_it) * remaining
    return View(
        token=token,
        side=side,
        score=score_for - score_against,
        confidence=confidence.quantize(_PLACES, ROUND_DOWN),
        for_it=for_it,
        against_it=against_it,
        score_for=score_for,
        score_against=score_against,
        voices=len({_voice(mention, first) for mention in for_it}),
    )


def _first_to_say(mentions: Sequence[ScoredMention]) -> dict[str, UUID]:
    """Return, by content, the source that published it first."""
    first: dict[str, UUID] = {}
    for mention in sorted(mentions, key=lambda m: (m.published_at, m.post_id, m.source_id)):
        first.setdefault(mention.content_hash, mention.source_id)
    return first


def _voice(mention: ScoredMention, first: Mapping[str, UUID]) -> UUID:
    """Return whose voice a post is: its source's, or that of the first source that said the same word for word."""
    return first[mention.content_hash] if mention.content_hash else mention.source_id


def _combined(mentions: Sequence[ScoredMention], first: Mapping[str, UUID]) -> Decimal:
    strongest: dict[UUID, Decimal] = {}
    for mention in mentions:
        voice = _voice(mention, first)
        strongest[voice] = max(strongest.get(voice, _ZERO), mention.score)
    doubt = _ONE
    for score in sorted(strongest.values()):
        doubt *= _ONE - score
    return (_ONE - doubt).quantize(_PLACES, ROUND_DOWN)
