"""The rules of a policy, one small function each: the gates, which only refuse, then the shapers, which reduce.

All gates speak, whatever their order, so that a refusal names everything that stands in the way. The shapers follow in
the order of `SHAPERS`: the style scales first, so that every cap holds after it; leverage is capped before exposure,
because exposure is size times leverage. The caps on exposure could stand in any order: the tightest decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from agentwhere_core.domain.enums import DeploymentStatus, Venue
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import Deployment, Policy
from agentwhere_core.how.book import Book

MAX_FUND_PERCENTAGE = Decimal(25)

_ONE = Decimal(1)
_PLACES = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Situation:
    """What the rules look at besides the draft."""

    signal: Signal
    deployment: Deployment
    book: Book
    now: datetime

    @property
    def policy(self) -> Policy:
        """The deployment's policy."""
        return self.deployment.policy


@dataclass(frozen=True, slots=True)
class Draft:
    """A decision in the making."""

    fund_percentage: Decimal
    leverage: Decimal
    reasons: tuple[Reason, ...] = ()
    is_refused: bool = False

    @property
    def exposure_pct(self) -> Decimal:
        """Notional in percent of the capital."""
        return self.fund_percentage * self.leverage

    def refuse(self, reason: Reason) -> Draft:
        """Return the draft, refused for one reason more."""
        return replace(self, reasons=(*self.reasons, reason), is_refused=True)

    def resize(self, fund_percentage: Decimal, reason: Reason) -> Draft:
        """Return the draft with another share of the funds."""
        return replace(self, fund_percentage=fund_percentage, reasons=(*self.reasons, reason))

    def relever(self, leverage: Decimal, reason: Reason) -> Draft:
        """Return the draft with another leverage."""
        return replace(self, leverage=leverage, reasons=(*self.reasons, reason))


Rule = Callable[[Draft, Situation], Draft]


def the_deployment_is_active(draft: Draft, situation: Situation) -> Draft:
    """Refuse while the deployment is paused or halted."""
    if situation.deployment.status is DeploymentStatus.ACTIVE:
        return draft
    return draft.refuse(Reason.DEPLOYMENT_INACTIVE)


def the_signal_is_alive(draft: Draft, situation: Situation) -> Draft:
    """Refuse a signal whose time to act has passed."""
    if situation.signal.expires_at > situation.now:
        return draft
    return draft.refuse(Reason.SIGNAL_EXPIRED)


def the_day_is_not_lost(draft: Draft, situation: Situation) -> Draft:
    """Refuse for the rest of a UTC day whose losses reached the policy's limit."""
    if not situation.book.is_halted:
        return draft
    return draft.refuse(Reason.DAILY_LOSS_LIMIT)


def the_confidence_suffices(draft: Draft, situation: Situation) -> Draft:
    """Refuse below the policy's minimum confidence."""
    minimum = situation.policy.min_confidence
    if minimum is None or situation.signal.confidence >= minimum:
        return draft
    return draft.refuse(Reason.BELOW_MIN_CONFIDENCE)


def the_token_is_allowed(draft: Draft, situation: Situation) -> Draft:
    """Refuse blocked tokens, and those outside the list of allowed ones; blocking wins."""
    policy, token = situation.policy, situation.signal.token
    is_allowed = policy.allowed_tokens is None or token in policy.allowed_tokens
    if is_allowed and token not in policy.blocked_tokens:
        return draft
    return draft.refuse(Reason.TOKEN_BLOCKED)


def the_side_is_allowed(draft: Draft, situation: Situation) -> Draft:
    """Refuse sides that the policy does not trade."""
    allowed = situation.policy.allowed_sides
    if allowed is None or situation.signal.side in allowed:
        return draft
    return draft.refuse(Reason.SIDE_BLOCKED)


def the_venue_is_allowed(draft: Draft, situation: Situation) -> Draft:
    """Refuse a signal that names a venue where the policy does not trade; a MULTI signal is kept away by the router."""
    venue = situation.signal.venue
    if venue is Venue.MULTI or situation.policy.trades_at(venue):
        return draft
    return draft.refuse(Reason.VENUE_BLOCKED)


def the_token_has_cooled(draft: Draft, situation: Situation) -> Draft:
    """Refuse a token that the deployment opened or closed less than the cooldown ago."""
    cooldown = situation.policy.cooldown_h
    traded = situation.book.last_traded.get(situation.signal.token)
    if cooldown is None or traded is None:
        return draft
    if situation.now - traded >= timedelta(hours=float(cooldown)):
        return draft
    return draft.refuse(Reason.COOLING_DOWN)


def a_position_is_free(draft: Draft, situation: Situation) -> Draft:
    """Refuse when as many positions are open as the policy allows."""
    limit = situation.policy.max_open_positions
    if limit is None or situation.book.open_positions < limit:
        return draft
    return draft.refuse(Reason.MAX_POSITIONS_REACHED)


def apply_the_style(draft: Draft, situation: Situation) -> Draft:
    """Scale the size by the style; an enlarged size stops at 25 % of the funds."""
    multiplier = situation.policy.style_multiplier
    if multiplier == _ONE:
        return draft
    size = (draft.fund_percentage * multiplier).quantize(_PLACES, ROUND_DOWN)
    if multiplier > _ONE:
        size = max(draft.fund_percentage, min(size, MAX_FUND_PERCENTAGE))
    if size == draft.fund_percentage:
        return draft
    return draft.resize(size, Reason.STYLE_APPLIED)


def cap_the_size(draft: Draft, situation: Situation) -> Draft:
    """Reduce the share of funds to the policy's cap."""
    cap = situation.policy.max_fund_percentage
    if cap is None or draft.fund_percentage <= cap:
        return draft
    return draft.resize(cap, Reason.SIZE_CAPPED)


def cap_the_leverage(draft: Draft, situation: Situation) -> Draft:
    """Reduce the leverage to the policy's cap."""
    cap = situation.policy.max_leverage
    if cap is None or draft.leverage <= cap:
        return draft
    return draft.relever(cap, Reason.LEVERAGE_CAPPED)


def cap_the_total_exposure(draft: Draft, situation: Situation) -> Draft:
    """Reduce the size to the room that all positions together leave."""
    cap = situation.policy.max_total_exposure_pct
    if cap is None:
        return draft
    return _fit(draft, cap - situation.book.exposure_pct(), Reason.TOTAL_EXPOSURE_CAPPED)


def cap_the_token_exposure(draft: Draft, situation: Situation) -> Draft:
    """Reduce the size to the room that the token's positions leave."""
    cap = situation.policy.max_token_exposure_pct
    if cap is None:
        return draft
    held = situation.book.exposure_pct(token=situation.signal.token)
    return _fit(draft, cap - held, Reason.TOKEN_EXPOSURE_CAPPED)


def cap_the_venue_exposure(draft: Draft, situation: Situation) -> Draft:
    """Reduce the size to the room at the venue that the signal names.

    A MULTI signal is held to the whole cap; the router then leaves out venues without the room.
    """
    cap, venue = situation.policy.max_venue_exposure_pct, situation.signal.venue
    if cap is None:
        return draft
    held = Decimal(0) if venue is Venue.MULTI else situation.book.exposure_pct(venue=venue)
    return _fit(draft, cap - held, Reason.VENUE_EXPOSURE_CAPPED)


def something_is_left(draft: Draft, _situation: Situation) -> Draft:
    """Refuse a size that shrank to nothing."""
    if draft.fund_percentage > 0:
        return draft
    return draft.refuse(Reason.SIZE_ROUNDS_TO_ZERO)


GATES: tuple[Rule, ...] = (
    the_deployment_is_active,
    the_signal_is_alive,
    the_day_is_not_lost,
    the_confidence_suffices,
    the_token_is_allowed,
    the_side_is_allowed,
    the_venue_is_allowed,
    the_token_has_cooled,
    a_position_is_free,
)
SHAPERS: tuple[Rule, ...] = (
    apply_the_style,
    cap_the_size,
    cap_the_leverage,
    cap_the_total_exposure,
    cap_the_token_exposure,
    cap_the_venue_exposure,
    something_is_left,
)


def _fit(draft: Draft, room_pct: Decimal, reason: Reason) -> Draft:
    """Reduce the size until its exposure fits into ``room_pct``; refuse where nothing fits."""
    if draft.exposure_pct <= room_pct:
        return draft
    size = (max(room_pct, Decimal(0)) / draft.leverage).quantize(_PLACES, ROUND_DOWN)
    return draft.resize(size, reason) if size > 0 else draft.refuse(reason)
