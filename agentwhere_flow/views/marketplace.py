"""The marketplace: agents with their figures and daily equity, sorted and paged; and the sources that they follow."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from uuid import UUID

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import ConfigurationError, NoSuchThingError
from agentwhere_core.performance.equity import Book, daily_equity
from agentwhere_store import agents as agent_store
from agentwhere_store import marketplace as store
from agentwhere_store import pages, performance
from agentwhere_store.marketplace import SORTABLE, WINDOWS, Place, Wanted

if TYPE_CHECKING:
    from agentwhere_flow.system import System

SPARK_DAYS = 30
"""Days of equity that the list shows of each agent."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some items, and where to go on; ``next`` is None at the end."""

    items: list[dict[str, Any]]
    next: str | None


def list_agents(system: System, now: datetime, wanted: Wanted, cursor: str | None) -> Page:
    """Return agents with their figures and their equity of the last weeks.

    Raises
    ------
    ConfigurationError
        If ``cursor`` is not one of this order.
    """
    place = None if cursor is None else _read(cursor, wanted)
    with system.engine.connect() as conn:
        # One more tells whether there is a next page.
        rows = store.list_agents(conn, replace(wanted, after=place, limit=wanted.limit + 1))
        shown = rows[: wanted.limit]
        books = performance.agent_books(conn, [row["id"] for row in shown], now)
    items = [
        _agent(row) | {"sparkline": _index(_series(books.get(row["id"]), row, now))[-SPARK_DAYS:]}
        for row in shown
    ]
    is_more = len(rows) > wanted.limit
    return Page(items, _cursor(shown[-1], wanted) if is_more else None)


def read_agent(system: System, now: datetime, agent_id: UUID) -> dict[str, Any]:
    """Return one agent with its figures, what it follows, and its equity of each day.

    Raises
    ------
    NoSuchThingError
        If there is none of this id.
    """
    with system.engine.connect() as conn:
        row = store.find_agent(conn, agent_id)
        if row is None:
            raise NoSuchThingError(f"there is no agent {agent_id}: see GET /api/agents")
        sources = agent_store.followed_sources(conn, agent_id)
        books = performance.agent_books(conn, [agent_id], now)
    series = _series(books.get(agent_id), row, now)
    return _agent(row) | {
        "x_accounts": list(sources.x_handles),
        "feeds": list(sources.feed_urls),
        "equity": [
            {
                "day": day.day.isoformat(),
                "equity_usd": day.equity_usd,
                "pnl_usd": day.pnl_usd,
                "index": index,
            }
            for day, index in zip(series, _index(series), strict=True)
        ],
    }


def list_sources(system: System) -> list[dict[str, Any]]:
    """Return the track record of each source, the heaviest first."""
    with system.engine.connect() as conn:
        return pages.source_rows(conn)


def _agent(row: dict[str, Any]) -> dict[str, Any]:
    told = {
        name: row[name]
        for name in (
            *("id", "name", "creator_wallet", "venue", "status", "leverage", "stop_loss_pct"),
            *("take_profit_pct", "trailing_activation_pct", "trailing_distance_pct"),
            *("max_holding_h", "created_at", "active_deployments", "arena"),
        )
    }
    told["figures"] = {
        window: {
            **{name: _float(row[f"{name}_{window}"]) for name in performance.FIGURES},
            "days": row[f"days_{window}"] or 0,
        }
        for window in WINDOWS
    }
    for name in ("closed_positions", "net_pnl_usd", "equity_usd", "computed_at"):
        told[name] = row[name]
    return told


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _series(books: Book | None, row: dict[str, Any], now: datetime) -> tuple[Any, ...]:
    if books is None:
        return ()
    return daily_equity([books], now.date(), Venue(row["venue"])).days


def _index(days: Iterable[Any]) -> list[float]:
    """Return what one dollar became, day by day: deposits and withdrawals are no performance."""
    value, found = 1.0, []
    for day in days:
        value *= 1 + day.daily_return
        found.append(round(value, 6))
    return found


def _cursor(row: dict[str, Any], wanted: Wanted) -> str:
    value = row[wanted.sort]
    said = [
        wanted.sort,
        wanted.is_descending,
        None if value is None else str(value),
        str(row["id"]),
    ]
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


def _read(cursor: str, wanted: Wanted) -> Place:
    try:
        said = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        sort, is_descending, value, agent_id = said
        place = Place(None if value is None else Decimal(value), UUID(agent_id))
    except (ValueError, TypeError, AttributeError, binascii.Error, InvalidOperation):
        raise ConfigurationError("the cursor is none of ours: begin without one") from None
    is_number = place.value is None or place.value.is_finite()
    if (
        sort not in SORTABLE
        or (sort, is_descending) != (wanted.sort, wanted.is_descending)
        or not is_number
    ):
        raise ConfigurationError("the cursor belongs to another order: begin without one")
    return place
