"""Ask every venue something small, so that health knows who answers also while nothing is traded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import RemoteError
from agentwhere_flow.report import Tally, step
from agentwhere_store import health as store
from agentwhere_store import markets as market_store

if TYPE_CHECKING:
    from agentwhere_core.domain.market import Market
    from agentwhere_flow.system import System


def ensure_contact(system: System, now: datetime) -> None:
    """Ask the venues, unless this run has done so.

    The report and the checks of one health tick call this, so that they judge by the same answers in whatever order
    they run. A database that does not answer, or has no tables, is for the report to tell.
    """
    from sqlalchemy.exc import OperationalError

    try:
        with system.engine.begin() as conn:
            is_done = not store.is_set_up(conn) or store.has_asked_venues(conn, system.run_id)
    except OperationalError:
        return
    if not is_done:
        contact_venues(system, now)


@step(store.CONTACT_STEP)
def contact_venues(system: System, now: datetime) -> Tally:
    """Ask each venue for the price of one market, side by side; a venue without markets was never synced: not asked."""
    known: dict[Venue, Market] = {}
    with system.engine.begin() as conn:
        for market in market_store.markets(conn, venues=system.settings.venues):
            if market.is_active:
                known.setdefault(market.venue, market)
    tally = Tally(rows_in=len(known))
    with ThreadPoolExecutor(max_workers=max(1, len(known))) as pool:
        errors = dict(
            zip(known, pool.map(lambda item: _ask(system, item, now), known.values()), strict=True)
        )
    answered = [venue for venue, error in errors.items() if error is None]
    tally.problems = [error for error in errors.values() if error is not None]
    tally.rows_out = len(answered)
    tally.details["venues"] = [venue.value for venue in answered]
    return tally


def _ask(system: System, market: Market, now: datetime) -> str | None:
    try:
        system.venues[market.venue].quotes([market], now)
    except RemoteError as error:
        return str(error)
    return None
