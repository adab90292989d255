"""Routing configurations as people and programs write them: checked before anything is stored (R2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.routing import RoutingConfig
from agentwhere_core.where.strategies import strategy_named

Tokens = Mapping[str, Sequence[str]]


def config_of(
    *,
    venue_priority: Sequence[str],
    routing_strategy: str,
    failover_enabled: bool,
    token_overrides: Tokens | None = None,
    token_exclusions: Tokens | None = None,
) -> RoutingConfig:
    """Return the configuration that these words describe, checked by `validate_config`.

    Raises
    ------
    ConfigurationError
        If a venue or the strategy is not known, or the configuration cannot work; the message names the field.
    """
    config = RoutingConfig(
        venue_priority=_venues("venue_priority", venue_priority),
        routing_strategy=strategy_named(routing_strategy),
        failover_enabled=failover_enabled,
        token_overrides=_by_token("token_overrides", token_overrides or {}),
        token_exclusions=_by_token("token_exclusions", token_exclusions or {}),
    )
    validate_config(config)
    return config


def validate_config(config: RoutingConfig) -> None:
    """Check a configuration before it is written.

    Raises
    ------
    ConfigurationError
        If a list is empty, repeats a venue or names MULTI, a token is not canonical, exclusions leave a token without
        a venue, or the strategy is not supported; the message names the field.
    """
    strategy_named(config.routing_strategy)
    _validate_list("venue_priority", config.venue_priority)
    for field, lists in (
        ("token_overrides", config.token_overrides),
        ("token_exclusions", config.token_exclusions),
    ):
        for token, venues in lists.items():
            if not token or token != token.strip().upper():
                raise ConfigurationError(
                    f"{field} names {token!r}; canonical symbols are in capitals, such as BTC"
                )
            _validate_list(f"{field}[{token}]", venues)
    for token in config.token_exclusions:
        if not config.priority_for(token):
            raise ConfigurationError(
                f"token_exclusions[{token}] leaves no venue to {token}; keep one of its list"
            )


def _validate_list(field: str, priority: Sequence[Venue]) -> None:
    if not priority:
        raise ConfigurationError(f"{field} is empty; name at least one venue")
    if Venue.MULTI in priority:
        raise ConfigurationError(f"{field} names MULTI, which is no venue; name real ones")
    if len(set(priority)) < len(priority):
        raise ConfigurationError(f"{field} names a venue twice; keep its first place only")


def _by_token(field: str, lists: Tokens) -> dict[str, tuple[Venue, ...]]:
    return {token: _venues(f"{field}[{token}]", names) for token, names in lists.items()}


def _venues(field: str, names: Sequence[str]) -> tuple[Venue, ...]:
    known = {venue.value: venue for venue in Venue}
    unknown = [name for name in names if name not in known]
    if unknown:
        choices = ", ".join(name for name in known if name != Venue.MULTI)
        raise ConfigurationError(f"{field} names {unknown[0]!r}; venues are {choices}")
    return tuple(known[name] for name in names)
