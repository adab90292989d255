"""Models: who trades in the arena, how often, and what they have spent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select, true, update

from agentwhere_core.arena.values import ModelStatus, TraderModel
from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_store.rows import insert_ignoring_known
from agentwhere_store.tables.arena import invocations, models
from agentwhere_store.tables.ideas import agents


@dataclass(frozen=True, slots=True)
class Record:
    """What a model's invocations say of it: their number, the first and last, and money spent."""

    invocations: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    cost_usd: Decimal = Decimal(0)
    cost_today_usd: Decimal = Decimal(0)
    unpriced: int = 0

    def minutes_since_start(self, now: datetime) -> int:
        """Return whole minutes since the first invocation; 0 before it."""
        return 0 if self.first_at is None else int((now - self.first_at).total_seconds() // 60)


def add_model(conn: Connection, model: TraderModel, now: datetime) -> None:
    """Write a model.

    Raises
    ------
    ConfigurationError
        If another model has this name.
    """
    values = {
        "id": model.id,
        "name": model.name,
        "openrouter_model": model.openrouter_model,
        "agent_id": model.agent_id,
        "deployment_id": model.deployment_id,
        "markets": list(model.markets),
        "leverage": {token: str(value) for token, value in model.leverage.items()},
        "interval_s": model.interval_s,
        "budget_usd_per_day": model.budget_usd_per_day,
        "status": model.status.value,
        "due_at": model.due_at,
        "created_at": now,
        "updated_at": now,
    }
    if not insert_ignoring_known(conn, models, [values], known_by=("name",)):
        raise ConfigurationError(
            f"there is a model called {model.name!r} already: choose another name"
        )


def all_models(conn: Connection) -> list[TraderModel]:
    """Return all models, by name."""
    return _models(conn, true())


def find_model(conn: Connection, name: str) -> TraderModel | None:
    """Return the model called ``name``, or None."""
    return next(iter(_models(conn, models.c.name == name)), None)


def due_models(conn: Connection, now: datetime) -> list[TraderModel]:
    """Return active models whose time has come, by name."""
    return _models(conn, and_(models.c.status == ModelStatus.ACTIVE.value, models.c.due_at <= now))


def set_status(conn: Connection, model_id: UUID, status: ModelStatus, now: datetime) -> None:
    """Activate or pause a model."""
    conn.execute(
        update(models).where(models.c.id == model_id).values(status=status.value, updated_at=now)
    )


def set_interval(conn: Connection, model_id: UUID, interval_s: int, now: datetime) -> None:
    """Change how often a model is invoked, from now on."""
    conn.execute(
        update(models)
        .where(models.c.id == model_id)
        .values(interval_s=interval_s, due_at=now, updated_at=now)
    )


def claim_turn(conn: Connection, model: TraderModel, now: datetime) -> bool:
    """Take a model's present turn, so that nobody else does; return whether it was still to be had."""
    taken = conn.execute(
        update(models)
        .where(models.c.id == model.id, models.c.due_at == model.due_at)
        .values(due_at=model.next_due(now), updated_at=now)
    ).rowcount
    return taken == 1


def skip_turn(conn: Connection, model: TraderModel, now: datetime) -> bool:
    """Leave a model's present turn out, and count that; return whether it was still to be had."""
    taken = conn.execute(
        update(models)
        .where(models.c.id == model.id, models.c.due_at == model.due_at)
        .values(due_at=model.next_due(now), skipped=models.c.skipped + 1, updated_at=now)
    ).rowcount
    return taken == 1


def records(conn: Connection, now: datetime) -> dict[UUID, Record]:
    """Return, by model, what its invocations say of it."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    cost = invocations.c.cost_usd
    rows = conn.execute(
        select(
            invocations.c.model_id,
            func.max(invocations.c.number),
            func.min(invocations.c.created_at),
            func.max(invocations.c.created_at),
            func.coalesce(func.sum(cost), 0),
            func.coalesce(func.sum(cost).filter(invocations.c.created_at >= midnight), 0),
            func.count().filter(cost.is_(None), invocations.c.prompt_tokens > 0),
        ).group_by(invocations.c.model_id)
    )
    return {row[0]: Record(*row[1:]) for row in rows}


def agent_ids(conn: Connection) -> frozenset[UUID]:
    """Return the agents through which models trade."""
    return frozenset(conn.execute(select(models.c.agent_id)).scalars())


def _models(conn: Connection, condition: ColumnElement[bool]) -> list[TraderModel]:
    rows = conn.execute(
        select(models, agents.c.venue)
        .join(agents, agents.c.id == models.c.agent_id)
        .where(condition)
        .order_by(models.c.name)
    )
    return [_model(row) for row in rows]


def _model(row: Row[Any]) -> TraderModel:
    return TraderModel(
        id=row.id,
        name=row.name,
        openrouter_model=row.openrouter_model,
        agent_id=row.agent_id,
        deployment_id=row.deployment_id,
        venue=Venue(row.venue),
        markets=tuple(row.markets),
        leverage={token: Decimal(value) for token, value in row.leverage.items()},
        interval_s=row.interval_s,
        budget_usd_per_day=row.budget_usd_per_day,
        status=ModelStatus(row.status),
        due_at=row.due_at,
        created_at=row.created_at,
        skipped=row.skipped,
    )
