"""Venues that do not answer in this tick: found out by the first accounts, and not asked again for all the others."""

from __future__ import annotations

from collections import Counter

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import (
    RateLimitedError,
    ServerFaultError,
    TimedOutError,
    UnreachableError,
)

# A fault can be about one account alone; twice it is about the venue.
_FAULTS_OF_A_VENUE = 2


class Outages:
    """Which venues are down, by what was met in one tick."""

    def __init__(self) -> None:
        self._faults: Counter[Venue] = Counter()
        self._reasons: dict[Venue, str] = {}
        self._spared: Counter[Venue] = Counter()

    def note(self, venue: Venue, error: Exception) -> None:
        """Take in what a question to a venue ended in."""
        if isinstance(error, ServerFaultError):
            self._faults[venue] += 1
            if self._faults[venue] < _FAULTS_OF_A_VENUE:
                return
        elif not isinstance(error, UnreachableError | TimedOutError | RateLimitedError):
            return
        self._reasons.setdefault(venue, str(error))

    def spares(self, venue: Venue) -> bool:
        """Tell whether a venue is down, and count that a question was spared it."""
        if venue not in self._reasons:
            return False
        self._spared[venue] += 1
        return True

    def problems(self) -> list[str]:
        """Return a sentence for each venue to which questions were spared."""
        return [
            f"{venue} does not answer: {count} more accounts wait for the next tick ({self._reasons[venue]})"
            for venue, count in self._spared.items()
        ]
