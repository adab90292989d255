"""The life of a deployment: whether it may open anything."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, update

from agentwhere_core.domain.enums import DeploymentStatus
from agentwhere_store.tables.trading import deployments


def set_status(
    conn: Connection, deployment_id: UUID, status: DeploymentStatus, now: datetime
) -> None:
    """Let a deployment open positions, or not; what is open stays looked after either way."""
    conn.execute(
        update(deployments)
        .where(deployments.c.id == deployment_id, deployments.c.status != status.value)
        .values(status=status.value, updated_at=now)
    )
