"""Agent What, second step: ask the language model what each pending post proposes.

Answers are stored a few posts at a time, so that a run that dies pays for no post twice. A post without a valid answer
stays pending with its error; nothing guesses a trade for it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.idea import Classification
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.what.classify import to_classification
from agentwhere_flow.report import StepFailedError, Tally, step
from agentwhere_store import markets as market_store
from agentwhere_store import posts as post_store
from agentwhere_store.posts import Abstention, PendingPost

if TYPE_CHECKING:
    from agentwhere_core.llm.client import ClassificationOutcome
    from agentwhere_flow.settings import Settings
    from agentwhere_flow.system import System

_POSTS_PER_THREAD = 4
_MOST_PROBLEMS = 5


@dataclass(slots=True)
class _Usage:
    """What the model was asked for and what it cost; the cost is None while nobody states a price."""

    answered: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: Decimal | None = None
    models: set[str] = field(default_factory=set)

    def add(self, outcome: ClassificationOutcome) -> None:
        """Count one outcome, answered or not: both are paid for."""
        self.prompt_tokens += outcome.prompt_tokens
        self.completion_tokens += outcome.completion_tokens
        if outcome.cost_usd is not None:
            self.cost_usd = (self.cost_usd or Decimal(0)) + outcome.cost_usd
        if outcome.answer is not None:
            self.answered += 1
            self.models.add(outcome.model)


@dataclass(frozen=True, slots=True)
class _Session:
    """What all posts of one run share."""

    system: System
    listed: Collection[str]
    now: datetime
    tally: Tally
    usage: _Usage


@step("classified_posts")
def classify_posts(system: System, now: datetime) -> Tally:
    """Classify pending posts, at most ``llm_batch`` in one run.

    Raises
    ------
    ConfigurationError
        If no market was ever synced: no token could be believed.
    StepFailedError
        If there were posts and the model answered none. They stay pending.
    """
    with system.engine.begin() as conn:
        pending = post_store.pending_posts(conn, system.settings.llm_batch)
        listed = market_store.listed_tokens(conn)
    if pending and not listed:
        raise ConfigurationError(
            "no venue's markets are known, so no token can be believed: run `agentwhere sync-markets` first"
        )
    session = _Session(system, listed, now, Tally(rows_in=len(pending)), _Usage())
    size = system.settings.llm_concurrency * _POSTS_PER_THREAD
    for start in range(0, len(pending), size):
        outage = _classify_group(session, pending[start : start + size])
        if outage is not None:
            _give_up(session, pending[start + size :], outage)
            break
    _finish(session)
    if pending and not session.usage.answered:
        raise StepFailedError(
            f"the model answered none of {len(pending)} posts; they stay pending and are tried again: "
            f"{'; '.join(session.tally.problems)}"
        )
    return session.tally


def _classify_group(session: _Session, group: Sequence[PendingPost]) -> str | None:
    """Ask about some posts at once and store the outcomes; return the error if the model answered to none."""
    model, settings = session.system.llm, session.system.settings
    with ThreadPoolExecutor(settings.llm_concurrency, thread_name_prefix="llm") as pool:
        outcomes = list(pool.map(lambda item: model.classify(item.post, item.source), group))
    outcomes = [_priced(outcome, settings) for outcome in outcomes]
    answered: list[Classification] = []
    abstained: list[Abstention] = []
    for item, outcome in zip(group, outcomes, strict=True):
        session.usage.add(outcome)
        if outcome.answer is not None:
            answered.append(to_classification(item.post, outcome, session.listed))
        else:
            reason = outcome.reason or Reason.CLASSIFIER_UNAVAILABLE
            abstained.append(Abstention(item.post.id, reason, outcome.error or reason.value))
    _store(session, answered, abstained)
    _show(group, outcomes, answered, session.tally)
    unreachable = [item for item in abstained if item.reason is Reason.CLASSIFIER_UNAVAILABLE]
    return unreachable[0].error if len(unreachable) == len(group) else None


def _give_up(session: _Session, rest: Sequence[PendingPost], outage: str) -> None:
    """Leave the rest of the batch pending with the outage as its error, rather than wait for each to fail."""
    unasked = [Abstention(item.post.id, Reason.CLASSIFIER_UNAVAILABLE, outage) for item in rest]
    _store(session, [], unasked)


def _store(
    session: _Session, answered: Sequence[Classification], abstained: Sequence[Abstention]
) -> None:
    with session.system.engine.begin() as conn:
        new = post_store.save_classifications(conn, answered, session.now)
        post_store.save_abstentions(conn, abstained)
    session.tally.rows_out += new
    _count(answered, abstained, session.tally)


def _priced(outcome: ClassificationOutcome, settings: Settings) -> ClassificationOutcome:
    """Return the outcome with its cost by our own price list, where the provider states none."""
    prompt, completion = (
        settings.prompt_price_per_million_usd,
        settings.completion_price_per_million_usd,
    )
    if outcome.cost_usd is not None or prompt is None or completion is None:
        return outcome
    cost = (outcome.prompt_tokens * prompt + outcome.completion_tokens * completion) / 1_000_000
    return replace(outcome, cost_usd=cost)


def _count(
    answered: Sequence[Classification], abstained: Sequence[Abstention], tally: Tally
) -> None:
    for item in answered:
        for _, reason in item.refusals:
            tally.refuse(reason)
        if not item.is_signal:
            tally.refuse(Reason.NOT_A_SIGNAL)
    for abstention in abstained:
        tally.refuse(abstention.reason)
        if abstention.error not in tally.problems and len(tally.problems) < _MOST_PROBLEMS:
            tally.problems.append(abstention.error)


def _show(
    group: Sequence[PendingPost],
    outcomes: Sequence[ClassificationOutcome],
    answered: Sequence[Classification],
    tally: Tally,
) -> None:
    by_post = {item.post_id: item for item in answered}
    for item, outcome in zip(group, outcomes, strict=True):
        made = by_post.get(item.post.id)
        trades = [] if made is None else [f"{each.side} {each.token}" for each in made.mentions]
        tally.table.append(
            {
                "source": item.source,
                "text": item.post.text[:80],
                "trades": ", ".join(trades),
                "refused": ", ".join(f"{token}: {reason}" for token, reason in made.refusals)
                if made is not None
                else str(outcome.reason),
            }
        )


def _finish(session: _Session) -> None:
    usage = session.usage
    with session.system.engine.begin() as conn:
        waiting = post_store.count_pending(conn)
    session.tally.details |= {
        "answered": usage.answered,
        "still_pending": waiting,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost_usd": None if usage.cost_usd is None else str(usage.cost_usd),
        "models": sorted(usage.models),
    }
