"""From scored mentions to an agent's signals: one per token and batch, sized, explained (W6, W7).

For each token:

1. Posts outside the window, tokens that still have an unexpired signal, and tokens that every active deployment holds
   already are set aside.
2. Within one voice and side, only the strongest post counts: repeating oneself adds nothing. A voice is a source;
   whoever repeats another's text speaks with that source's voice.
3. Voices that agree reinforce each other: ``1 − ∏(1 − score)``, which stays below 1.
4. Voices that disagree net out: the stronger side remains with the difference of both scores, and its confidence
   shrinks by the same share. Equal sides cancel, and no signal is made.
5. The score becomes a size. Above the corroboration threshold at least two voices must agree; a lone one is held there.
6. All sizes of the batch are scaled into the agent's budget.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

from agentwhere_core.domain.idea import Agent, ScoredMention, Signal
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.market import MarketContext
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.what.context import judge_context
from agentwhere_core.what.sizing import (
    BUDGET_PCT,
    CAP_PCT,
    CURVATURE,
    fund_percentage,
    scale_to_budget,
)
from agentwhere_core.what.weighing import View, weigh

CORROBORATION_PCT = Decimal(10)
VOICES_NEEDED = 2

_ZERO = Decimal(0)
_ONE = Decimal(1)
_PLACES = Decimal("0.000001")
_NO_CONTEXTS: Mapping[str, MarketContext] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SizingRules:
    """Limits of a batch.

    Parameters
    ----------
    cap_pct, budget_pct
        Largest share of funds for one signal, and for all signals of a batch, in percent.
    curvature
        The sizing formula's k.
    corroboration_pct
        Largest share of funds, in percent, that one voice alone can cause.
    window, ttl
        How old a post may be, and for how long its signal may be acted on.
    """

    cap_pct: Decimal = CAP_PCT
    budget_pct: Decimal = BUDGET_PCT
    curvature: Decimal = CURVATURE
    corroboration_pct: Decimal = CORROBORATION_PCT
    window: timedelta = timedelta(hours=24)
    ttl: timedelta = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class SignalRefusal:
    """A token of which no signal was made, or a part of its posts that did not count, with the reason."""

    token: str
    reason: Reason
    detail: str
    post_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class SignalPlan:
    """What a batch comes to: the signals, by token, and everything that was set aside."""

    signals: tuple[Signal, ...]
    refusals: tuple[SignalRefusal, ...]


@dataclass(frozen=True, slots=True)
class _Size:
    """A share of funds, in percent, as it went through the limits."""

    by_score: Decimal
    corroborated: Decimal
    granted: Decimal


def build_signals(
    agent: Agent,
    mentions: Sequence[ScoredMention],
    recent: Mapping[str, datetime],
    now: datetime,
    batch: str,
    *,
    settings: SizingRules,
    contexts: Mapping[str, MarketContext] = _NO_CONTEXTS,
    held: Collection[str] = frozenset(),
    make_id: Callable[[], UUID] = new_id,
) -> SignalPlan:
    """Return the signals of one agent's batch, and what was refused.

    The result depends on the mentions only as a set: their order does not matter.

    Parameters
    ----------
    mentions
        What the agent's sources proposed, scored.
    recent
        When the agent's last signal on a token expires, by token.
    batch
        Name of the batch; an agent makes one signal per token and batch.
    contexts
        The market's state by token, kept with the signal; the factor itself comes with each mention.
    held
        Tokens in which every active deployment of the agent has an open position.
    make_id
        Source of the signals' ids.
    """
    refusals: list[SignalRefusal] = []
    earliest = now - settings.window
    views = _views(mentions, recent, held, now=now, earliest=earliest, refusals=refusals)
    sizes = _sizes(views, settings)
    signals: list[Signal] = []
    for view, size in zip(views, sizes, strict=True):
        if size.corroborated < size.by_score:
            detail = (
                f"one voice alone: {size.by_score} % held at {size.corroborated} % of the funds"
            )
            refusals.append(_refusal(view.token, Reason.UNCORROBORATED, detail, view.for_it))
        if size.granted == 0:
            detail = f"score {view.score} gives {size.granted} % of the funds"
            refusals.append(_refusal(view.token, Reason.SIZE_ROUNDS_TO_ZERO, detail, view.for_it))
            continue
        explanation = _explanation(view, size, settings, contexts.get(view.token))
        signals.append(
            Signal(
                id=make_id(),
                agent_id=agent.id,
                batch=batch,
                token=view.token,
                side=view.side,
                venue=agent.venue,
                fund_percentage=size.granted,
                confidence=view.confidence,
                leverage=agent.leverage,
                stop_loss_pct=agent.stop_loss_pct,
                take_profit_pct=agent.take_profit_pct,
                trailing_activation_pct=agent.trailing_activation_pct,
                trailing_distance_pct=agent.trailing_distance_pct,
                max_holding_h=agent.max_holding_h,
                created_at=now,
                expires_at=now + settings.ttl,
                reasoning=_reasoning(view, size.granted),
                source_post_ids=_post_ids(view.for_it),
                explanation=explanation,
            )
        )
    return SignalPlan(tuple(signals), tuple(refusals))


def _sizes(views: Sequence[View], settings: SizingRules) -> list[_Size]:
    by_score = [fund_percentage(view.score, settings.cap_pct, settings.curvature) for view in views]
    corroborated = [
        size if view.voices >= VOICES_NEEDED else min(size, settings.corroboration_pct)
        for view, size in zip(views, by_score, strict=True)
    ]
    granted = scale_to_budget(corroborated, settings.budget_pct)
    return [_Size(*each) for each in zip(by_score, corroborated, granted, strict=True)]


def _by_token(mentions: Iterable[ScoredMention]) -> dict[str, list[ScoredMention]]:
    groups: defaultdict[str, list[ScoredMention]] = defaultdict(list)
    for mention in mentions:
        groups[mention.token].append(mention)
    for group in groups.values():
        group.sort(key=lambda mention: (mention.published_at, mention.post_id, mention.side))
    return groups


def _views(
    mentions: Sequence[ScoredMention],
    recent: Mapping[str, datetime],
    held: Collection[str],
    *,
    now: datetime,
    earliest: datetime,
    refusals: list[SignalRefusal],
) -> list[View]:
    """Return what is left to act on, by token; add what was set aside to ``refusals``."""
    views: list[View] = []
    for token, its_mentions in sorted(_by_token(mentions).items()):
        timely = _timely(token, its_mentions, earliest, refusals)
        if not timely:
            continue
        expires_at = recent.get(token)
        if expires_at is not None and expires_at > now:
            detail = f"the last signal on {token} expires at {expires_at.isoformat()}"
            refusals.append(_refusal(token, Reason.RECENT_SIGNAL, detail, timely))
            continue
        if token in held:
            detail = f"every active deployment holds {token} already"
            refusals.append(_refusal(token, Reason.ALREADY_HELD, detail, timely))
            continue
        view = weigh(token, timely)
        if view is None:
            detail = "posts for both sides are equally strong"
            refusals.append(_refusal(token, Reason.CONFLICTING_POSTS, detail, timely))
        else:
            views.append(view)
    return views


def _timely(
    token: str,
    mentions: Sequence[ScoredMention],
    earliest: datetime,
    refusals: list[SignalRefusal],
) -> list[ScoredMention]:
    old = [mention for mention in mentions if mention.published_at < earliest]
    if old:
        detail = f"published before {earliest.isoformat()}"
        refusals.append(_refusal(token, Reason.POST_TOO_OLD, detail, old))
    return [mention for mention in mentions if mention.published_at >= earliest]


def _reasoning(view: View, size: Decimal) -> str:
    sources = len({mention.source_id for mention in view.for_it})
    text = (
        f"{view.side} {view.token}: {_counted(len(_post_ids(view.for_it)), 'post')} of "
        f"{_counted(sources, 'source')}, score {view.score.normalize():f}, {size} % of the funds."
    )
    if view.against_it:
        text += (
            f" {_counted(len(_post_ids(view.against_it)), 'post')} for {view.side.opposite} "
            f"took {view.score_against.normalize():f} off the score of {view.score_for.normalize():f}."
        )
    return text


def _explanation(
    view: View,
    size: _Size,
    settings: SizingRules,
    context: MarketContext | None,
) -> dict[str, Any]:
    """Return everything that the size came from, JSON-ready: decimals and times as strings."""
    judged = judge_context(context)
    return {
        "posts": [_post(mention) for mention in (*view.for_it, *view.against_it)],
        "score": str(view.score),
        "score_for": str(view.score_for),
        "score_against": str(view.score_against),
        "voices": view.voices,
        "netted": Reason.CONFLICTING_POSTS.value if view.against_it else None,
        "size": {
            "cap_pct": str(settings.cap_pct),
            "curvature": str(settings.curvature),
            "budget_pct": str(settings.budget_pct),
            "by_score_pct": str(size.by_score),
            "corroboration_pct": str(settings.corroboration_pct),
            "before_budget_pct": str(size.corroborated),
            "fund_percentage": str(size.granted),
        },
        "context": None
        if context is None
        else {
            "venue": context.venue.value,
            "at": context.at.isoformat(),
            "price": _text(context.price),
            "change_24h": _text(context.change_24h),
            "volume_24h_usd": _text(context.volume_24h_usd),
            "open_interest_usd": _text(context.open_interest_usd),
            "funding_hourly": _text(context.funding_hourly),
            "spread_bps": _text(context.spread_bps),
            "volatility_24h": _text(context.volatility_24h),
        },
        "context_factor": {
            "value": str(judged.value),
            "terms": [
                {
                    "name": term.name,
                    "measured": _text(term.measured),
                    "value": str(term.value),
                    "why": term.why,
                }
                for term in judged.terms
            ],
        },
    }


def _post(mention: ScoredMention) -> dict[str, str]:
    return {
        "post_id": str(mention.post_id),
        "source_id": str(mention.source_id),
        "side": mention.side.value,
        "published_at": mention.published_at.isoformat(),
        "horizon": mention.horizon.value,
        "confidence": str(mention.confidence),
        "source_weight": str(mention.source_weight),
        "context_factor": str(mention.context_factor),
        "score": str(mention.score),
    }


def _refusal(
    token: str, reason: Reason, detail: str, mentions: Sequence[ScoredMention]
) -> SignalRefusal:
    return SignalRefusal(token, reason, detail, _post_ids(mentions))


def _post_ids(mentions: Sequence[ScoredMention]) -> tuple[UUID, ...]:
    return tuple(dict.fromkeys(mention.post_id for mention in mentions))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
