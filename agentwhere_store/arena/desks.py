"""Models of the arena trade as agents; whoever counts or ranks creators' agents leaves them out by this."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, exists

from agentwhere_store.tables.arena import models


def in_arena(agent_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return whether an agent is a model of the arena."""
    return exists().where(models.c.agent_id == agent_id)
