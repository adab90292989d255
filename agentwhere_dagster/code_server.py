"""Keeps Dagster's code server looking after the processes of its runs.

The server looks at them in a thread of its own, which ends for good with the first error of the database (1.13.27). A
run whose process died in a longer outage then stays STARTED, and keeps others of its lane waiting, until
`run_monitoring` gives it up after half an hour; and the server, told to stop, waits for that thread's last word for
ever. Here an error is logged, and the next look follows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

Look = Callable[[Any], None]


def keep_looking_after_runs() -> None:
    """Let the code server of this process, if it is one, outlive errors of the database."""
    # Loaded by a code server long before the definitions; not loaded for it, since it takes an eighth of a second.
    loaded = sys.modules.get("dagster._grpc.server")
    if loaded is None:
        return
    server: Any = loaded.DagsterApiServer
    if not hasattr(server._check_for_orphaned_runs, "__wrapped__"):
        server._check_for_orphaned_runs = _going_on(server._check_for_orphaned_runs)


def _going_on(look: Look) -> Look:
    """Return a look at the runs that fails without raising, and says so once until it succeeds."""
    is_failing = False

    @wraps(look)
    def look_on(server: Any) -> None:
        nonlocal is_failing
        try:
            look(server)
        except Exception as error:  # noqa: BLE001 - whatever it is, runs are looked after
            if not is_failing:
                server._logger.warning(
                    "the processes of runs cannot be looked after; trying again until it succeeds: %s",
                    error,
                )
            is_failing = True
        else:
            is_failing = False

    return look_on
