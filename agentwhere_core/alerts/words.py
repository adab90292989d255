"""What a notice says: one line that tells the essential, then what happened and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from agentwhere_core.alerts.notices import NoticeKind
from agentwhere_core.domain.enums import Severity


@dataclass(frozen=True, slots=True)
class Message:
    """Title, text and tone of a notice; ``tone`` is one of ``failure``, ``warning``, ``success`` and ``info``."""

    title: str
    body: str
    tone: str


def message_of(
    kind: NoticeKind,
    severity: Severity,
    *,
    title: str,
    detail: str,
    incident: str,
    notice_id: UUID,
    opened_at: datetime,
    closed_at: datetime | None,
) -> Message:
    """Return the words of a notice.

    Its id ends the text: a notice that had to be sent twice, because nobody knows whether it arrived, is recognised by
    it.
    """
    if kind is NoticeKind.RECOVERED:
        lasted = say_span((closed_at or opened_at) - opened_at)
        head, body, tone = "RECOVERED", f"It lasted {lasted}.", "success"
    else:
        again = ", still" if kind is NoticeKind.REPEATED else ""
        head, body = f"{severity.value}{again}", detail
        tone = "failure" if severity is Severity.CRITICAL else "warning"
    since = f"Since {opened_at:%Y-%m-%d %H:%M:%S} UTC"
    footer = f"{since}. Incident {incident}. Notice {notice_id}."
    return Message(f"[{head}] {title}", f"{body}\n\n{footer}", tone)


def say_span(span: timedelta) -> str:
    """Say a length of time in its natural unit."""
    seconds = span.total_seconds()
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
