"""Kill switches: stop entries at once, and close what is open, for everything or for one agent, deployment or venue.

An engaged switch is a row. It is looked at when a venue is chosen, when an entry is sized, and once more in the
transaction that marks it as being sent. One that closes positions is carried out by the position monitor: the first
time at once, then with every tick for as long as it is engaged, so that what could not be closed is tried again.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import KillScope, Venue
from agentwhere_core.domain.errors import AgentWhereError, ConfigurationError, NoSuchThingError
from agentwhere_core.domain.reasons import Reason
from agentwhere_flow.naming import find_deployment, only_one
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.report import Tally, step
from agentwhere_store import agents as agent_store
from agentwhere_store import switches as store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_flow.system import System
    from agentwhere_store.switches import KillSwitch


@step("kill_switch")
def engage(
    system: System,
    now: datetime,
    scope: KillScope,
    target: str = "",
    *,
    reason: str,
    by: str,
    close_all: bool = False,
) -> Tally:
    """Stop entries within ``scope`` at once; with ``close_all`` also close every open position there. Safe to repeat.

    The switch is on as soon as its row is committed, before anything is closed. A position that cannot be closed now is
    a problem in the report, and is tried again by every tick of the monitor until the switch is released. In the
    report, ``rows_in`` counts positions to close and ``rows_out`` those that are closed.

    Parameters
    ----------
    target
        Nothing for GLOBAL; id or name of an agent; id of a deployment, its name, or ``agent/deployment`` where several
        agents have one of that name; a venue's name.
    reason, by
        Why, and who says so; kept with the switch.

    Raises
    ------
    ConfigurationError
        If the target does not exist or is ambiguous, or reason or author are missing; nothing is engaged.
    """
    _check_signed(reason, by)
    tally = Tally()
    with system.engine.begin() as conn:
        named = _target(conn, scope, target)
        is_new = store.engage(
            conn, scope, named, reason=reason, author=by, closes_all=close_all, now=now
        )
    tally.details |= _said(scope, named, reason, by) | {"engaged": is_new, "closes": close_all}
    if close_all:
        _close(system, now, scope, named, tally)
    return tally


@step("kill_switch")
def release(
    system: System, now: datetime, scope: KillScope, target: str = "", *, reason: str, by: str
) -> Tally:
    """Let entries within ``scope`` go on, as far as no other switch stops them. Safe to repeat.

    Entries that were held back and whose signals have not expired are sent with the next tick.

    Raises
    ------
    ConfigurationError
        If the target does not exist or is ambiguous, or reason or author are missing.
    """
    _check_signed(reason, by)
    tally = Tally()
    with system.engine.begin() as conn:
        named = _target(conn, scope, target)
        was_engaged = store.release(conn, scope, named, reason=reason, author=by, now=now)
    tally.details |= _said(scope, named, reason, by) | {"released": was_engaged}
    return tally


def list_switches(
    system: System, *, include_released: bool = False, limit: int = 200
) -> list[KillSwitch]:
    """Return switches, newest first: those that are engaged, or the whole record."""
    with system.engine.connect() as conn:
        return store.list_switches(conn, include_released=include_released, limit=limit)


def _close(system: System, now: datetime, scope: KillScope, target: str, tally: Tally) -> None:
    """Have the monitor close what the switch reaches, and say what is still open."""
    with system.engine.begin() as conn:
        before = store.positions_to_close(conn, scope, target)
    try:
        report = monitor_positions(system, now)
    except AgentWhereError as error:
        tally.problems.append(f"nothing could be closed yet, the monitor tries again: {error}")
    else:
        tally.problems += report.problems
        for refused, count in report.refusals.items():
            tally.refuse(Reason(refused), count)
    with system.engine.begin() as conn:
        left = store.positions_to_close(conn, scope, target)
    tally.rows_in = len(before | left)
    tally.rows_out = len(before - left)
    tally.details["still_open"] = len(left)
    if left:
        tally.problems.append(
            f"{len(left)} positions are still open: every tick of the monitor tries again while the switch is engaged"
        )


def _target(conn: Connection, scope: KillScope, text: str) -> str:
    """Return the canonical target that a person means by ``text``."""
    text = text.strip()
    if scope is KillScope.GLOBAL:
        if text:
            raise ConfigurationError(f"a global kill switch has no target, and {text!r} is one")
        return ""
    if scope is KillScope.VENUE:
        if text.upper() not in set(Venue) - {Venue.MULTI}:
            raise NoSuchThingError(f"there is no venue {text!r}")
        return text.upper()
    if scope is KillScope.AGENT:
        named = {
            str(item.agent.id): {item.agent.name, str(item.agent.id)}
            for item in agent_store.list_agents(conn)
        }
        return only_one(named, text, "agent")
    return str(find_deployment(conn, text))


def _check_signed(reason: str, by: str) -> None:
    if not reason.strip() or not by.strip():
        raise ConfigurationError(
            "a kill switch needs a reason and somebody who gives it: they are its record"
        )


def _said(scope: KillScope, target: str, reason: str, by: str) -> dict[str, str]:
    return {"scope": scope.value, "target": target, "reason": reason, "by": by}
