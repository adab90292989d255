"""One alert per incident, from however many processes it is reported."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agentwhere_core.domain.enums import Severity
from agentwhere_flow.alerts import close_alert, open_alerts, raise_alert
from agentwhere_flow.settings import Settings
from agentwhere_flow.system import System

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def system(database_url: str, tmp_path: Path) -> Iterator[System]:
    system = System(Settings(DATABASE_URL=database_url, home=tmp_path))
    yield system
    system.close()


def report(system: System, now: datetime, incident: str, detail: str = "look at it") -> None:
    raise_alert(system, now, incident, Severity.WARNING, f"{incident} failed", detail)


def test_an_incident_that_is_seen_again_opens_no_second_alert(system: System) -> None:
    report(system, NOW, "check:a", "first")
    report(system, LATER, "check:a", "second")
    (alert,) = open_alerts(system)
    assert (alert.opened_at, alert.last_seen, alert.times_seen) == (NOW, LATER, 2)
    assert alert.detail == "second"


def test_many_reporters_at_once_open_one_alert(system: System) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: report(system, NOW, "check:a"), range(40)))
    (alert,) = open_alerts(system)
    assert alert.times_seen == 40


def test_a_recovered_incident_can_come_back_as_a_new_alert(system: System) -> None:
    report(system, NOW, "check:a")
    assert close_alert(system, LATER, "check:a")
    assert not close_alert(system, LATER, "check:a")
    assert open_alerts(system) == []
    report(system, LATER, "check:a")
    (alert,) = open_alerts(system)
    assert (alert.opened_at, alert.times_seen) == (LATER, 1)


def test_the_worst_alert_comes_first(system: System) -> None:
    report(system, NOW, "check:a")
    raise_alert(system, LATER, "run:orders", Severity.CRITICAL, "orders failed", "look")
    assert [alert.incident for alert in open_alerts(system)] == ["run:orders", "check:a"]
