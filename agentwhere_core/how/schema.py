"""A policy as JSON: what stands in the database, in a request and in a file."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

from agentwhere_core.domain.enums import Side, Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.trade import Policy

STYLES: Mapping[str, Decimal] = MappingProxyType(
    {"conservative": Decimal("0.5"), "balanced": Decimal(1), "aggressive": Decimal("1.5")}
)
MAX_STYLE_MULTIPLIER = Decimal(3)

_ZERO = Decimal(0)
_ONE = Decimal(1)
_HUNDRED = Decimal(100)
_PLACES = Decimal("0.01")
_MOST_EXPOSURE = Decimal(100_000)
_MOST_COOLDOWN_H = Decimal(24 * 365)


def policy_to_json(policy: Policy) -> dict[str, Any]:
    """Return the policy as JSON-ready values: decimals as strings, sets as sorted lists.

    `policy_from_json` reads it back.
    """
    return {
        "min_confidence": _written(policy.min_confidence),
        "max_fund_percentage": _written(policy.max_fund_percentage),
        "max_leverage": _written(policy.max_leverage),
        "max_open_positions": policy.max_open_positions,
        "max_total_exposure_pct": _written(policy.max_total_exposure_pct),
        "max_token_exposure_pct": _written(policy.max_token_exposure_pct),
        "max_venue_exposure_pct": _written(policy.max_venue_exposure_pct),
        "allowed_tokens": _sorted(policy.allowed_tokens),
        "blocked_tokens": sorted(policy.blocked_tokens),
        "allowed_venues": _sorted(policy.allowed_venues),
        "blocked_venues": sorted(venue.value for venue in policy.blocked_venues),
        "allowed_sides": _sorted(policy.allowed_sides),
        "style_multiplier": str(policy.style_multiplier),
        "allow_unprotected": policy.allow_unprotected,
        "cooldown_h": _written(policy.cooldown_h),
        "daily_loss_limit_pct": _written(policy.daily_loss_limit_pct),
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
        max_total_exposure_pct=_number(data, "max_total_exposure_pct", _ZERO, _MOST_EXPOSURE),
        max_token_exposure_pct=_number(data, "max_token_exposure_pct", _ZERO, _MOST_EXPOSURE),
        max_venue_exposure_pct=_number(data, "max_venue_exposure_pct", _ZERO, _MOST_EXPOSURE),
        allowed_tokens=_words(data, "allowed_tokens"),
        blocked_tokens=_words(data, "blocked_tokens") or frozenset(),
        allowed_venues=_venues(data, "allowed_venues"),
        blocked_venues=_venues(data, "blocked_venues") or frozenset(),
        allowed_sides=None if sides is None else frozenset(map(_side, sides)),
        style_multiplier=_style(data),
        allow_unprotected=_flag(data, "allow_unprotected"),
        cooldown_h=_number(data, "cooldown_h", _ZERO, _MOST_COOLDOWN_H),
        daily_loss_limit_pct=_number(data, "daily_loss_limit_pct", _PLACES, _HUNDRED),
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


def _flag(data: Mapping[str, Any], field: str) -> bool:
    value = data.get(field)
    if value is not None and not isinstance(value, bool):
        raise ConfigurationError(f"policy field {field!r} must be true or false, not {value!r}")
    return bool(value)


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


def _venues(data: Mapping[str, Any], field: str) -> frozenset[Venue] | None:
    words = _words(data, field)
    if words is None:
        return None
    named = {venue.value: venue for venue in Venue if venue is not Venue.MULTI}
    unknown = sorted(words - set(named))
    if unknown:
        raise ConfigurationError(
            f"policy field {field!r} holds venues, {', '.join(named)}, not {unknown[0]!r}"
        )
    return frozenset(named[word] for word in words)


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
