"""The first venue in the list that can take the trade; the rest is not looked at."""

from __future__ import annotations

from collections.abc import Sequence

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.trade import VenueAvailability
from agentwhere_core.where.strategies.protocol import Check, Choice


class FirstAvailable:
    """Stop at the first venue that is available."""

    def choose(self, priority: Sequence[Venue], check: Check) -> Choice:
        """Return the first available venue, with all that were looked at up to it."""
        checked: list[VenueAvailability] = []
        for venue in priority:
            answer = check(venue)
            checked.append(answer)
            if answer.is_available:
                return Choice(tuple(checked), answer)
        return Choice(tuple(checked), None)
