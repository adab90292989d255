"""The services of compose.yaml, started here as processes with their own commands and environment."""

from __future__ import annotations

import json
import shlex
import subprocess
from contextlib import suppress
from typing import Any

import httpx
import pytest

from agentwhere_flow.settings import Settings
from agentwhere_flow.system import System
from tests.deploy.conftest import PATIENCE_S, REPOSITORY, Part, Parts, await_until, free_ports
from tests.deploy.test_files import OURS
from tests.flow.world import rows

pytestmark = pytest.mark.timeout(1200)

LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
STATUS = "query Status($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


@pytest.fixture
def ports(parts: Parts) -> dict[str, int]:
    """A free port of this machine for each that a container has to itself."""
    free = dict(zip(("4000", "3000", "8000"), free_ports(3), strict=True))
    parts.environment = {
        **parts.environment,
        "AGENTWHERE_CODE_SERVER_HOST": "127.0.0.1",
        "AGENTWHERE_CODE_SERVER_PORT": str(free["4000"]),
        "AGENTWHERE_LOG_FORMAT": "json",
    }
    return free


def here(words: list[str], ports: dict[str, int]) -> list[str]:
    """Return a container's command as this machine needs it: its ports, this address, this checkout."""

    def changed(word: str) -> str:
        word = str(ports.get(word, word)).replace(
            "deploy/workspace.yaml", str(REPOSITORY / "deploy/workspace.yaml")
        )
        for there, free in ports.items():
            word = word.replace(f":{there}/", f":{free}/")
        return "127.0.0.1" if word == "0.0.0.0" else word

    return [changed(word) for word in words]


def start(parts: Parts, ports: dict[str, int], service: str) -> Part:
    return parts.python(service, "-m", *here(OURS[service]["command"], ports))


def await_healthy(parts: Parts, ports: dict[str, int], part: Part) -> None:
    """Wait until the service's own health check is content."""
    check = here(OURS[part.name]["healthcheck"]["test"][2:], ports)

    def is_well() -> bool:
        assert part.process.poll() is None, part.said()[-4000:]
        asked = parts.python(f"health-of-{part.name}", *check)
        code = asked.process.wait(60)
        assert code in (0, 1), asked.said()
        return code == 0

    await_until(is_well, lambda: f"{shlex.join(check)} failed:\n{part.said()[-4000:]}", pause_s=1)


@pytest.fixture
def running(parts: Parts, ports: dict[str, int]) -> dict[str, Part]:
    """All services, each begun when what it depends on is well."""
    start(parts, ports, "setup").finish()
    started = {"code-server": start(parts, ports, "code-server")}
    started["api"] = start(parts, ports, "api")
    await_healthy(parts, ports, started["code-server"])
    started |= {name: start(parts, ports, name) for name in ("webserver", "daemon")}
    for name in ("webserver", "api", "daemon"):
        await_healthy(parts, ports, started[name])
    return started


def ask(port: int, query: str, **variables: Any) -> Any:
    answer = httpx.post(
        f"http://127.0.0.1:{port}/graphql",
        json={"query": query, "variables": variables},
        timeout=30,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_the_services_work_together_and_all_leave_when_told(
    running: dict[str, Part], ports: dict[str, int]
) -> None:
    selector = {
        "repositoryLocationName": "agentwhere",
        "repositoryName": "__repository__",
        "pipelineName": "market_sync",
    }
    asked = ask(ports["3000"], LAUNCH, params={"selector": selector, "mode": "default"})
    launched = asked["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = launched["run"]["runId"]

    def status() -> str:
        return str(ask(ports["3000"], STATUS, id=run_id)["runOrError"]["status"])

    await_until(lambda: status() in {"SUCCESS", "FAILURE"}, lambda: f"the run is {status()}")
    assert status() == "SUCCESS"
    system = System(Settings())
    synced = rows(system, "SELECT count(*) > 0 FROM agentwhere.venue_markets")
    system.close()
    assert synced == [(True,)]
    health = httpx.get(f"http://127.0.0.1:{ports['8000']}/healthz", trust_env=False)
    assert health.status_code == 200

    for part in running.values():
        part.process.terminate()
    # Dagster's code server may outlast its grace period; then it is ended, as Docker does it.
    code_server = running.pop("code-server").process
    grace_s = float(OURS["code-server"]["stop_grace_period"].removesuffix("s"))
    with suppress(subprocess.TimeoutExpired):
        code_server.wait(grace_s)
    code_server.kill()
    assert code_server.wait(PATIENCE_S) in (0, -15, -9)
    for part in running.values():
        assert part.process.wait(PATIENCE_S) in (0, -15), part.name
    for line in running["daemon"].said().splitlines():
        assert json.loads(line)
