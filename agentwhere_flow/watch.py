"""Watch the daemon from outside it: what it would tell of everything else, it cannot tell of itself.

Processes of the API do this, beside their own work. When nothing has run for too long, they open an incident and tell
people themselves; when something runs again, it closes.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentwhere_core.alerts.words import say_span
from agentwhere_core.domain.enums import Severity
from agentwhere_flow.alerts import close_alert, raise_alert
from agentwhere_flow.notices import deliver_notices, is_anything_due

if TYPE_CHECKING:
    from agentwhere_flow.system import System

INCIDENT = "daemon:silent"


def watch_daemon(system: System, now: datetime) -> bool:
    """Open, or close, the incident of a silent daemon, and have it told; return whether it is silent.

    A system on which nothing ever ran is new, not silent.
    """
    from agentwhere_store import operations

    with system.engine.begin() as conn:
        last = operations.last_step(conn)
        is_known = any(alert.incident == INCIDENT for alert in operations.open_alerts(conn))
    silence = now - last if last is not None else timedelta(0)
    is_silent = silence > system.settings.health.daemon_silent
    if is_silent and not is_known:
        raise_alert(
            system,
            now,
            INCIDENT,
            Severity.CRITICAL,
            "the daemon is silent",
            f"No step has ended for {say_span(silence)}: positions are not watched, and stops are kept by the venues "
            "alone. See whether `agentwhere up` or the Dagster daemon runs, and read its log",
        )
    if is_known and not is_silent:
        close_alert(system, now, INCIDENT)
    if (is_silent or is_known) and is_anything_due(system, now):
        deliver_notices(system, now)
    return is_silent
