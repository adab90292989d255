"""What the router asks of a strategy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.routing import RouteLeg, VenueAvailability
from agentwhere_core.where.availability import check_availability
from agentwhere_core.where.scene import RouteRequest, Scene, Standing


class Options(NamedTuple):
    """What a strategy chooses from: the venues in their order, and what each answers to this trade."""

    scene: Scene
    request: RouteRequest
    standings: Mapping[Venue, Standing]

    def check(self, venue: Venue, *, in_part: bool = False) -> VenueAvailability:
        """Return whether the venue can take the trade (or its part of it) and at what cost."""
        standing = self.standings.get(venue)
        return check_availability(venue, self.scene, self.request, standing, in_part=in_part)

    def check_all(self) -> tuple[VenueAvailability, ...]:
        """Return every venue's answer, in order of priority."""
        return tuple(self.check(venue) for venue in self.scene.priority)


class Choice(NamedTuple):
    """Venues in the order in which they were looked at, and where the trade goes: nowhere if there is no leg."""

    checked: tuple[VenueAvailability, ...]
    legs: tuple[RouteLeg, ...] = ()


class Strategy(Protocol):
    """Chooses a venue; pure, and the same answer for the same input."""

    def choose(self, options: Options) -> Choice:
        """Return the choice; where two are equally good, the one that comes first in the order of priority."""
        ...
