"""Is it up? Quick questions to the services that `up` starts."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from agentwhere_app.home import HOST

_PROBE_TIMEOUT_S = 3.0
_TRIES = 4
_STATE_QUERY = """
{
  workspaceOrError {
    __typename
    ... on Workspace {
      locationEntries { name loadStatus locationOrLoadError { __typename ... on PythonError { message } } }
    }
  }
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
  schedulesOrError(repositorySelector: {repositoryLocationName: "agentwhere", repositoryName: "__repository__"}) {
    ... on Schedules { results { name scheduleState { status } } }
  }
  sensorsOrError(repositorySelector: {repositoryLocationName: "agentwhere", repositoryName: "__repository__"}) {
    ... on Sensors { results { name sensorState { status } } }
  }
}
"""


@dataclass(frozen=True, slots=True)
class DagsterState:
    """What Dagster's own webserver says about the rest of it."""

    location_loaded: bool
    location_error: str | None
    daemons_healthy: bool
    schedules_running: int
    sensors_running: int

    @property
    def is_ready(self) -> bool:
        """Whether the code is loaded and the daemons beat."""
        return self.location_loaded and self.daemons_healthy


def port_answers(port: int) -> bool:
    """Return whether something listens on the port."""
    try:
        with socket.create_connection((HOST, port), timeout=_PROBE_TIMEOUT_S):
            return True
    except OSError:
        return False


def simulator_home(port: int) -> str | None:
    """Return the home of the simulator on ``port``, or None where there is none."""
    try:
        answer = _get_json(f"http://{HOST}:{port}/healthz")
    except (OSError, ValueError):
        return None
    return str(answer.get("home")) if answer.get("status") == "ok" else None


def api_answers(port: int) -> bool:
    """Return whether our API answers on ``port``."""
    try:
        return _get_json(f"http://{HOST}:{port}/healthz").get("status") == "ok"
    except (OSError, ValueError):
        return False


def webserver_answers(port: int) -> bool:
    """Return whether Dagster's webserver answers on ``port``."""
    try:
        return "dagster_webserver_version" in _get_json(f"http://{HOST}:{port}/server_info")
    except (OSError, ValueError):
        return False


def dagster_state(port: int) -> DagsterState | None:
    """Ask the webserver on ``port`` for the state of code location and daemons; None if it does not answer."""
    data = _ask_dagster(port)
    if data is None:
        return None
    entries = (data.get("workspaceOrError") or {}).get("locationEntries") or []
    results = [entry.get("locationOrLoadError") or {} for entry in entries]
    errors = [str(r["message"]) for r in results if r.get("__typename") == "PythonError"]
    daemons = data["instance"]["daemonHealth"]["allDaemonStatuses"]
    return DagsterState(
        location_loaded=bool(results)
        and all(r.get("__typename") == "RepositoryLocation" for r in results),
        location_error=errors[0] if errors else None,
        daemons_healthy=all(d["healthy"] for d in daemons if d["required"]),
        schedules_running=_count_running(data.get("schedulesOrError"), "scheduleState"),
        sensors_running=_count_running(data.get("sensorsOrError"), "sensorState"),
    )


def _ask_dagster(port: int) -> dict[str, Any] | None:
    """Return the answer to the state query; after a restart of the database the first ones are errors."""
    request = urllib.request.Request(
        f"http://{HOST}:{port}/graphql",
        data=json.dumps({"query": _STATE_QUERY}).encode(),
        headers={"Content-Type": "application/json"},
    )
    for _ in range(_TRIES):
        try:
            with urllib.request.urlopen(request, timeout=2 * _PROBE_TIMEOUT_S) as reply:  # noqa: S310
                data = json.load(reply).get("data")
        except urllib.error.HTTPError:
            continue
        except (OSError, ValueError):
            return None
        if isinstance(data, dict):
            return data
    return None


def _count_running(answer: dict[str, Any] | None, state: str) -> int:
    results = (answer or {}).get("results") or []
    return sum(1 for result in results if result[state]["status"] == "RUNNING")


def _get_json(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=_PROBE_TIMEOUT_S) as reply:  # noqa: S310
        answer = json.load(reply)
    return answer if isinstance(answer, dict) else {}
