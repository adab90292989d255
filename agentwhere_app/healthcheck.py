"""Is it well? For containers, which hold no curl: exit code 0 if so.

``python -m agentwhere_app.healthcheck URL`` asks a server, which must answer 200; ``… daemon`` looks for heartbeats of
Dagster's daemon, whose own check puts up with half an hour of silence.
"""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request

TIMEOUT_S = 4.0
LONGEST_SILENCE_S = 120.0


def answers(url: str) -> bool:
    """Return whether ``url`` answers 200 in time; no proxy stands in between."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT_S) as reply:
            return bool(reply.status == 200)
    except (OSError, ValueError):
        return False


def daemon_beats() -> bool:
    """Return whether every part of the daemon that this instance needs has lately said that it lives."""
    from dagster import DagsterInstance

    with DagsterInstance.get() as instance:
        heartbeats = instance.get_daemon_heartbeats()
        earliest = time.time() - LONGEST_SILENCE_S
        return all(
            kind in heartbeats and heartbeats[kind].timestamp >= earliest
            for kind in instance.get_required_daemon_types()
        )


if __name__ == "__main__":
    asked = sys.argv[1]
    sys.exit(0 if (daemon_beats() if asked == "daemon" else answers(asked)) else 1)
