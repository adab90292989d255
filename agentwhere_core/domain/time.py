"""Time: UTC only, and passed in.

Decisions take ``now`` as an argument. A ``Clock`` is handed to the few places at the edge that must ask
for the time themselves, such as retry loops and deadlines of requests.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

_NAIVE = "needs a timezone-aware datetime; add tzinfo=UTC or convert with .astimezone(UTC)"

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def require_utc(value: datetime, what: str) -> datetime:
    """Return ``value`` converted to UTC.

    Raises
    ------
    ValueError
        If ``value`` is naive.
    """
    if value.tzinfo is None:
        raise ValueError(f"{what} {_NAIVE}")
    return value.astimezone(UTC)


def from_ms(milliseconds: int) -> datetime:
    """Return the UTC time that lies ``milliseconds`` after the Unix epoch."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def to_ms(value: datetime) -> int:
    """Return ``value`` as whole milliseconds since the Unix epoch."""
    return int(value.timestamp() * 1000)
