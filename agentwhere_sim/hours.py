"""When markets of the old world trade: weekly hours in the exchange's own time zone.

Ordinary weeks only; public holidays are not simulated. Hours in the style of Ostium's published schedules: foreign
exchange and metals Sunday 17:00/18:00 to Friday 17:00 New York with a daily pause for metals and futures, stocks during
the regular New York session, indices by their home market.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from agentwhere_sim.database import Database

NEW_YORK = "America/New_York"


@dataclass(frozen=True, slots=True)
class Session:
    """One open stretch of a week: from ``opens`` on ``weekday`` (Monday = 0) for ``length``."""

    weekday: int
    opens: time
    length: timedelta


@dataclass(frozen=True, slots=True)
class Schedule:
    """A market's week."""

    zone: str
    sessions: tuple[Session, ...]

    def is_open(self, now: datetime) -> bool:
        """Tell whether the market trades at an instant."""
        return not self.sessions or any(start <= now < end for start, end in self._around(now))

    def seconds_to_toggle(self, now: datetime) -> int:
        """Tell the seconds until the market next opens or closes; 0 for a market that never closes."""
        if not self.sessions:
            return 0
        edges = [edge for session in self._around(now) for edge in session if edge > now]
        return int((min(edges) - now).total_seconds())

    def _around(self, now: datetime) -> list[tuple[datetime, datetime]]:
        local = now.astimezone(ZoneInfo(self.zone))
        monday = local.date() - timedelta(days=local.weekday())
        stretches = []
        for week in (-7, 0, 7):
            for session in self.sessions:
                day = monday + timedelta(days=week + session.weekday)
                start = datetime.combine(day, session.opens, ZoneInfo(self.zone))
                stretches.append((start, start + session.length))
        return stretches


@cache
def schedule(name: str) -> Schedule:
    """Give the schedule of an ``hours`` name of ``ostium.csv``. Raises ``KeyError`` if unknown."""
    return _SCHEDULES[name]


def _weekdays(opens: str, closes: str) -> tuple[Session, ...]:
    start, end = time.fromisoformat(opens), time.fromisoformat(closes)
    length = timedelta(hours=end.hour - start.hour, minutes=end.minute - start.minute)
    return tuple(Session(day, start, length) for day in range(5))


_SUNDAY = 6
_NIGHTS = (_SUNDAY, 0, 1, 2, 3)
_SCHEDULES = {
    "always": Schedule("UTC", ()),
    "forex": Schedule(NEW_YORK, (Session(_SUNDAY, time(17), timedelta(days=5)),)),
    "metal": Schedule(
        NEW_YORK, tuple(Session(day, time(18), timedelta(hours=23)) for day in _NIGHTS)
    ),
    "futures": Schedule(
        NEW_YORK, tuple(Session(day, time(18), timedelta(hours=23)) for day in _NIGHTS)
    ),
    "us_index": Schedule(
        NEW_YORK, tuple(Session(day, time(18), timedelta(hours=23)) for day in _NIGHTS)
    ),
    "us_stock": Schedule(NEW_YORK, _weekdays("09:30", "16:00")),
    "tokyo": Schedule("Asia/Tokyo", _weekdays("09:00", "15:30")),
    "london": Schedule("Europe/London", _weekdays("08:00", "16:30")),
    "frankfurt": Schedule("Europe/Berlin", _weekdays("08:00", "22:00")),
    "hongkong": Schedule("Asia/Hong_Kong", _weekdays("09:30", "16:00")),
}


class MarketHours:
    """Decide whether a market trades: by its schedule, or as a test or demonstration wishes.

    A simulated world starts with every market open around the clock, so that what it shows does not depend on the day
    of the week; ``/control/hours`` turns real hours on, or opens and closes single markets.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    @property
    def are_real(self) -> bool:
        """Whether schedules apply."""
        return self._db.get("market_hours") == "real"

    def set_mode(self, mode: str) -> None:
        """Choose ``real`` or ``open`` hours. Raises ``ValueError`` on another word."""
        if mode not in ("real", "open"):
            raise ValueError(f"market hours are 'real' or 'open', not {mode!r}")
        self._db.put("market_hours", mode)

    def override(self, symbol: str, state: str | None) -> None:
        """Hold a canonical symbol ``open`` or ``closed``; ``None`` returns it to its mode."""
        if state not in ("open", "closed", None):
            raise ValueError(f"a market is 'open' or 'closed' or null, not {state!r}")
        self._db.put(f"market_hours:{symbol}", state)

    def held(self, symbol: str) -> str | None:
        """Tell how a canonical symbol is held, or None where its mode decides."""
        return self._db.get(f"market_hours:{symbol}")

    def is_open(self, symbol: str, week: Schedule, now: datetime) -> bool:
        """Tell whether a market trades at an instant."""
        held = self.held(symbol)
        if held is not None:
            return held == "open"
        return not self.are_real or week.is_open(now)
