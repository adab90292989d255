"""The process itself: does it live, and what has it counted."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from agentwhere_app.api.access import Reader
from agentwhere_app.api.context import ApiDep
from agentwhere_app.api.metrics import CONTENT_TYPE
from agentwhere_flow.views.gauges import gauges

router = APIRouter(tags=["process"])


class Alive(BaseModel):
    """Answer of a process that lives."""

    status: str = "ok"


@router.get("/healthz", response_model=Alive)
async def healthz() -> Response:
    """Say that the process answers; for the health of the system see ``/api/monitoring/health``."""
    return Response(
        b'{"status":"ok"}', media_type="application/json", headers={"Cache-Control": "no-store"}
    )


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request, api: ApiDep, _caller: Reader) -> Response:
    """Return figures for Prometheus."""
    figures = gauges(api.system, api.system.clock())
    return Response(
        request.app.state.meter.render(figures),
        headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"},
    )
