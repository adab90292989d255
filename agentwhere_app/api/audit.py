"""The audit log: every write is on record before it is done, with what it came to afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request
from pydantic import BaseModel

from agentwhere_app.api.access import Caller
from agentwhere_app.api.context import api_of
from agentwhere_app.api.problems import status_of
from agentwhere_core.domain.errors import AgentWhereError
from agentwhere_flow.access import begin_write, end_write
from agentwhere_store.access import Write


@contextmanager
def audited(
    request: Request, caller: Caller, body: BaseModel | None = None, *, status: int = 200
) -> Iterator[None]:
    """Put what happens in the block on record.

    The record is committed first. One without a status tells that the process, or the database, died meanwhile.
    """
    system = api_of(request).system
    write = Write(
        key_id=caller.key_id,
        actor=caller.name,
        address=caller.address,
        method=request.method,
        path=request.url.path,
        body={} if body is None else body.model_dump(mode="json", by_alias=True),
    )
    write_id = begin_write(system, write, system.clock())
    try:
        yield
    except AgentWhereError as error:
        end_write(system, write_id, status_of(error))
        raise
    end_write(system, write_id, status)
