"""How trades were spread over venues, day by day: pictures of where routing sent them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_flow.report import Plot
from agentwhere_store import routing_history as store
from agentwhere_store.routing_history import VenueDay

if TYPE_CHECKING:
    from sqlalchemy import Connection

WINDOW = timedelta(days=30)
NO_VENUE = "no venue"


def venue_share_plots(conn: Connection, now: datetime) -> list[Plot]:
    """Draw each venue's share of the decisions and of the notional of the last 30 days; nothing without decisions.

    Decisions that found no venue have a share of their own among decisions, and none of the notional.
    """
    days = store.venue_days(conn, now - WINDOW)
    sent = [item for item in days if item.venue is not None]
    pictures = (
        Plot("Venue share of decisions", "%", _shares(days, lambda item: item.decisions)),
        Plot("Venue share of notional", "%", _shares(sent, lambda item: item.notional_usd)),
    )
    return [picture for picture in pictures if picture.lines]


def _shares(
    days: Sequence[VenueDay], measure: Callable[[VenueDay], Decimal]
) -> dict[str, list[tuple[date, float]]]:
    """Return by venue its part of each day's sum, in percent; a day of which the sum is nothing is left out."""
    by_day: dict[date, dict[str, Decimal]] = defaultdict(dict)
    for item in days:
        by_day[item.day][_name(item)] = measure(item)
    names = sorted({_name(item) for item in days}, key=lambda name: (name == NO_VENUE, name))
    totals = {day: sum(parts.values()) for day, parts in sorted(by_day.items())}
    return {
        name: [
            (day, float(100 * by_day[day].get(name, Decimal(0)) / total))
            for day, total in totals.items()
            if total
        ]
        for name in names
        if any(totals.values())
    }


def _name(item: VenueDay) -> str:
    return NO_VENUE if item.venue is None else item.venue.value
