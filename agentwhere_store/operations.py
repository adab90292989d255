"""What steps say of themselves: their runs and their errors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert

from agentwhere_core.domain.ids import new_id
from agentwhere_store.rows import json_safe
from agentwhere_store.tables.operations import errors, step_runs


def record_step(
    conn: Connection,
    *,
    step: str,
    run_id: str | None,
    started_at: datetime,
    finished_at: datetime,
    ok: bool,
    rows_in: int,
    rows_out: int,
    refusals: Mapping[str, int],
    details: Mapping[str, Any],
    error: str | None,
) -> None:
    """Keep one run of a step; ``ok`` is False when anything of it failed, and ``error`` says what."""
    conn.execute(
        insert(step_runs).values(
            id=new_id(),
            step=step,
            run_id=run_id,
            started_at=started_at,
            finished_at=finished_at,
            seconds=Decimal(str(round((finished_at - started_at).total_seconds(), 6))),
            ok=ok,
            rows_in=rows_in,
            rows_out=rows_out,
            refusals=json_safe(refusals),
            details=json_safe(details),
            error=error,
        )
    )


def record_error(
    conn: Connection,
    *,
    step: str,
    kind: str,
    message: str,
    at: datetime,
    context: Mapping[str, Any] | None = None,
) -> None:
    """Keep an error with its kind (the exception's name, or ``Problem`` for a partial failure)."""
    conn.execute(
        insert(errors).values(
            id=new_id(),
            step=step,
            kind=kind,
            message=message,
            context=json_safe(context or {}),
            at=at,
        )
    )
