"""``/api/agents`` and ``/api/sources``: the marketplace, which anybody may read."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import AfterValidator

from agentwhere_app.api.caching import answer_once
from agentwhere_app.api.context import ApiDep
from agentwhere_app.api.models.marketplace import AgentPage, FullAgent, Sources
from agentwhere_app.api.problems import documented
from agentwhere_app.api.routes.parameters import Limit, ThingId
from agentwhere_core.domain.enums import AgentStatus, Venue
from agentwhere_flow.views import marketplace as views
from agentwhere_store.marketplace import SORTABLE, Wanted

router = APIRouter(prefix="/api", tags=["marketplace"])

PUBLIC = "public, no-cache"


class Order(StrEnum):
    """Which end comes first."""

    ASC = "asc"
    DESC = "desc"


def _sortable(name: str) -> str:
    if name not in SORTABLE:
        raise ValueError(f"is no figure to sort by: choose one of {', '.join(SORTABLE)}")
    return name


Sort = Annotated[
    str,
    AfterValidator(_sortable),
    Query(description="Figure to sort by.", json_schema_extra={"enum": sorted(SORTABLE)}),
]


@router.get("/agents", response_model=AgentPage)
def list_agents(
    *,
    request: Request,
    api: ApiDep,
    sort: Sort = "sharpe_low_si",
    order: Annotated[Order, Query(description="Which end comes first.")] = Order.DESC,
    venue: Annotated[Venue | None, Query(description="Agents of this venue only.")] = None,
    status: Annotated[AgentStatus | None, Query(description="Of this status only.")] = None,
    name: Annotated[
        str | None, Query(max_length=100, description="Whose names contain this.")
    ] = None,
    arena: Annotated[
        bool, Query(description="Models of the arena instead of creators' agents.")
    ] = False,
    cursor: Annotated[
        str | None, Query(max_length=400, description="Continue: `next` of a page.")
    ] = None,
    limit: Limit = 50,
) -> Response:
    """List agents with figures and sample sizes; those without the figure come last."""
    wanted = Wanted(
        sort=sort,
        is_descending=order is Order.DESC,
        venue=venue,
        status=status,
        name=name,
        arena=arena,
        limit=limit,
    )
    page = views.list_agents(api.system, api.system.clock(), wanted, cursor)
    return answer_once(request, asdict(page), cache=PUBLIC)


@router.get("/agents/{agent_id}", response_model=FullAgent, responses=documented(404))
def read_agent(request: Request, api: ApiDep, agent_id: ThingId) -> Response:
    """Return one agent with figures, sources and equity of each day."""
    agent = views.read_agent(api.system, api.system.clock(), agent_id)
    return answer_once(request, agent, cache=PUBLIC)


@router.get("/sources", response_model=Sources)
def list_sources(request: Request, api: ApiDep) -> Response:
    """Return the track record of each X account and feed."""
    return answer_once(request, {"items": views.list_sources(api.system)}, cache=PUBLIC)
