"""What the accounts of the arena were worth, after each invocation and at regular marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from agentwhere_core.domain.ids import new_id
from agentwhere_store.rows import insert_ignoring_known
from agentwhere_store.tables.arena import models, portfolio_size
from agentwhere_store.tables.trading import deployments, fills, venue_accounts

_ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Size:
    """One account's worth at one moment, in USD."""

    model_id: UUID
    total_value: Decimal
    available_cash: Decimal
    open_positions: int
    invocation_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """A point of the performance chart."""

    at: datetime
    total_value: Decimal
    model_name: str


@dataclass(frozen=True, slots=True)
class Trading:
    """What a model's fills add up to, in USD."""

    fills: int
    volume_usd: Decimal
    fees_usd: Decimal


def save_sizes(conn: Connection, sizes: Sequence[Size], at: datetime) -> int:
    """Write sizes; one per model and moment, and one per invocation. Return how many were new."""
    return insert_ignoring_known(
        conn,
        portfolio_size,
        [
            {
                "id": new_id(),
                "model_id": size.model_id,
                "invocation_id": size.invocation_id,
                "total_value": size.total_value,
                "available_cash": size.available_cash,
                "open_positions": size.open_positions,
                "created_at": at,
            }
            for size in sizes
        ],
    )


def points(
    conn: Connection,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    every: timedelta = timedelta(0),
) -> list[Point]:
    """Return all models' sizes, by time and name; with ``every``, the last of each model in each such stretch."""
    query = select(portfolio_size.c.created_at, portfolio_size.c.total_value, models.c.name).join(
        models, models.c.id == portfolio_size.c.model_id
    )
    if since is not None:
        query = query.where(portfolio_size.c.created_at >= since)
    if until is not None:
        query = query.where(portfolio_size.c.created_at <= until)
    if every > timedelta(0):
        stretch = func.date_bin(every, portfolio_size.c.created_at, _ORIGIN)
        query = query.ext(distinct_on(models.c.name, stretch)).order_by(
            models.c.name, stretch, portfolio_size.c.created_at.desc()
        )
    found = [Point(*row) for row in conn.execute(query)]
    return sorted(found, key=lambda point: (point.at, point.model_name))


def first_at(conn: Connection) -> datetime | None:
    """Return when the first account was sized."""
    first: datetime | None = conn.execute(
        select(func.min(portfolio_size.c.created_at))
    ).scalar_one()
    return first


def last_sized(conn: Connection) -> dict[UUID, datetime]:
    """Return, by model, when its account was last looked at."""
    rows = conn.execute(
        select(portfolio_size.c.model_id, func.max(portfolio_size.c.created_at)).group_by(
            portfolio_size.c.model_id
        )
    )
    return dict(rows.all())


def trading(conn: Connection) -> dict[UUID, Trading]:
    """Return, by model, what its fills add up to."""
    rows = conn.execute(
        select(
            models.c.id,
            func.count(),
            func.sum(fills.c.size * fills.c.price),
            func.sum(fills.c.fee_usd),
        )
        .join(deployments, deployments.c.id == models.c.deployment_id)
        .join(venue_accounts, venue_accounts.c.deployment_id == deployments.c.id)
        .join(fills, fills.c.account_id == venue_accounts.c.id)
        .group_by(models.c.id)
    )
    return {row[0]: Trading(*row[1:]) for row in rows}


def latest(conn: Connection) -> dict[UUID, Decimal]:
    """Return, by model, what its account was last worth."""
    rows = conn.execute(
        select(portfolio_size.c.model_id, portfolio_size.c.total_value)
        .ext(distinct_on(portfolio_size.c.model_id))
        .order_by(portfolio_size.c.model_id, portfolio_size.c.created_at.desc())
    )
    return dict(rows.all())
