"""``/performance`` and ``/invocations``: the arena's two public pages, kept in memory for minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from agentwhere_app.api.caching import Answer, Shelf, Shelves, render
from agentwhere_app.api.context import api_of
from agentwhere_app.api.models.arena import Invocations, Performance
from agentwhere_flow.views import arena

if TYPE_CHECKING:
    from agentwhere_flow.system import System

PERFORMANCE_FRESH_S, INVOCATIONS_FRESH_S = 300.0, 120.0

router = APIRouter(tags=["arena"])


def performance_shelf(system: System) -> Shelf:
    """Return the shelf of portfolios over time, made again after 5 minutes."""

    def make() -> Answer:
        content = arena.performance(system, system.clock())
        return render(content, headers=_cache(PERFORMANCE_FRESH_S), with_flag=True)

    return Shelf(make, fresh_s=PERFORMANCE_FRESH_S, keep_s=None)


def invocation_shelves(system: System) -> Shelves:
    """Return the shelves of recent invocations by their number, made again after 2 minutes."""

    def make(limit: int) -> Answer:
        content = arena.invocations(system, system.clock(), limit)
        return render(content, headers=_cache(INVOCATIONS_FRESH_S), with_flag=True)

    return Shelves(make, fresh_s=INVOCATIONS_FRESH_S)


@router.get("/performance", response_model=Performance)
async def performance(request: Request) -> Response:
    """Return what each model's portfolio was worth over time."""
    return await api_of(request).performance.response()


@router.get("/invocations", response_model=Invocations)
async def invocations(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 30,
) -> Response:
    """Return the newest invocations with their tool calls."""
    return await api_of(request).invocations.response(limit)


def _cache(fresh_s: float) -> dict[str, str]:
    return {"Cache-Control": f"public, max-age=0, stale-while-revalidate={fresh_s:.0f}"}
