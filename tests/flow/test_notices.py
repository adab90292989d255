"""Notices reach their targets: once, whatever happens in between, and visibly late where they must."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentwhere_core.domain.enums import HealthStatus, Severity
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_flow.alerts import acknowledge_alert, close_alert, raise_alert
from agentwhere_flow.heartbeat import beat
from agentwhere_flow.notices import (
    deliver_notices,
    is_anything_due,
    recent_notices,
    try_targets,
)
from agentwhere_flow.report import Tally, step
from agentwhere_flow.settings import Settings
from agentwhere_flow.system import System
from agentwhere_flow.watch import watch_daemon
from agentwhere_store import operations
from tests.flow.receiver import Receiver, receiving

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@pytest.fixture
def system(database_url: str, tmp_path: Path, receiver: Receiver) -> Iterator[System]:
    """A system whose alerts go to the receiver."""
    system = open_system(database_url, tmp_path, receiver)
    yield system
    system.close()


def open_system(url: str, home: Path, receiver: Receiver, **settings: Any) -> System:
    given: dict[str, Any] = {"alert_targets": "ops", "heartbeat_url": receiver.url, **settings}
    system = System(Settings(DATABASE_URL=url, home=home, **given))
    system.secrets.put("alert-ops", receiver.address)
    return system


def fail(system: System, now: datetime = NOW, severity: Severity = Severity.WARNING) -> None:
    raise_alert(system, now, "check:a", severity, "a is unwell", "give it tea")


def test_an_incident_is_told_once_and_its_end_once(system: System, receiver: Receiver) -> None:
    fail(system)
    for minute in range(3):
        deliver_notices(system, NOW + minute * MINUTE)
    close_alert(system, NOW + 5 * MINUTE, "check:a")
    for minute in range(5, 8):
        deliver_notices(system, NOW + minute * MINUTE)
    assert receiver.titles == ["[WARNING] a is unwell", "[RECOVERED] a is unwell"]
    first, last = receiver.messages
    assert first["message"].startswith("give it tea")
    assert "It lasted 5 min." in last["message"]
    assert (first["type"], last["type"]) == ("warning", "success")


def test_an_open_incident_is_told_again_until_somebody_takes_it_on(
    system: System, receiver: Receiver
) -> None:
    fail(system)
    deliver_notices(system, NOW)
    deliver_notices(system, NOW + 61 * MINUTE)
    assert receiver.titles == ["[WARNING] a is unwell", "[WARNING, still] a is unwell"]
    acknowledge_alert(system, NOW + 62 * MINUTE, "check:a", "ada")
    deliver_notices(system, NOW + 180 * MINUTE)
    assert len(receiver.messages) == 2


def test_many_senders_at_once_tell_it_once(
    database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    systems = [open_system(database_url, tmp_path, receiver) for _ in range(4)]
    fail(systems[0])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda system: deliver_notices(system, NOW), systems))
    for system in systems:
        system.close()
    assert receiver.titles == ["[WARNING] a is unwell"]


def test_a_delivery_that_fails_is_visible_and_tried_again_with_growing_pauses(
    system: System, receiver: Receiver
) -> None:
    fail(system)
    receiver.is_broken = True
    report = deliver_notices(system, NOW)
    assert "ops was not told of check:a" in report.problems[0]
    assert "503" in report.problems[0] or "unavailable" in report.problems[0].lower()
    assert not is_anything_due(system, NOW + timedelta(seconds=20))
    assert deliver_notices(system, NOW + timedelta(seconds=40)).problems
    (notice,) = recent_notices(system, 10)
    assert (notice["state"], notice["attempts"]) == ("PENDING", 2)
    assert not is_anything_due(system, NOW + timedelta(seconds=80))
    receiver.is_broken = False
    deliver_notices(system, NOW + 3 * MINUTE)
    assert receiver.titles == ["[WARNING] a is unwell"]
    (notice,) = recent_notices(system, 10)
    assert (notice["state"], notice["attempts"], notice["error"]) == ("SENT", 3, None)


def test_what_ended_before_it_could_be_told_is_not_told(system: System, receiver: Receiver) -> None:
    fail(system)
    receiver.is_broken = True
    deliver_notices(system, NOW)
    close_alert(system, NOW + MINUTE, "check:a")
    receiver.is_broken = False
    for minute in (2, 3):
        deliver_notices(system, NOW + minute * MINUTE)
    assert receiver.messages == []
    (notice,) = recent_notices(system, 10)
    assert notice["state"] == "WITHDRAWN"


DELIVER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from agentwhere_flow.notices import deliver_notices
from agentwhere_flow.settings import Settings
from agentwhere_flow.system import System

system = System(Settings(home=Path(sys.argv[1]), alert_targets="ops"))
sys.stdin.read()
deliver_notices(system, datetime(2026, 11, 20, 12, tzinfo=UTC))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_sender_that_is_killed_loses_no_notice_and_a_second_copy_has_the_same_id(
    system: System, receiver: Receiver, database_url: str, moment: str
) -> None:
    fail(system)
    sender = subprocess.Popen(
        [sys.executable, "-c", DELIVER, str(system.settings.home)],
        env=os.environ | {"DATABASE_URL": database_url},
        stdin=subprocess.PIPE,
    )
    copies = {"before": 1, "after": 2}[moment]
    setattr(receiver, moment, lambda: _kill_once(sender, receiver, moment))
    sender.communicate()
    assert sender.returncode == -signal.SIGKILL
    deliver_notices(system, NOW + MINUTE)
    deliver_notices(system, NOW + 2 * MINUTE)
    assert len(receiver.messages) == copies
    assert len({message["message"] for message in receiver.messages}) == 1


def _kill_once(sender: subprocess.Popen[bytes], receiver: Receiver, moment: str) -> None:
    setattr(receiver, moment, lambda: None)
    sender.kill()
    sender.wait()
    if moment == "before":
        receiver.is_broken = True
        receiver.after = lambda: setattr(receiver, "is_broken", False)


def test_each_target_hears_what_is_severe_enough_for_it(
    database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    with receiving() as pager:
        system = open_system(database_url, tmp_path, receiver, alert_targets="ops, pager:critical")
        system.secrets.put("alert-pager", pager.address)
        fail(system)
        deliver_notices(system, NOW)
        assert (len(receiver.messages), len(pager.messages)) == (1, 0)
        fail(system, NOW + MINUTE, Severity.CRITICAL)
        deliver_notices(system, NOW + MINUTE)
        assert pager.titles == ["[CRITICAL] a is unwell"]
        assert receiver.titles[1:] == ["[CRITICAL, still] a is unwell"]
        system.close()


def test_a_target_that_is_down_keeps_no_other_waiting(
    database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    system = open_system(database_url, tmp_path, receiver, alert_targets="gone,ops")
    system.secrets.put("alert-gone", "json://127.0.0.1:9/nobody")
    fail(system)
    report = deliver_notices(system, NOW)
    assert receiver.titles == ["[WARNING] a is unwell"]
    assert len(report.problems) == 1
    system.close()


def test_a_target_without_an_address_says_how_to_give_it_one(
    database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    system = open_system(database_url, tmp_path, receiver, alert_targets="nobody")
    results = try_targets(system, NOW)
    assert "agentwhere secrets put alert-nobody" in (results["nobody"] or "")
    with pytest.raises(ConfigurationError, match="no alert target is called 'ops'"):
        try_targets(system, NOW, "ops")
    system.close()


def test_a_test_message_reaches_the_target_and_says_that_nothing_is_wrong(
    system: System, receiver: Receiver
) -> None:
    assert try_targets(system, NOW) == {"ops": None}
    assert "Nothing is wrong" in receiver.messages[0]["message"]


def test_a_wrong_address_is_refused_without_being_repeated(system: System) -> None:
    system.secrets.put("alert-ops", "nonsense-with-a-token")
    error = try_targets(system, NOW)["ops"] or ""
    assert "no apprise URL" in error
    assert "token" not in error


def test_targets_and_quiet_hours_that_are_misspelt_are_refused() -> None:
    with pytest.raises(ValueError, match="is no alert target"):
        Settings(alert_targets="ops:urgent")
    with pytest.raises(ValueError, match="no quiet hours"):
        Settings(alert_quiet_hours="late")


@step("positions")
def tick(system: System, now: datetime) -> Tally:
    return Tally()


def test_a_daemon_that_falls_silent_is_told_by_whoever_still_runs_and_its_return_too(
    system: System, receiver: Receiver
) -> None:
    assert not watch_daemon(system, NOW), "a new system is not silent"
    tick(system, NOW)
    assert not watch_daemon(system, NOW + 14 * MINUTE)
    for minute in (16, 17, 18):
        assert watch_daemon(system, NOW + minute * MINUTE)
    assert receiver.titles == ["[CRITICAL] the daemon is silent"]
    tick(system, NOW + 20 * MINUTE)
    assert not watch_daemon(system, NOW + 21 * MINUTE)
    assert receiver.titles[1:] == ["[RECOVERED] the daemon is silent"]


def judge(system: System, now: datetime, status: HealthStatus) -> None:
    with system.engine.begin() as conn:
        operations.save_health_report(conn, status=status, report={}, at=now)


def test_the_heartbeat_is_heard_while_all_is_well_and_only_then(
    system: System, receiver: Receiver
) -> None:
    assert beat(system, NOW) == "health was never judged"
    judge(system, NOW, HealthStatus.DEGRADED)
    assert beat(system, NOW + MINUTE) is None
    assert receiver.calls == ["/beat"]
    assert "newest health report" in (beat(system, NOW + 60 * MINUTE) or "")
    judge(system, NOW + 61 * MINUTE, HealthStatus.CRITICAL)
    assert beat(system, NOW + 62 * MINUTE) == "health is critical"
    assert receiver.calls == ["/beat"]


def test_a_heartbeat_that_nobody_takes_is_said(system: System, receiver: Receiver) -> None:
    judge(system, NOW, HealthStatus.HEALTHY)
    receiver.is_broken = True
    assert beat(system, NOW) == "the heartbeat's address answered 503"
