"""Decisions made again from what was kept of them, and compared with what was decided (R6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.routing import RoutingDecision
from agentwhere_core.where.router import replay
from agentwhere_store import decisions as store
from agentwhere_store.decisions import StoredDecision, tell_decision

if TYPE_CHECKING:
    from agentwhere_flow.system import System

SAMPLE = 200


@dataclass(frozen=True, slots=True)
class Replay:
    """A decision as it was kept, as it comes out now, and the names of the fields in which the two differ."""

    id: UUID
    decision: RoutingDecision
    stored: Mapping[str, Any]
    differences: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Whether every field comes out as it was kept."""
        return not self.differences


def replay_decision(system: System, routing_id: UUID) -> Replay:
    """Make a decision again.

    Raises
    ------
    ConfigurationError
        If there is no such decision, or it was made by a version of the router that this one cannot repeat.
    """
    with system.engine.begin() as conn:
        found = store.stored_decision(conn, routing_id)
    if found is None:
        raise ConfigurationError(
            f"there is no routing decision {routing_id}: `agentwhere routing history` lists them"
        )
    return _replay(found)


def replay_sample(system: System, now: datetime, size: int = SAMPLE) -> list[Replay]:
    """Make a sample of the last day's decisions again; the sample of a moment is always the same."""
    with system.engine.begin() as conn:
        found = store.sample_of_decisions(conn, now - timedelta(days=1), now, size)
    return [_replay(item) for item in found]


def recent_decisions(system: System, since: datetime, limit: int) -> list[dict[str, Any]]:
    """Return the newest decisions, newest first, with what a person needs to pick one."""
    with system.engine.begin() as conn:
        return store.decisions_since(conn, since, limit)


def _replay(found: StoredDecision) -> Replay:
    if found.scene is None:
        raise ConfigurationError(
            f"routing decision {found.id} was made before scenes were kept; use the release that made it"
        )
    decision = replay(found.told["inputs"], found.scene)
    again = tell_decision(decision)
    differences = tuple(name for name, value in again.items() if found.told[name] != value)
    return Replay(found.id, decision, found.told, differences)
