"""When an incident is told, told again, and told to be over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.alerts.notices import (
    Incident,
    Notice,
    NoticeKind,
    NoticeRules,
    NoticeState,
    QuietHours,
    Target,
    due_notice,
)
from agentwhere_core.domain.enums import Severity
from agentwhere_core.domain.ids import new_id

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 21, 0, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULES = NoticeRules(repeat_after=HOUR, quiet=QuietHours(time(22), time(7)))
TEAM, PAGER = Target("team"), Target("pager", Severity.CRITICAL)
WARNING = Incident(new_id(), Severity.WARNING, NOON)
CRITICAL = replace(WARNING, severity=Severity.CRITICAL)


def sent(kind: NoticeKind, at: datetime, severity: Severity = Severity.WARNING) -> Notice:
    return Notice(kind, 0, severity, NoticeState.SENT, at)


def test_an_incident_is_told_once_until_it_is_time_to_repeat_it() -> None:
    assert due_notice(WARNING, TEAM, [], RULES, NOON) == Notice(
        NoticeKind.OPENED, 0, Severity.WARNING
    )
    told = [sent(NoticeKind.OPENED, NOON)]
    assert due_notice(WARNING, TEAM, told, RULES, NOON + HOUR / 2) is None
    again = due_notice(WARNING, TEAM, told, RULES, NOON + HOUR)
    assert again == Notice(NoticeKind.REPEATED, 1, Severity.WARNING)


def test_what_becomes_worse_is_told_at_once() -> None:
    told = [sent(NoticeKind.OPENED, NOON)]
    worse = due_notice(CRITICAL, TEAM, told, RULES, NOON + timedelta(minutes=1))
    assert worse == Notice(NoticeKind.REPEATED, 1, Severity.CRITICAL)


def test_a_target_hears_only_what_is_severe_enough_for_it() -> None:
    assert due_notice(WARNING, PAGER, [], RULES, NOON) is None
    assert due_notice(CRITICAL, PAGER, [], RULES, NOON) is not None


def test_only_what_is_critical_is_told_in_quiet_hours_and_the_rest_waits() -> None:
    assert due_notice(WARNING, TEAM, [], RULES, MIDNIGHT) is None
    assert due_notice(CRITICAL, TEAM, [], RULES, MIDNIGHT) is not None
    assert due_notice(WARNING, TEAM, [], RULES, MIDNIGHT + 7 * HOUR) is not None


def test_what_began_and_ended_in_quiet_hours_is_never_told() -> None:
    over = replace(WARNING, opened_at=MIDNIGHT, closed_at=MIDNIGHT + HOUR)
    assert due_notice(over, TEAM, [], RULES, MIDNIGHT + 8 * HOUR) is None


def test_the_end_is_told_once_to_those_who_were_told_of_the_beginning() -> None:
    over = replace(WARNING, closed_at=NOON + HOUR / 2)
    told = [sent(NoticeKind.OPENED, NOON)]
    assert due_notice(over, TEAM, [], RULES, NOON + HOUR) is None
    recovery = due_notice(over, TEAM, told, RULES, NOON + HOUR)
    assert recovery == Notice(NoticeKind.RECOVERED, 0, Severity.WARNING)
    told.append(sent(NoticeKind.RECOVERED, NOON + HOUR))
    assert due_notice(over, TEAM, told, RULES, NOON + 2 * HOUR) is None


def test_what_may_have_arrived_is_followed_by_its_end() -> None:
    over = replace(WARNING, closed_at=NOON + HOUR)
    unclear = [Notice(NoticeKind.OPENED, 0, Severity.WARNING, NoticeState.SENDING, NOON)]
    due = due_notice(over, TEAM, unclear, RULES, NOON + HOUR)
    assert due is not None
    assert due.kind is NoticeKind.RECOVERED


def test_an_incident_that_somebody_took_on_is_not_repeated() -> None:
    taken = replace(WARNING, acknowledged_at=NOON + HOUR / 2)
    told = [sent(NoticeKind.OPENED, NOON)]
    assert due_notice(taken, TEAM, told, RULES, NOON + 3 * HOUR) is None


def test_without_repetition_an_incident_is_told_once_for_ever() -> None:
    once = NoticeRules(repeat_after=timedelta(0))
    told = [sent(NoticeKind.OPENED, NOON)]
    assert due_notice(WARNING, TEAM, told, once, NOON + 1000 * HOUR) is None


@given(minutes=st.lists(st.integers(1, 90), min_size=1, max_size=60), repeat=st.integers(1, 120))
def test_however_often_one_asks_an_incident_is_repeated_at_most_every_n_minutes(
    minutes: list[int], repeat: int
) -> None:
    rules = NoticeRules(repeat_after=timedelta(minutes=repeat))
    now, told = NOON, list[Notice]()
    for minute in minutes:
        now += timedelta(minutes=minute)
        if notice := due_notice(WARNING, TEAM, told, rules, now):
            told.append(replace(notice, state=NoticeState.SENT, told_at=now))
    times = [notice.told_at for notice in told if notice.told_at]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert all(pause >= rules.repeat_after for pause in pauses)
    assert len({(notice.kind, notice.number) for notice in told}) == len(told)


@given(hour=st.integers(0, 23), minute=st.integers(0, 59))
def test_quiet_hours_may_span_midnight(hour: int, minute: int) -> None:
    at = NOON.replace(hour=hour, minute=minute)
    assert QuietHours(time(22), time(7)).cover(at) == (hour >= 22 or hour < 7)
    assert QuietHours(time(7), time(22)).cover(at) == (7 <= hour < 22)
