"""Tell people of incidents: decide which notices are due, send them, keep what became of each.

A notice is on record before it is sent, and one process sends at a time. A process that dies between the two leaves a
notice of which nobody knows whether it arrived: it is sent again under the same id, because silence would be worse.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from agentwhere_core.alerts.notices import (
    NoticeKind,
    NoticeRules,
    NoticeState,
    Target,
    due_notice,
    is_worth_sending,
)
from agentwhere_core.alerts.words import Message, message_of
from agentwhere_core.domain.errors import AgentWhereError, ConfigurationError, LeaseHeldError
from agentwhere_flow.report import Tally, step
from agentwhere_flow.senders import send
from agentwhere_store import notices as store
from agentwhere_store.leases import lease

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_flow.system import System
    from agentwhere_store.notices import Waiting

LEASE = "alerts"
FIRST_RETRY = timedelta(seconds=30)
LAST_RETRY = timedelta(minutes=15)
NEWS_FOR = timedelta(days=1)


def is_anything_due(system: System, now: datetime) -> bool:
    """Return whether a notice must be sent now."""
    with system.engine.begin() as conn:
        return bool(_due(system, conn, now)) or bool(store.waiting(conn, now))


@step("alerts")
def deliver_notices(system: System, now: datetime) -> Tally:
    """Send every notice that is due, each to its target; a target that fails delays no other."""
    tally = Tally()
    holder = system.run_id or f"{socket.gethostname()}:{os.getpid()}"
    try:
        with lease(system.engine, LEASE, holder, now):
            with system.engine.begin() as conn:
                for told, target, notice in _due(system, conn, now):
                    store.add(conn, told.incident.id, target, notice, now)
                waiting = store.waiting(conn, now)
            tally.rows_in = len(waiting)
            targets = {target.name: target for target in system.settings.alert_targets}
            for item in waiting:
                _deliver(system, item, targets, now, tally)
    except LeaseHeldError:
        tally.details["left_to"] = "another process is sending"
    return tally


def try_targets(system: System, now: datetime, only: str | None = None) -> dict[str, str | None]:
    """Send a test message to every target, or to one; return by name what went wrong, None where it arrived.

    Raises
    ------
    ConfigurationError
        If there is no target, or none of that name.
    """
    chosen = [
        target for target in system.settings.alert_targets if only is None or target.name == only
    ]
    if not chosen:
        wanted = f"no alert target is called {only!r}" if only else "there is no alert target"
        raise ConfigurationError(
            f"{wanted}: set AGENTWHERE_ALERT_TARGETS=NAME, and its address by "
            "`agentwhere secrets put alert-NAME`"
        )
    message = Message(
        "[TEST] Agent Where can reach you",
        f"This is a test of your alerts, sent at {now:%Y-%m-%d %H:%M:%S} UTC. Nothing is wrong.",
        "info",
    )
    return {target.name: _try(system, target, message) for target in chosen}


def recent_notices(system: System, limit: int) -> list[dict[str, Any]]:
    """Return the newest notices with what became of them, newest first."""
    with system.engine.begin() as conn:
        return store.recent(conn, limit)


def rules_of(system: System) -> NoticeRules:
    """Return the rules that the settings give."""
    return NoticeRules(
        repeat_after=timedelta(minutes=system.settings.alert_repeat_min),
        quiet=system.settings.alert_quiet_hours,
    )


def _due(system: System, conn: Connection, now: datetime) -> list[Any]:
    targets: Sequence[Target] = system.settings.alert_targets
    if not targets:
        return []
    rules = rules_of(system)
    return [
        (told, target, notice)
        for told in store.told(conn, now)
        for target in targets
        if (
            notice := due_notice(
                told.incident, target, told.notices.get(target.name, ()), rules, now
            )
        )
    ]


def _deliver(
    system: System,
    item: Waiting,
    targets: Mapping[str, Target],
    now: datetime,
    tally: Tally,
) -> None:
    """Send one notice, unless it has lost its meaning, and keep how it ended."""
    target = targets.get(item.target)
    is_untouched = item.notice.state is NoticeState.PENDING
    if target is None:
        _end(system, item, NoticeState.WITHDRAWN, "the target is no longer set")
        return
    if is_untouched and not is_worth_sending(item.incident, item.notice):
        _end(system, item, NoticeState.WITHDRAWN, "the incident ended before it could be told")
        return
    with system.engine.begin() as conn:
        store.begin(conn, item.id, now)
    error = _try(system, target, _message(item))
    if error is None:
        _end(system, item, NoticeState.SENT, None)
        tally.rows_out += 1
        return
    tally.problems.append(
        f"{item.target} was not told of {item.alert.incident}: {error}; it is tried again. "
        "Check its address with `agentwhere alerts test`"
    )
    is_old_news = item.notice.kind is NoticeKind.RECOVERED and now - item.created_at > NEWS_FOR
    with system.engine.begin() as conn:
        store.finish(
            conn,
            item.id,
            NoticeState.GIVEN_UP if is_old_news else NoticeState.PENDING,
            error=error,
            next_attempt_at=now + min(FIRST_RETRY * 2 ** min(item.attempts, 10), LAST_RETRY),
        )


def _end(system: System, item: Waiting, state: NoticeState, error: str | None) -> None:
    with system.engine.begin() as conn:
        store.finish(conn, item.id, state, error=error)


def _try(system: System, target: Target, message: Message) -> str | None:
    """Send a message; return why it did not arrive, or None."""
    try:
        url = system.secrets.get(f"alert-{target.name}")
        send(target.name, url, message)
    except AgentWhereError as error:
        return str(error)
    return None


def _message(item: Waiting) -> Message:
    return message_of(
        item.notice.kind,
        item.notice.severity,
        title=item.alert.title,
        detail=item.alert.detail,
        incident=item.alert.incident,
        notice_id=item.id,
        opened_at=item.alert.opened_at,
        closed_at=item.alert.closed_at,
    )
