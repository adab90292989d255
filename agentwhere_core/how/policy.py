"""What a subscriber's policy makes of a signal: pass it, make it smaller, or refuse it, with reasons (H1–H3).

`decide` is pure; the rules stand in `rules.py`, in the order in which they are applied. The style is the only rule that
can enlarge a size, and never above 25 % of the funds. A default policy changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from agentwhere_core.domain.enums import PolicyOutcome, Venue
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import Deployment, Policy, PolicyDecision
from agentwhere_core.how.book import Book
from agentwhere_core.how.rules import GATES, SHAPERS, Draft, Rule, Situation

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class RuleNote:
    """What one rule did: the draft before and after it."""

    rule: str
    before: Draft
    after: Draft

    @property
    def reason(self) -> Reason | None:
        """The reason that the rule gave, or None if it changed nothing."""
        new = self.after.reasons[len(self.before.reasons) :]
        return new[0] if new else None


def decide(signal: Signal, deployment: Deployment, book: Book, now: datetime) -> PolicyDecision:
    """Return what the deployment's policy makes of the signal.

    A refused decision has a share of 0 and every reason for it; an adjusted one has the reason of each change.

    Parameters
    ----------
    book
        What the deployment holds now, entries on their way included.
    """
    draft = Draft(signal.fund_percentage, signal.leverage)
    for _, after in _applied(draft, Situation(signal, deployment, book, now)):
        draft = after
    return _decided(signal, deployment, draft)


def explain(
    signal: Signal, deployment: Deployment, book: Book, now: datetime
) -> tuple[PolicyDecision, tuple[RuleNote, ...]]:
    """Return the decision with what each rule did on the way, in order; see `decide`."""
    draft = Draft(signal.fund_percentage, signal.leverage)
    notes: list[RuleNote] = []
    for rule, after in _applied(draft, Situation(signal, deployment, book, now)):
        notes.append(RuleNote(rule.__name__, draft, after))
        draft = after
    return _decided(signal, deployment, draft), tuple(notes)


def limits_venues(policy: Policy) -> bool:
    """Whether the policy may bar a venue; see `barred_venues`."""
    return (
        policy.allowed_venues is not None
        or bool(policy.blocked_venues)
        or policy.max_venue_exposure_pct is not None
        or policy.daily_loss_limit_pct is not None
    )


def barred_venues(
    policy: Policy, book: Book, exposure_pct: Decimal
) -> dict[Venue, tuple[Reason, str]]:
    """Return the venues at which the router may not place a trade of this exposure, with reason and detail."""
    barred: dict[Venue, tuple[Reason, str]] = {}
    for venue in Venue:
        if venue is Venue.MULTI:
            continue
        if book.is_halted:
            barred[venue] = Reason.DAILY_LOSS_LIMIT, "today's losses reached the policy's limit"
        elif not policy.trades_at(venue):
            barred[venue] = Reason.VENUE_BLOCKED, "the policy does not trade there"
        elif policy.max_venue_exposure_pct is not None:
            held = book.exposure_pct(venue=venue)
            if held + exposure_pct > policy.max_venue_exposure_pct:
                barred[venue] = (
                    Reason.VENUE_EXPOSURE_CAPPED,
                    f"{held:.2f} % of capital stand there, and the policy allows {policy.max_venue_exposure_pct} %",
                )
    return barred


def _applied(draft: Draft, situation: Situation) -> Iterator[tuple[Rule, Draft]]:
    """Apply rule after rule; after a gate refused, no shaper follows."""
    for gate in GATES:
        draft = gate(draft, situation)
        yield gate, draft
    for shaper in SHAPERS:
        if draft.is_refused:
            return
        draft = shaper(draft, situation)
        yield shaper, draft


def _decided(signal: Signal, deployment: Deployment, draft: Draft) -> PolicyDecision:
    if draft.is_refused:
        outcome = PolicyOutcome.REFUSED
    else:
        outcome = PolicyOutcome.ADJUSTED if draft.reasons else PolicyOutcome.PASSED
    return PolicyDecision(
        signal_id=signal.id,
        deployment_id=deployment.id,
        outcome=outcome,
        fund_percentage=_ZERO if draft.is_refused else draft.fund_percentage,
        leverage=draft.leverage,
        reasons=draft.reasons,
    )
