"""Kill switches: who stopped what, when and why, and who let it go again.

Each scope and target has at most one engaged switch. Rows are never deleted: together they are the record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Text, and_, cast, exists, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from agentwhere_core.domain.enums import KillScope, PositionStatus, Venue
from agentwhere_core.domain.ids import new_id
from agentwhere_store.tables.operations import kill_switches
from agentwhere_store.tables.trading import deployments, positions


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """One switch as it was engaged; engaged still while ``released_at`` is None.

    ``target`` is empty for the global one, a venue's name, or the id of an agent or a deployment. One that
    ``closes_all`` has every open position in its reach closed, for as long as it is engaged.
    """

    id: UUID
    scope: KillScope
    target: str
    reason: str
    author: str
    closes_all: bool
    engaged_at: datetime
    released_at: datetime | None = None
    released_by: str | None = None
    release_reason: str | None = None


def engage(
    conn: Connection,
    scope: KillScope,
    target: str,
    *,
    reason: str,
    author: str,
    closes_all: bool,
    now: datetime,
) -> bool:
    """Engage a switch; one that is engaged already stays as it is. Return whether it was new.

    One that is to close positions takes the place of one that only stops entries, with its own author and reason.
    """
    if closes_all:
        conn.execute(
            update(kill_switches)
            .where(_is(scope, target), ~kill_switches.c.closes_all)
            .values(
                released_at=now,
                released_by=author,
                release_reason="replaced by one that closes positions",
            )
        )
    statement = insert(kill_switches).values(
        id=new_id(),
        scope=scope.value,
        target=target,
        reason=reason,
        author=author,
        closes_all=closes_all,
        engaged_at=now,
    )
    new = conn.execute(statement.on_conflict_do_nothing().returning(kill_switches.c.id))
    return new.scalar_one_or_none() is not None


def release(
    conn: Connection, scope: KillScope, target: str, *, reason: str, author: str, now: datetime
) -> bool:
    """Release a switch; return whether it was engaged."""
    released = conn.execute(
        update(kill_switches)
        .where(_is(scope, target))
        .values(released_at=now, released_by=author, release_reason=reason)
    )
    return released.rowcount > 0


def list_switches(
    conn: Connection, *, include_released: bool = False, limit: int = 200
) -> list[KillSwitch]:
    """Return switches, newest first: those that are engaged, or all that ever were."""
    query = select(kill_switches).order_by(kill_switches.c.id.desc()).limit(limit)
    if not include_released:
        query = query.where(kill_switches.c.released_at.is_(None))
    return [
        KillSwitch(**{**row._mapping, "scope": KillScope(row.scope)}) for row in conn.execute(query)
    ]


def stops_entries(conn: Connection, deployment_id: UUID, venue: Venue) -> bool:
    """Return whether an engaged switch stops a deployment's entries at a venue now."""
    found = exists().where(
        deployments.c.id == deployment_id,
        _reaches(deployments.c.agent_id, deployments.c.id, venue.value),
    )
    return bool(conn.execute(select(found)).scalar_one())


def positions_to_close(
    conn: Connection, scope: KillScope | None = None, target: str = ""
) -> frozenset[UUID]:
    """Return the open positions that engaged switches want closed, all of them or one switch's."""
    reached = and_(
        kill_switches.c.closes_all,
        _reaches(positions.c.agent_id, positions.c.deployment_id, positions.c.venue),
    )
    if scope is not None:
        reached = and_(reached, _is(scope, target))
    query = select(positions.c.id).where(
        positions.c.status == PositionStatus.OPEN.value, exists().where(reached)
    )
    return frozenset(conn.execute(query).scalars())


def _is(scope: KillScope, target: str) -> ColumnElement[bool]:
    return and_(
        kill_switches.c.scope == scope.value,
        kill_switches.c.target == target,
        kill_switches.c.released_at.is_(None),
    )


def _reaches(
    agent_id: ColumnElement[UUID],
    deployment_id: ColumnElement[UUID],
    venue: ColumnElement[str] | str,
) -> ColumnElement[bool]:
    """Tell whether an engaged switch reaches what belongs to this agent, deployment and venue."""
    scope, target = kill_switches.c.scope, kill_switches.c.target
    return and_(
        kill_switches.c.released_at.is_(None),
        or_(
            scope == KillScope.GLOBAL.value,
            and_(scope == KillScope.AGENT.value, target == cast(agent_id, Text)),
            and_(scope == KillScope.DEPLOYMENT.value, target == cast(deployment_id, Text)),
            and_(scope == KillScope.VENUE.value, target == venue),
        ),
    )
