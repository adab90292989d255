"""What the router asks of a strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.trade import VenueAvailability

Check = Callable[[Venue], VenueAvailability]


@dataclass(frozen=True, slots=True)
class Choice:
    """Venues in the order in which they were looked at, and the one that was chosen, if any."""

    checked: tuple[VenueAvailability, ...]
    chosen: VenueAvailability | None


class Strategy(Protocol):
    """Chooses a venue; pure, and the same answer for the same input."""

    def choose(self, priority: Sequence[Venue], check: Check) -> Choice:
        """Return the choice among ``priority``, first choice first.

        ``check`` says whether a venue can take the trade and at what cost; a strategy calls it at most once per venue,
        and only for those that it must know.
        """
        ...
