"""What a subscriber's policy makes of a signal: pass it, make it smaller, or refuse it, with reasons (H1–H3).

A policy is an ordered tuple of small rules. The *gates* come first and all of them speak, so that a refusal
names everything that stands in the way; the *shapers* follow, only for what the gates let through:

1. the deployment is active  2. the signal has not expired  3. confidence  4. token  5. side  6. number of positions
7. the style scales the size  8. the size's cap  9. the leverage's cap  10. something is left to trade

The style is the only rule that can enlarge a size, and never above 25 % of the funds. A default policy changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

from agentwhere_core.domain.enums import DeploymentStatus, PolicyOutcome, Side
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import Deployment, Policy, PolicyDecision

MAX_FUND_PERCENTAGE = Decimal(25)
STYLES: Mapping[str, Decimal] = MappingProxyType(
    {"conservative": Decimal("0.5"), "balanced": Decimal(1), "aggressive": Decimal("1.5")}
)
MAX_STYLE_MULTIPLIER = Decimal(3)

_ZERO = Decimal(0)
_ONE = Decimal(1)
_HUNDRED = Decimal(100)
_PLACES = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Situation:
    """What the rules look at besides the draft."""

    signal: Signal
    deployment: Deployment
    open_positions: int
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


def decide(
    signal: Signal, deployment: Deployment, open_positions: int, now: datetime
) -> PolicyDecision:
    """Return what the deployment's policy makes of the signal.

    A refused decision has a share of 0 and every reason for it; an adjusted one has the reason of each change.

    Parameters
    ----------
    open_positions
        Positions that the deployment holds now, entries on their way included.
    """
    situation = Situation(signal, deployment, open_positions, now)
    draft = Draft(signal.fund_percentage, signal.leverage)
    for gate in GATES:
        draft = gate(draft, situation)
    for shaper in SHAPERS:
        draft = draft if draft.is_refused else shaper(draft, situation)
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


def a_position_is_free(draft: Draft, situation: Situation) -> Draft:
    """Refuse when as many positions are open as the policy allows."""
    limit = situation.policy.max_open_positions
    if limit is None or situation.open_positions < limit:
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


def something_is_left(draft: Draft, _situation: Situation) -> Draft:
    """Refuse a size that shrank to nothing."""
    if draft.fund_percentage > 0:
        return draft
    return draft.refuse(Reason.SIZE_ROUNDS_TO_ZERO)


GATES: tuple[Rule, ...] = (
    the_deployment_is_active,
    the_signal_is_alive,
    the_confidence_suffices,
    the_token_is_allowed,
    the_side_is_allowed,
    a_position_is_free,
)
SHAPERS: tuple[Rule, ...] = (
    apply_the_style,
    cap_the_size,
    cap_the_leverage,
    something_is_left,
)


def policy_to_json(policy: Policy) -> dict[str, Any]:
    """Return the policy as JSON-ready values: decimals as strings, sets as sorted lists.

    `policy_from_json` reads it back.
    """
    return {
        "min_confidence": _written(policy.min_confidence),
        "max_fund_percentage": _written(policy.max_fund_percentage),
        "max_leverage": _written(policy.max_leverage),
        "max_open_positions": policy.max_open_positions,
        "allowed_tokens": _sorted(policy.allowed_tokens),
        "blocked_tokens": sorted(policy.blocked_tokens),
        "allowed_sides": _sorted(policy.allowed_sides),
        "style_multiplier": str(policy.style_multiplier),
    }


def policy_from_json(data: Mapping[str, Any]) -> Policy:
    """Return the policy that ``data`` describes; fields that are absent or null have their default.

    Numbers may be given as strings, so that JSON keeps them exactly; the style also by its name, one of `STYLES`.

    Raises
    ------
    ConfigurationError
        If a field is unknown or its value makes no sense; the message names the field.
    """
    known = policy_to_json(Policy())
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise ConfigurationError(f"a policy has no field {unknown[0]!r}; it has {', '.join(known)}")
    sides = _words(data, "allowed_sides")
    return Policy(
        min_confidence=_number(data, "min_confidence", _ZERO, _ONE),
        max_fund_percentage=_number(data, "max_fund_percentage", _PLACES, _HUNDRED),
        max_leverage=_number(data, "max_leverage", _ONE, Decimal(1000)),
        max_open_positions=_count(data, "max_open_positions"),
        allowed_tokens=_words(data, "allowed_tokens"),
        blocked_tokens=_words(data, "blocked_tokens") or frozenset(),
        allowed_sides=None if sides is None else frozenset(_side(word) for word in sides),
        style_multiplier=_style(data),
    )


def _number(data: Mapping[str, Any], field: str, least: Decimal, most: Decimal) -> Decimal | None:
    value = data.get(field)
    if value is None:
        return None
    demand = f"policy field {field!r} must be a number from {least} to {most}, not {value!r}"
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ConfigurationError(demand)
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ConfigurationError(demand) from None
    if not number.is_finite() or not least <= number <= most:
        raise ConfigurationError(demand)
    return number


def _count(data: Mapping[str, Any], field: str) -> int | None:
    value = data.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigurationError(f"policy field {field!r} must be a whole number, not {value!r}")
    return value


def _words(data: Mapping[str, Any], field: str) -> frozenset[str] | None:
    value = data.get(field)
    if value is None:
        return None
    if not isinstance(value, list | tuple | set | frozenset) or not all(
        isinstance(word, str) and word.strip() for word in value
    ):
        raise ConfigurationError(f"policy field {field!r} must be a list of words, not {value!r}")
    return frozenset(word.strip().upper() for word in value)


def _side(word: str) -> Side:
    try:
        return Side(word)
    except ValueError:
        raise ConfigurationError(
            f"policy field 'allowed_sides' holds LONG and SHORT only, not {word!r}"
        ) from None


def _style(data: Mapping[str, Any]) -> Decimal:
    value = data.get("style_multiplier")
    if isinstance(value, str) and value.strip().lower() in STYLES:
        return STYLES[value.strip().lower()]
    number = _number(data, "style_multiplier", _PLACES, MAX_STYLE_MULTIPLIER)
    return _ONE if number is None else number


def _written(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _sorted(words: frozenset[Any] | None) -> list[str] | None:
    return None if words is None else sorted(str(word) for word in words)
