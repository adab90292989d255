"""Agent What, second step: ask the language model what each pending post proposes.

Answers are stored a few posts at a time, so that a run that dies pays for no post twice; a text that was answered once
is never asked about again under the same prompt, schema and model. A post without a valid answer stays pending with its
error, and nothing guesses a trade for it. When the day's budget is used up, no question is asked until midnight UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import Severity
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.idea import Classification
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.llm.budget import Usage, affordable, cost_of
from agentwhere_core.llm.prompts import PROMPT_VERSION
from agentwhere_core.llm.schema import SCHEMA_VERSION
from agentwhere_core.tracing import carried
from agentwhere_core.what.classify import to_classification
from agentwhere_flow.alerts import close_alert, raise_alert
from agentwhere_flow.report import StepFailedError, Tally, step
from agentwhere_store import llm_calls as call_store
from agentwhere_store import markets as market_store
from agentwhere_store import posts as post_store
from agentwhere_store.leases import lease
from agentwhere_store.llm_calls import Call
from agentwhere_store.posts import Abstention, PendingPost

if TYPE_CHECKING:
    from agentwhere_core.llm.client import ClassificationOutcome
    from agentwhere_flow.settings import Settings
    from agentwhere_flow.system import System

LEASE = "classified_posts"
LEASE_WAIT_S = 120
OUTAGE = "classifier:outage"
BUDGET_SPENT = "classifier:budget"

_POSTS_PER_THREAD = 4
_MOST_PROBLEMS = 5


@dataclass(slots=True)
class _Session:
    """What all posts of one run share, and what they have used so far."""

    system: System
    listed: Collection[str]
    now: datetime
    tally: Tally
    before: Usage
    today: Usage
    calls: int = 0
    answered: int = 0
    recalled: int = 0
    is_spent: bool = False

    @property
    def room(self) -> int:
        """How many questions may be asked at once."""
        settings = self.system.settings
        most = settings.llm_concurrency * _POSTS_PER_THREAD
        return affordable(settings.llm_daily_budget_usd, self.today, most)


@step("classified_posts")
def classify_posts(system: System, now: datetime) -> Tally:
    """Classify pending posts, at most ``llm_batch`` in one run.

    Raises
    ------
    ConfigurationError
        If no market was ever synced: no token could be believed.
    StepFailedError
        If there were posts and the model answered none. They stay pending, and one alert says so until it answers.
    LeaseHeldError
        If another process has been classifying for more than two minutes.
    """
    with lease(system.engine, LEASE, system.run_id or "command line", now, wait_s=LEASE_WAIT_S):
        return _classify_pending(system, now)


def _classify_pending(system: System, now: datetime) -> Tally:
    tally = Tally()
    oldest = now - timedelta(hours=system.settings.signal_window_h)
    with system.engine.begin() as conn:
        expired = post_store.expire_pending(conn, oldest)
        pending = post_store.pending_posts(conn, system.settings.llm_batch)
        listed = market_store.listed_tokens(conn)
        today = call_store.usage_of_day(conn, now)
    tally.rows_in = len(pending)
    if expired:
        tally.refuse(Reason.POST_TOO_OLD, expired)
    if pending and not listed:
        raise ConfigurationError(
            "no venue's markets are known, so no token can be believed: run `agentwhere sync-markets` first"
        )
    session = _Session(system, listed, now, tally, before=today, today=today)
    unknown = _recall(session, pending)
    outage = _ask_all(session, unknown)
    _finish(session, outage)
    return tally


def _recall(session: _Session, pending: Sequence[PendingPost]) -> list[list[PendingPost]]:
    """Answer posts whose text is known from replies that were paid for; return the others, copies together."""
    from agentwhere_core.llm.client import recall

    by_text: dict[str, list[PendingPost]] = {}
    for item in pending:
        by_text.setdefault(item.post.content_hash, []).append(item)
    with session.system.engine.begin() as conn:
        known = call_store.known_answers(
            conn,
            by_text,
            prompt_version=PROMPT_VERSION,
            schema_version=SCHEMA_VERSION,
            model=session.system.endpoints.llm_model,
        )
    recalled: list[tuple[PendingPost, ClassificationOutcome]] = []
    for content_hash, raw in known.items():
        outcome = recall(raw)
        if outcome is not None:
            recalled += [(item, outcome) for item in by_text.pop(content_hash)]
    _keep(session, [], recalled)
    return list(by_text.values())


def _ask_all(session: _Session, unknown: Sequence[list[PendingPost]]) -> str | None:
    """Ask about all texts, a group at a time; stop at an outage, which is returned, or when the budget is spent."""
    start = 0
    while start < len(unknown):
        room = session.room
        if room == 0:
            session.is_spent = True
            _hold_back(session, unknown[start:])
            return None
        outage = _ask_group(session, unknown[start : start + room])
        start += room
        if outage is not None:
            _give_up(session, unknown[start:], outage)
            return outage
    return None


def _ask_group(session: _Session, group: Sequence[list[PendingPost]]) -> str | None:
    """Ask about some texts at once and store the outcomes; return the error if the model answered to none."""
    model, settings = session.system.llm, session.system.settings
    with ThreadPoolExecutor(settings.llm_concurrency, thread_name_prefix="llm") as pool:
        ask = carried(lambda copies: model.classify(copies[0].post, copies[0].source))
        asked = pool.map(ask, group)
        outcomes = [_priced(outcome, settings) for outcome in asked]
    session.calls += len(outcomes)
    session.answered += sum(not outcome.abstained for outcome in outcomes)
    pairs = list(zip(group, outcomes, strict=True))
    copied = [(item, _at_no_cost(outcome)) for copies, outcome in pairs for item in copies[1:]]
    _keep(session, [(copies[0], outcome) for copies, outcome in pairs], copied)
    silent = [item for item in outcomes if item.reason is Reason.CLASSIFIER_UNAVAILABLE]
    return silent[0].error if len(silent) == len(group) else None


def _keep(
    session: _Session,
    paid: Sequence[tuple[PendingPost, ClassificationOutcome]],
    free: Sequence[tuple[PendingPost, ClassificationOutcome]],
) -> None:
    """Store calls and what they say of each post in one transaction."""
    system, answered, abstained = session.system, [], []
    for item, outcome in (*paid, *free):
        made = None
        if outcome.answer is None:
            reason = outcome.reason or Reason.CLASSIFIER_UNAVAILABLE
            abstained.append(Abstention(item.post.id, reason, outcome.error or reason.value))
        else:
            most, is_cached = system.settings.trades_per_post, outcome.attempts == 0
            made = to_classification(
                item.post, outcome, session.listed, most=most, is_cached=is_cached
            )
            answered.append(made)
        session.tally.table.append(_row(item, outcome, made))
    asked_for = system.endpoints.llm_model
    calls = [
        Call(item.post.id, item.post.content_hash, asked_for, outcome) for item, outcome in paid
    ]
    with system.engine.begin() as conn:
        call_store.record_calls(conn, calls, session.now)
        new = post_store.save_classifications(conn, answered, session.now)
        post_store.save_abstentions(conn, abstained)
        session.today = call_store.usage_of_day(conn, session.now)
    session.tally.rows_out += new
    session.recalled += len(free)
    _count(answered, abstained, session.tally)


def _give_up(session: _Session, rest: Sequence[list[PendingPost]], outage: str) -> None:
    """Leave the rest of the batch pending with the outage as its error, rather than wait for each to fail."""
    unasked = [
        Abstention(item.post.id, Reason.CLASSIFIER_UNAVAILABLE, outage)
        for copies in rest
        for item in copies
    ]
    with session.system.engine.begin() as conn:
        post_store.save_abstentions(conn, unasked)
    _count([], unasked, session.tally)


def _hold_back(session: _Session, rest: Sequence[list[PendingPost]]) -> None:
    """Leave the rest of the batch pending because the day's money is spent."""
    ids = [item.post.id for copies in rest for item in copies]
    why = _budget_sentence(session)
    with session.system.engine.begin() as conn:
        post_store.hold_back(conn, ids, Reason.CLASSIFIER_BUDGET_SPENT, why)
    session.tally.refuse(Reason.CLASSIFIER_BUDGET_SPENT, len(ids))
    session.tally.problems.append(why)


def _finish(session: _Session, outage: str | None) -> None:
    """Say what was used, and keep the alerts as the facts are.

    Raises
    ------
    StepFailedError
        If posts were asked about and none was answered.
    """
    system, now, tally = session.system, session.now, session.tally
    with system.engine.begin() as conn:
        tally.details["still_pending"] = post_store.count_pending(conn)
    before, today = session.before, session.today
    tally.details |= {
        "model": system.endpoints.llm_model,
        "calls": session.calls,
        "answered": session.answered,
        "from_cache": session.recalled,
        "prompt_tokens": today.prompt_tokens - before.prompt_tokens,
        "completion_tokens": today.completion_tokens - before.completion_tokens,
        "cost_usd": _plain(today.cost_usd - before.cost_usd),
        **usage_details(today, system.settings),
    }
    if session.is_spent:
        title = "the language model's daily budget is used up"
        raise_alert(system, now, BUDGET_SPENT, Severity.WARNING, title, _budget_sentence(session))
    elif session.room > 0:
        close_alert(system, now, BUDGET_SPENT)
    if session.answered:
        close_alert(system, now, OUTAGE)
    elif session.calls:
        failed = (
            f"the model answered none of {tally.rows_in} posts; they stay pending and are tried again: "
            f"{'; '.join(tally.problems)}"
        )
        if outage is None:
            raise StepFailedError(failed)
        raise_alert(system, now, OUTAGE, Severity.WARNING, "no post can be classified", failed)
        raise StepFailedError(failed, incident=OUTAGE)


def usage_details(today: Usage, settings: Settings) -> dict[str, object]:
    """Return what the model was used for today, as the asset's metadata and ``status`` show it."""
    budget = settings.llm_daily_budget_usd
    return {
        "calls_today": today.calls,
        "from_cache_today": today.cached,
        "prompt_tokens_today": today.prompt_tokens,
        "completion_tokens_today": today.completion_tokens,
        "cost_today_usd": _plain(today.counted_usd),
        "daily_budget_usd": None if budget is None else _plain(budget),
    }


def _plain(usd: Decimal) -> str:
    return f"{usd.normalize():f}"


def _budget_sentence(session: _Session) -> str:
    return (
        f"{session.today.counted_usd:.4f} USD of the day's budget of {session.system.settings.llm_daily_budget_usd} "
        "USD are spent: posts wait until midnight UTC; raise AGENTWHERE_LLM_DAILY_BUDGET_USD to go on now"
    )


def _priced(outcome: ClassificationOutcome, settings: Settings) -> ClassificationOutcome:
    """Return the outcome with its cost by our own price list, where the provider states none."""
    prompt, completion = (
        settings.prompt_price_per_million_usd,
        settings.completion_price_per_million_usd,
    )
    if outcome.cost_usd is not None or prompt is None or completion is None:
        return outcome
    cost = cost_of(outcome.prompt_tokens, outcome.completion_tokens, prompt, completion)
    return replace(outcome, cost_usd=cost)


def _at_no_cost(outcome: ClassificationOutcome) -> ClassificationOutcome:
    """Return an outcome for a copy of the post that it was paid for with."""
    return replace(
        outcome, attempts=0, prompt_tokens=0, completion_tokens=0, cost_usd=Decimal(0), latency_ms=0
    )


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


def _row(
    item: PendingPost, outcome: ClassificationOutcome, made: Classification | None
) -> dict[str, object]:
    trades = [] if made is None else [f"{each.side} {each.token}" for each in made.mentions]
    refused = (
        str(outcome.reason)
        if made is None
        else ", ".join(f"{token}: {reason}" for token, reason in made.refusals)
    )
    return {
        "source": item.source,
        "text": item.post.text[:80],
        "trades": ", ".join(trades),
        "refused": refused,
        "tokens": outcome.prompt_tokens + outcome.completion_tokens,
        "cost USD": outcome.cost_usd,
    }
