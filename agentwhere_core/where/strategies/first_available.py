"""The first venue in the list that can take the trade; the rest is not looked at."""

from __future__ import annotations

from agentwhere_core.domain.routing import RouteLeg, VenueAvailability
from agentwhere_core.where.strategies.protocol import Choice, Options


class FirstAvailable:
    """Stop at the first venue that is available."""

    def choose(self, options: Options) -> Choice:
        """Return the first available venue, with all that were looked at up to it."""
        checked: list[VenueAvailability] = []
        for venue in options.scene.priority:
            answer = options.check(venue)
            checked.append(answer)
            if answer.is_available:
                return Choice(tuple(checked), (RouteLeg(venue),))
        return Choice(tuple(checked))
