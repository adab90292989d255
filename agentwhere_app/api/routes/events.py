"""The stream of changes that keeps open pages up to date."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from starlette.requests import Request

from agentwhere_app.api.changes import TooManyReadersError
from agentwhere_app.api.context import ApiDep
from agentwhere_app.api.problems import problem

router = APIRouter(tags=["changes"])


@router.get(
    "/api/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(request: Request, api: ApiDep) -> Response:
    """Stream server-sent events ``changed`` with the topics that changed: what changed must be asked for."""
    request.scope["is_stream"] = True
    try:
        stream = api.changes.subscribe()
    except TooManyReadersError:
        return problem(
            503, "this process serves as many streams as it can", headers={"Retry-After": "10"}
        )
    return StreamingResponse(
        stream,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
