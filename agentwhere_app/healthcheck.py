"""``python -m agentwhere_app.healthcheck URL``: exit code 0 if it answers 200. For containers, which hold no curl."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

TIMEOUT_S = 4.0


def answers(url: str) -> bool:
    """Return whether ``url`` answers 200 in time; no proxy stands in between."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT_S) as reply:
            return bool(reply.status == 200)
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    sys.exit(0 if answers(sys.argv[1]) else 1)
