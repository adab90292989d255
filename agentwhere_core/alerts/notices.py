"""Which notices of an incident are due: its beginning, its repetition, its end.

One function looks at one incident and one target. Every notice has a name that no other notice has (incident, target,
kind and number), so that however many processes decide at once, they decide on the same notice.

* An incident is told once. While it is open it is told again at most every `NoticeRules.repeat_after`, and at once when
  it has become worse; one that somebody has taken on (acknowledged) is not told again.
* Its end is told to those who were told of its beginning, and to nobody else.
* In quiet hours only what is critical is told. The rest waits for their end, and is never told when it ended meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from uuid import UUID

from agentwhere_core.domain.enums import Severity

NEVER = timedelta(0)


class NoticeKind(StrEnum):
    """What a notice says of its incident."""

    OPENED = "OPENED"
    REPEATED = "REPEATED"
    RECOVERED = "RECOVERED"


class NoticeState(StrEnum):
    """How far a notice has come.

    SENDING is written before the target is called: a notice that is found in it may have arrived, and is sent again
    under the same id. WITHDRAWN was not worth sending any more; GIVEN_UP failed for too long.
    """

    PENDING = "PENDING"
    SENDING = "SENDING"
    SENT = "SENT"
    WITHDRAWN = "WITHDRAWN"
    GIVEN_UP = "GIVEN_UP"


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of the day, in UTC, in which only critical incidents are told; they may span midnight."""

    begin: time
    end: time

    def cover(self, moment: datetime) -> bool:
        """Return whether ``moment`` lies within the quiet hours."""
        at = moment.timetz().replace(tzinfo=None)
        if self.begin <= self.end:
            return self.begin <= at < self.end
        return at >= self.begin or at < self.end


@dataclass(frozen=True, slots=True)
class NoticeRules:
    """What is set for all targets.

    Parameters
    ----------
    repeat_after
        How long an incident stays unmentioned while it is open; zero means for ever.
    quiet
        Quiet hours, if there are any.
    """

    repeat_after: timedelta = timedelta(hours=1)
    quiet: QuietHours | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody to tell: a name (its address is a secret), and the least severity that matters there."""

    name: str
    at_least: Severity = Severity.WARNING

    def wants(self, severity: Severity) -> bool:
        """Return whether incidents of ``severity`` are told here."""
        return severity is Severity.CRITICAL or self.at_least is Severity.WARNING


@dataclass(frozen=True, slots=True)
class Incident:
    """What deciding needs to know of an alert."""

    id: UUID
    severity: Severity
    opened_at: datetime
    closed_at: datetime | None = None
    acknowledged_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """One message about one incident to one target.

    ``number`` counts the repetitions, and is zero otherwise. ``told_at`` is when it was sent, or last tried.
    """

    kind: NoticeKind
    number: int
    severity: Severity
    state: NoticeState = NoticeState.PENDING
    told_at: datetime | None = None

    @property
    def is_out(self) -> bool:
        """Whether it arrived, or may have."""
        return self.state in {NoticeState.SENT, NoticeState.SENDING}

    @property
    def is_waiting(self) -> bool:
        """Whether it is still to be sent."""
        return self.state is NoticeState.PENDING


def due_notice(
    incident: Incident,
    target: Target,
    earlier: Sequence[Notice],
    rules: NoticeRules,
    now: datetime,
) -> Notice | None:
    """Return the notice that must be added to ``earlier``, the incident's notices to this target, or None."""
    if _must_be_quiet(incident, rules, now) or any(notice.is_waiting for notice in earlier):
        return None
    told = [notice for notice in earlier if notice.is_out]
    if incident.closed_at is not None:
        has_ended = any(notice.kind is NoticeKind.RECOVERED for notice in earlier)
        return (
            Notice(NoticeKind.RECOVERED, 0, incident.severity) if told and not has_ended else None
        )
    if not target.wants(incident.severity):
        return None
    if not earlier:
        return Notice(NoticeKind.OPENED, 0, incident.severity)
    if not _deserves_repetition(incident, told, rules, now):
        return None
    number = 1 + max(notice.number for notice in earlier)
    return Notice(NoticeKind.REPEATED, number, incident.severity)


def is_worth_sending(incident: Incident, notice: Notice) -> bool:
    """Return whether a notice that waited still says something: not that a thing began which has ended since."""
    return incident.closed_at is None or notice.kind is NoticeKind.RECOVERED


def _must_be_quiet(incident: Incident, rules: NoticeRules, now: datetime) -> bool:
    is_quiet = rules.quiet is not None and rules.quiet.cover(now)
    return is_quiet and incident.severity is not Severity.CRITICAL


def _deserves_repetition(
    incident: Incident, told: Sequence[Notice], rules: NoticeRules, now: datetime
) -> bool:
    if incident.acknowledged_at is not None or not told:
        return False
    if incident.severity is Severity.CRITICAL and all(
        notice.severity is not Severity.CRITICAL for notice in told
    ):
        return True
    last = max(notice.told_at for notice in told if notice.told_at is not None)
    return rules.repeat_after > NEVER and now - last >= rules.repeat_after
