"""What should start a run before its next tick: cheap questions, asked every few seconds.

Each answer is a *mark*: a short text that changes when there is something new. A caller that remembers the last mark
it acted on never acts twice, and never misses what happened while it was away.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import PositionStatus, Venue

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_flow.system import System

CLOSES_LOOK_BACK = timedelta(days=3)
FIRST_STEPS = ("signals",)


class FirstPass(StrEnum):
    """How far a database has come since it was made."""

    NOT_SET_UP = "NOT_SET_UP"
    NOTHING_SYNCED = "NOTHING_SYNCED"
    NO_SIGNALS_YET = "NO_SIGNALS_YET"
    DONE = "DONE"


def newest_signal(system: System, now: datetime) -> str | None:
    """Return the mark of the newest signal that is still alive, or None where there is none.

    Signals of the arena do not count: the arena executes them itself, in the tick that makes them.
    """
    from sqlalchemy import select

    from agentwhere_store.tables.arena import models
    from agentwhere_store.tables.ideas import signals

    newest = (
        select(signals.c.id)
        .where(signals.c.expires_at > now, signals.c.agent_id.not_in(select(models.c.agent_id)))
        .order_by(signals.c.id.desc())
        .limit(1)
    )
    with system.engine.connect() as conn:
        if not _is_set_up(conn):
            return None
        found = conn.execute(newest).scalar_one_or_none()
    return None if found is None else str(found)


def newest_close(system: System, now: datetime) -> str | None:
    """Return the mark of the position that was last found closed, or None where none was lately.

    The mark follows the time of discovery, not of the fill: a close that is found late has an earlier fill.
    """
    from sqlalchemy import func, select

    from agentwhere_store.tables.trading import positions

    newest = select(func.max(positions.c.updated_at)).where(
        positions.c.status == PositionStatus.CLOSED.value,
        positions.c.closed_at > now - CLOSES_LOOK_BACK,
    )
    with system.engine.connect() as conn:
        if not _is_set_up(conn):
            return None
        found = conn.execute(newest).scalar_one()
    return None if found is None else str(found.isoformat())


@dataclass(frozen=True, slots=True)
class DueTurns:
    """Models of the arena whose turn has come: their names, since when, and a mark of just this."""

    names: tuple[str, ...]
    latest: datetime
    mark: str


def due_turns(system: System, now: datetime) -> DueTurns | None:
    """Return the models whose turn has come, or None where there is none, or no market to show them yet."""
    from sqlalchemy import exists, select

    from agentwhere_store.arena.models import due_models
    from agentwhere_store.tables.ideas import venue_markets

    with system.engine.connect() as conn:
        if not _is_set_up(conn):
            return None
        if not conn.execute(select(exists().where(venue_markets.c.id.is_not(None)))).scalar_one():
            return None
        due = due_models(conn, now)
    if not due:
        return None
    return DueTurns(
        names=tuple(model.name for model in due),
        latest=max(model.due_at for model in due),
        mark=" ".join(f"{model.id}@{model.due_at.timestamp():.0f}" for model in due),
    )


def first_pass(system: System) -> FirstPass:
    """Return how far the database has come, from a fresh one to one whose first signals were made."""
    from sqlalchemy import exists, select

    from agentwhere_store.tables.ideas import venue_markets
    from agentwhere_store.tables.operations import step_runs

    synced = select(exists().where(venue_markets.c.id.is_not(None)))
    finished = select(exists().where(step_runs.c.step.in_(FIRST_STEPS), step_runs.c.ok))
    with system.engine.connect() as conn:
        if not _is_set_up(conn):
            return FirstPass.NOT_SET_UP
        if not conn.execute(synced).scalar_one():
            return FirstPass.NOTHING_SYNCED
        return FirstPass.DONE if conn.execute(finished).scalar_one() else FirstPass.NO_SIGNALS_YET


def stale_venues(system: System, now: datetime) -> tuple[Venue, ...]:
    """Return the enabled venues whose market list was never synced, or is too old to route by."""
    from sqlalchemy import func, select

    from agentwhere_store.tables.ideas import venue_markets

    last = select(venue_markets.c.venue, func.max(venue_markets.c.last_synced)).group_by(
        venue_markets.c.venue
    )
    with system.engine.connect() as conn:
        if not _is_set_up(conn):
            return ()
        synced = {Venue(venue): at for venue, at in conn.execute(last)}
    oldest = now - timedelta(hours=system.settings.market_data_max_age_h)
    return tuple(
        venue for venue in system.settings.venues if venue not in synced or synced[venue] < oldest
    )


def _is_set_up(conn: Connection) -> bool:
    from sqlalchemy import text

    from agentwhere_store.tables import SCHEMA

    return bool(
        conn.execute(
            text("SELECT to_regclass(:name) IS NOT NULL"), {"name": f"{SCHEMA}.step_runs"}
        ).scalar_one()
    )
