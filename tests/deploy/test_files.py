"""What `deploy/` says fits together, and what it starts are commands that exist."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentwhere_flow.settings import Settings
from agentwhere_store.engine import dagster_url

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = {name: one for name, one in COMPOSE["services"].items() if name != "postgres"}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
DOCUMENTS = {
    path.relative_to(DEPLOY): list(yaml.safe_load_all(path.read_text()))
    for path in DEPLOY.rglob("*.yaml")
}
PLACEHOLDER = "PASSWORD"


def env_example(path: Path) -> dict[str, str]:
    """Return all variables that a file names, also those in comments."""
    lines = [line.removeprefix("#") for line in path.read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z][A-Z0-9_]*=", line))


def test_everything_is_readable_yaml() -> None:
    assert len(DOCUMENTS) >= 5
    assert all(document is not None for documents in DOCUMENTS.values() for document in documents)


@pytest.mark.parametrize("name", OURS)
def test_a_service_starts_a_module_that_exists(name: str) -> None:
    module, *_ = OURS[name]["command"]
    assert importlib.util.find_spec(module) is not None
    assert 'ENTRYPOINT ["python", "-m"]' in DOCKERFILE


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_says_when_it_is_well_and_has_time_to_end(name: str) -> None:
    service = COMPOSE["services"][name]
    if name == "setup":
        assert service["restart"] == "no"
        return
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"
    assert service["stop_grace_period"]


@pytest.mark.parametrize("name", OURS)
def test_a_container_holds_no_more_rights_than_it_needs(name: str) -> None:
    service = OURS[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_the_image_runs_as_nobody_in_particular() -> None:
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    assert "HEALTHCHECK" in DOCKERFILE


def test_no_file_holds_a_secret() -> None:
    given = env_example(DEPLOY / "env.example")
    for name, value in given.items():
        if re.search("PASSWORD|KEY|TOKEN|SECRET", name):
            assert value == "", name
        if "URL" in name and "@" in value:
            assert f":{PLACEHOLDER}@" in value, name
    api = DOCUMENTS[Path("helm/api.yaml")][0]
    pods = api["spec"]["template"]["spec"]
    assert all("secretRef" in source for one in pods["containers"] for source in one["envFrom"])


def test_the_example_of_dagsters_url_is_what_up_would_make_of_ours() -> None:
    given = env_example(DEPLOY / "env.example")
    assert given["DAGSTER_POSTGRES_URL"] == dagster_url(given["DATABASE_URL"])


def test_each_variable_is_a_setting() -> None:
    known = {f"AGENTWHERE_{name.upper()}" for name in Settings.model_fields}
    known |= {"DATABASE_URL", "DAGSTER_POSTGRES_URL", "POSTGRES_PASSWORD"}
    named = set(env_example(DEPLOY / "env.example")) - {"AGENTWHERE_CODE_SERVER_HOST"}
    values: Any = DOCUMENTS[Path("helm/dagster-values.yaml")][0]
    [location] = values["dagster-user-deployments"]["deployments"]
    named |= set(location["env"])
    api = DOCUMENTS[Path("helm/api.yaml")][0]["spec"]["template"]["spec"]
    named |= {one["name"] for container in api["containers"] for one in container["env"]}
    assert {name for name in named - known if not name.startswith("AGENTWHERE_SECRET_")} == set()


def test_the_charts_run_queue_keeps_the_rules_of_ours() -> None:
    values: Any = DOCUMENTS[Path("helm/dagster-values.yaml")][0]
    ours = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
    queue = values["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert queue["tagConcurrencyLimits"] == ours["concurrency"]["runs"]["tag_concurrency_limits"]
    assert queue["dequeueIntervalSeconds"] == ours["run_queue"]["dequeue_interval_seconds"]
    retries = values["dagsterDaemon"]["runRetries"]
    assert retries["maxRetries"] == ours["run_retries"]["max_retries"] == 0


def test_the_probes_of_the_api_ask_under_a_name_that_it_answers_to() -> None:
    [deployment, service, budget] = DOCUMENTS[Path("helm/api.yaml")]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    hosts = next(one["value"] for one in container["env"] if one["name"] == "AGENTWHERE_API_HOSTS")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["path"] == "/healthz"
        assert asked["httpHeaders"][0]["value"] in hosts.split(",")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels
    assert budget["spec"]["selector"]["matchLabels"] == labels
