"""The least of several, and of equals the first: what the strategies that compare have in common."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from agentwhere_core.domain.routing import ExpectedCost, RouteLeg, VenueAvailability
from agentwhere_core.where.strategies.protocol import Choice


def choose_least(
    checked: tuple[VenueAvailability, ...], measure: Callable[[ExpectedCost], Decimal]
) -> Choice:
    """Return the available venue whose cost measures least; none if none is available."""
    measured = [(measure(answer.cost), answer.venue) for answer in checked if answer.cost]
    if not measured:
        return Choice(checked)
    least, venue = measured[0]
    for value, other in measured[1:]:
        if value < least:
            least, venue = value, other
    return Choice(checked, (RouteLeg(venue),))
