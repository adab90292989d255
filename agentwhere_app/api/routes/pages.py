"""``/api/pages``: what each view of the dashboard shows, one answer per view.

These answers follow the page, not a contract: programs use the other addresses.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from agentwhere_app.api.access import Reader
from agentwhere_app.api.caching import answer_once
from agentwhere_app.api.context import ApiDep
from agentwhere_core.domain.errors import NoSuchThingError
from agentwhere_flow.pages.arena import arena_page, invocation_page
from agentwhere_flow.pages.marketplace import agent_page, marketplace
from agentwhere_flow.pages.overview import overview
from agentwhere_flow.pages.positions import positions_page
from agentwhere_flow.pages.routing import Span, routing_page
from agentwhere_flow.pages.sources import sources_page

router = APIRouter(prefix="/api/pages", tags=["dashboard"], include_in_schema=False)


@router.get("/session")
def session(request: Request, api: ApiDep) -> dict[str, Any]:
    """Return what the page must know before it draws: where the Dagster UI is, and in which world it runs."""
    settings = api.system.settings
    beside = f"http://{request.url.hostname}:{settings.dagster_port}"
    return {"profile": settings.profile.value, "dagsterUrl": settings.dagster_url or beside}


@router.get("/overview")
def read_overview(request: Request, api: ApiDep, _caller: Reader) -> Response:
    """Return what an operator looks at first."""
    return answer_once(request, overview(api.system, api.system.clock()))


@router.get("/marketplace")
def read_marketplace(request: Request, api: ApiDep) -> Response:
    """Return all agents with their figures."""
    return answer_once(request, marketplace(api.system, api.system.clock()))


@router.get("/marketplace/{agent_id}")
def read_agent(request: Request, api: ApiDep, _caller: Reader, agent_id: UUID) -> Response:
    """Return one agent in full."""
    found = agent_page(api.system, api.system.clock(), agent_id)
    if found is None:
        raise NoSuchThingError(f"there is no agent {agent_id}: see the marketplace")
    return answer_once(request, found)


@router.get("/routing")
def read_routing(
    request: Request, api: ApiDep, _caller: Reader, span: Annotated[Span, Query()] = Span.DAY
) -> Response:
    """Return where signals went, what that cost, and the newest decisions."""
    return answer_once(request, routing_page(api.system, api.system.clock(), span))


@router.get("/positions")
def read_positions(request: Request, api: ApiDep, _caller: Reader) -> Response:
    """Return open and recently closed positions, and the newest orders."""
    return answer_once(request, positions_page(api.system, api.system.clock()))


@router.get("/sources")
def read_sources(request: Request, api: ApiDep, _caller: Reader) -> Response:
    """Return every source with its track record."""
    return answer_once(request, sources_page(api.system, api.system.clock()))


@router.get("/arena")
def read_arena(request: Request, api: ApiDep, _caller: Reader) -> Response:
    """Return every model's standing."""
    return answer_once(request, arena_page(api.system, api.system.clock()))


@router.get("/invocations/{invocation_id}")
def read_invocation(
    request: Request, api: ApiDep, _caller: Reader, invocation_id: UUID
) -> Response:
    """Return one invocation with its full prompt."""
    found = invocation_page(api.system, invocation_id)
    if found is None:
        raise NoSuchThingError(f"there is no invocation {invocation_id}")
    return answer_once(request, found)
