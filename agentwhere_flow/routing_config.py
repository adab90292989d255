"""Routing configuration as people ask for it and change it: global or an agent's own, part by part (R2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.routing import RoutingConfig
from agentwhere_core.where.config import config_of
from agentwhere_store import agents as agent_store
from agentwhere_store import markets as market_store
from agentwhere_store import routing as store
from agentwhere_store.routing import ConfigVersion

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_flow.system import System


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """What somebody wants of a routing configuration, in words; None leaves a part as it is in force.

    Of the lists by token, an empty one takes the token's own list away.
    """

    venue_priority: Sequence[str] | None = None
    routing_strategy: str | None = None
    failover_enabled: bool | None = None
    token_overrides: Mapping[str, Sequence[str]] | None = None
    token_exclusions: Mapping[str, Sequence[str]] | None = None


def config_in_force(system: System, agent: str | None = None) -> tuple[RoutingConfig, bool]:
    """Return the configuration that signals are routed by, and whether it is the agent's own.

    Raises
    ------
    ConfigurationError
        If there is no such agent, or the system was not set up.
    """
    with system.engine.begin() as conn:
        agent_id = _agent_id(conn, agent)
        configs = store.routing_configs(conn)
    return _in_force(configs, agent_id), agent_id in configs


def change_config(
    system: System, now: datetime, change: ConfigChange, *, agent: str | None, author: str
) -> RoutingConfig:
    """Write the next version of the global configuration or of an agent's own, and return it.

    Raises
    ------
    ConfigurationError
        If there is no such agent, a token is known to no venue, or the configuration cannot work; nothing is written
        then.
    """
    with system.engine.begin() as conn:
        agent_id = _agent_id(conn, agent)
        _check_tokens(change, market_store.known_tokens(conn))
        before = _in_force(store.routing_configs(conn), agent_id)
        wanted = config_of(
            venue_priority=before.venue_priority
            if change.venue_priority is None
            else change.venue_priority,
            routing_strategy=change.routing_strategy or before.routing_strategy,
            failover_enabled=before.failover_enabled
            if change.failover_enabled is None
            else change.failover_enabled,
            token_overrides=_merged(before.token_overrides, change.token_overrides),
            token_exclusions=_merged(before.token_exclusions, change.token_exclusions),
        )
        store.put_routing_config(conn, agent_id, wanted, now, author=author)
        return store.routing_configs(conn)[agent_id]


def config_history(system: System, agent: str | None = None) -> list[ConfigVersion]:
    """Return every version of the global configuration or of an agent's own, newest first.

    Raises
    ------
    ConfigurationError
        If there is no such agent.
    """
    with system.engine.begin() as conn:
        return store.config_versions(conn, _agent_id(conn, agent))


def _agent_id(conn: Connection, name: str | None) -> UUID | None:
    if name is None:
        return None
    found = agent_store.find_agent(conn, name)
    if found is None:
        raise ConfigurationError(f"there is no agent {name!r}: see `agentwhere agents list`")
    return found.id


def _check_tokens(change: ConfigChange, known: frozenset[str]) -> None:
    """Refuse lists for tokens that no venue knows, once any markets are known; taking a list away is always allowed."""
    for field, lists in (
        ("token_overrides", change.token_overrides or {}),
        ("token_exclusions", change.token_exclusions or {}),
    ):
        for token, names in lists.items():
            if names and known and token not in known:
                alike = get_close_matches(token.upper(), sorted(known), n=3)
                hint = f": is it {' or '.join(alike)}?" if alike else "."
                raise ConfigurationError(
                    f"{field} names {token!r}, which no venue lists under this canonical symbol{hint} "
                    "Markets are read anew by `agentwhere sync-markets`."
                )


def _in_force(configs: Mapping[UUID | None, RoutingConfig], agent_id: UUID | None) -> RoutingConfig:
    found = configs.get(agent_id) or configs.get(None)
    if found is None:
        raise ConfigurationError("there is no routing configuration yet: run `agentwhere setup`")
    return found


def _merged(
    before: Mapping[str, Sequence[str]], change: Mapping[str, Sequence[str]] | None
) -> dict[str, Sequence[str]]:
    return {token: names for token, names in {**before, **(change or {})}.items() if names}
