"""The dead man's switch: a URL that is called while all is well, so that somebody outside notices our silence.

An alert cannot tell that its own sender is dead. A service such as Healthchecks or a dead-man receiver, told to expect
a call every few minutes, can.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import HealthStatus

if TYPE_CHECKING:
    from agentwhere_flow.system import System

REPORT_IS_CURRENT_FOR = timedelta(minutes=25)


def silence_because(system: System, now: datetime) -> str | None:
    """Return why the heartbeat must not be heard now, or None while all is well.

    All is well while health is judged at its rhythm, and not as critical. What is merely degraded is told by alerts.
    """
    from agentwhere_store import operations

    with system.engine.begin() as conn:
        newest = operations.newest_health(conn)
    if newest is None:
        return "health was never judged"
    at, status = newest
    if now - at > REPORT_IS_CURRENT_FOR:
        return f"the newest health report is of {at:%Y-%m-%d %H:%M} UTC"
    return "health is critical" if status is HealthStatus.CRITICAL else None


def beat(system: System, now: datetime) -> str | None:
    """Call the heartbeat's URL if all is well; return why it was not heard, or None.

    Nothing is called, and nothing is wrong, where ``AGENTWHERE_HEARTBEAT_URL`` is not set.
    """
    import httpx

    url = system.settings.heartbeat_url
    if url is None:
        return None
    if reason := silence_because(system, now):
        return reason
    try:
        reply = httpx.get(url.get_secret_value(), timeout=system.settings.http_timeout_s)
    except httpx.HTTPError as error:
        return f"the heartbeat's address did not answer ({type(error).__name__})"
    return None if reply.is_success else f"the heartbeat's address answered {reply.status_code}"
