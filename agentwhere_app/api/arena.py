"""``/performance`` and ``/invocations``: the arena's two public pages, kept in memory for minutes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from agentwhere_app.api.caching import Answer, Shelf, Shelves, render, wants_newest
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
        return _kept(arena.performance(system, system.clock()), PERFORMANCE_FRESH_S)

    return Shelf(make, fresh_s=PERFORMANCE_FRESH_S, keep_s=None)


def invocation_shelves(system: System) -> Shelves:
    """Return the shelves of recent invocations by their number, made again after 2 minutes."""

    def make(limit: int) -> Answer:
        return _kept(arena.invocations(system, system.clock(), limit), INVOCATIONS_FRESH_S)

    return Shelves(make, fresh_s=INVOCATIONS_FRESH_S)


@router.get("/performance", response_model=Performance)
async def performance(request: Request) -> Response:
    """Return what each model's portfolio was worth over time."""
    return await api_of(request).performance.response(newest=wants_newest(request.headers))


@router.get("/invocations", response_model=Invocations)
async def invocations(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 30,
) -> Response:
    """Return the newest invocations with their tool calls."""
    newest = wants_newest(request.headers)
    return await api_of(request).invocations.response(limit, newest=newest)


def _kept(content: dict[str, Any], usually_s: float) -> Answer:
    """Render an answer that is kept as usual, or while all that it tells is younger than that, until it changes.

    So nobody waits minutes for an arena's first curve.
    """
    first = min((item["createdAt"] for item in content["data"]), default=content["lastUpdated"])
    age = datetime.fromisoformat(content["lastUpdated"]) - datetime.fromisoformat(first)
    is_young = age.total_seconds() < usually_s
    kept = "no-cache" if is_young else f"max-age=0, stale-while-revalidate={usually_s:.0f}"
    return render(
        content, headers={"Cache-Control": f"public, {kept}"}, with_flag=True, is_live=is_young
    )
