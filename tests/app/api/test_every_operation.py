"""Every operation, asked with whatever its description allows and forbids: no 5xx, nothing undocumented, no open door.

Bounded, so that it costs seconds; ``EXAMPLES=100`` looks longer. Streams are left out: they do not end.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection

from agentwhere_core.domain.enums import Scope
from agentwhere_flow.system import System
from tests.app.api.served import PATIENCE_S, Served, serving
from tests.flow.world import rows

EXAMPLES = int(os.environ.get("EXAMPLES", "2"))
STREAMS = ["/api/events"]
WRITTEN = ("agents", "deployments", "policies", "venue_routing_config", "kill_switches")


@contextmanager
def asking(headers: dict[str, str]) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update(headers)
        yield session


class Questions:
    """What every operation's description allows, and what it forbids: drawn once, asked of every server."""

    def __init__(self) -> None:
        self._cases: list[Case] = []

    def of(self, api: Served) -> Sequence[Case]:
        """Return them; all servers describe the same operations."""
        if not self._cases:
            schema = schemathesis.openapi.from_url(f"{api.url}/openapi.json", timeout=PATIENCE_S)
            # Some rules cannot be said in a schema: a policy's rules make sense together, and one source must stay.
            schema.config.checks.positive_data_acceptance.expected_statuses.append("422")
            found = [found.ok() for found in schema.exclude(path=STREAMS).get_all_operations()]
            assert len(found) > 25
            for operation, mode in itertools.product(found, GenerationMode):
                self._cases += drawn(operation, mode)
        return self._cases


def drawn(operation: APIOperation, mode: GenerationMode) -> list[Case]:
    """Draw examples of one operation."""
    cases: list[Case] = []

    @settings(
        max_examples=EXAMPLES,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def draw(case: Case) -> None:
        cases.append(case)

    try:
        draw()
    except Unsatisfiable:
        # There is nothing that an operation without parameters could forbid.
        assert mode is GenerationMode.NEGATIVE
        assert not any(operation.iter_parameters()), operation.label
    return cases


@pytest.fixture(scope="module")
def questions() -> Questions:
    return Questions()


def ask_everything(
    api: Served, questions: Questions, headers: dict[str, str], *, without: Sequence[Any] = ()
) -> None:
    """Ask everything; check every answer."""
    with asking(headers) as session:
        for case in questions.of(api):
            case.call_and_validate(
                base_url=api.url,
                session=session,
                excluded_checks=list(without),
                timeout=PATIENCE_S,
            )


def stored(system: System) -> list[object]:
    return [rows(system, f"SELECT * FROM agentwhere.{table} ORDER BY 1") for table in WRITTEN]


@pytest.mark.timeout(3600)
def test_with_a_key_every_operation_does_what_it_says(traded: System, questions: Questions) -> None:
    with serving(traded, api_key_requests_per_minute=10**6) as api:
        key = api.key(*Scope)
        # Asks without the key too, from this machine, often enough to be told to wait.
        ask_everything(api, questions, {"Authorization": f"Bearer {key}"})


@pytest.mark.timeout(3600)
def test_without_a_key_every_operation_answers_and_none_writes(
    traded: System, questions: Questions
) -> None:
    with serving(traded) as api:
        api.key(*Scope)
        before = stored(traded)
        ask_everything(api, questions, {})
        assert stored(traded) == before


@pytest.mark.timeout(3600)
def test_on_a_fresh_machine_every_operation_does_what_it_says(
    empty: System, questions: Questions
) -> None:
    with serving(empty) as api:
        # No key exists yet, so that none is asked for, and to leave it out is no error.
        ask_everything(api, questions, {}, without=[ignored_auth, negative_data_rejection])
