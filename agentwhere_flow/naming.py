"""Find what a person means by a name or an id."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.errors import ConfigurationError, NoSuchThingError
from agentwhere_store import agents as agent_store
from agentwhere_store import deployments as deployment_store

if TYPE_CHECKING:
    from sqlalchemy import Connection


def find_deployment(conn: Connection, text: str) -> UUID:
    """Return the deployment that is called NAME, AGENT/NAME, or by its id.

    Raises
    ------
    ConfigurationError
        If there is none, or more than one.
    """
    agents = {item.agent.id: item.agent.name for item in agent_store.list_agents(conn)}
    named = {
        str(item.id): {str(item.id), item.name, f"{agents[item.agent_id]}/{item.name}"}
        for item in deployment_store.deployments(conn)
    }
    return UUID(only_one(named, text, "deployment"))


def only_one(named: dict[str, set[str]], text: str, what: str) -> str:
    """Return the one id of ``named`` that goes by the name ``text``.

    Raises
    ------
    ConfigurationError
        If there is none, or more than one.
    """
    wanted = str(UUID(text)) if _is_id(text) else text
    found = [id_ for id_, names in named.items() if wanted in names]
    if not found:
        raise NoSuchThingError(f"there is no {what} {text!r}: see `agentwhere agents list`")
    if len(found) > 1:
        raise ConfigurationError(
            f"several {what}s are called {text!r}: say AGENT/DEPLOYMENT, or the id"
        )
    return found[0]


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
