"""``/api/monitoring``: health, routing analytics, and both with counts for a dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from agentwhere_app.api.access import Reader
from agentwhere_app.api.caching import Answer, Shelf, answer_once, render, wants_newest
from agentwhere_app.api.context import ApiDep, api_of
from agentwhere_app.api.models.monitoring import Analytics, Dashboard, Health
from agentwhere_core.domain.enums import HealthStatus
from agentwhere_core.health.report import to_json
from agentwhere_flow.health import judge
from agentwhere_flow.views.monitoring import monitoring_dashboard
from agentwhere_flow.views.routing import TimeWindow, routing_analytics

if TYPE_CHECKING:
    from agentwhere_flow.system import System

FRESH_S, KEPT_S = 5.0, 10.0

router = APIRouter(prefix="/api/monitoring", tags=["monitoring"])

Window = Annotated[TimeWindow, Query(alias="timeWindow", description="How far back to look.")]


def health_shelf(system: System) -> Shelf:
    """Return the shelf of the health report: at most 10 s old, made again after 5 s or a health tick."""

    def make() -> Answer:
        report = judge(system, system.clock())
        is_critical = report.status is HealthStatus.CRITICAL
        headers = {"Cache-Control": "no-store"} | ({"Retry-After": "10"} if is_critical else {})
        status = 503 if is_critical else 200
        return render(to_json(report), status=status, headers=headers, is_live=True)

    return Shelf(make, fresh_s=FRESH_S, keep_s=KEPT_S)


@router.get(
    "/health",
    response_model=Health,
    responses={503: {"model": Health, "description": "The system's health is critical."}},
)
async def health(request: Request) -> Response:
    """Return the health report: 200 while healthy or degraded, 503 while critical."""
    return await api_of(request).health.response(newest=wants_newest(request.headers))


@router.get("/analytics", response_model=Analytics)
def analytics(
    request: Request, api: ApiDep, _caller: Reader, window: Window = TimeWindow.DAY
) -> Response:
    """Return how routing decisions are spread over venues and tokens."""
    return answer_once(request, routing_analytics(api.system, api.system.clock(), window))


@router.get("/dashboard", response_model=Dashboard)
def dashboard(
    request: Request, api: ApiDep, _caller: Reader, window: Window = TimeWindow.DAY
) -> Response:
    """Return health, analytics, and counts of agents, positions, signals and errors."""
    return answer_once(request, monitoring_dashboard(api.system, api.system.clock(), window))
