"""``/api/venue-routing``: where signals go by configuration, and where they went."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from agentwhere_app.api.access import Operator, Reader
from agentwhere_app.api.audit import audited
from agentwhere_app.api.caching import answer_once
from agentwhere_app.api.context import ApiDep
from agentwhere_app.api.models.routing import ConfigAnswer, ConfigWrite, Stats
from agentwhere_app.api.problems import documented
from agentwhere_app.api.routes.monitoring import Window
from agentwhere_flow.routing_config import ConfigChange
from agentwhere_flow.views.routing import (
    TimeWindow,
    routing_config,
    routing_stats,
    set_routing_config,
)

router = APIRouter(prefix="/api/venue-routing", tags=["venue routing"])

Token = Annotated[
    str | None,
    Query(alias="tokenSymbol", min_length=1, max_length=40, description="One token only."),
]
AgentId = Annotated[
    UUID | None, Query(alias="agentId", description="An agent; without it the global one.")
]


@router.get("/config", response_model=ConfigAnswer, responses=documented(404))
def read_config(
    request: Request, api: ApiDep, _caller: Reader, agent_id: AgentId = None
) -> Response:
    """Return the routing configuration in force, globally or for an agent."""
    config = routing_config(api.system, agent_id)
    return answer_once(request, {"success": True, "config": config})


@router.post("/config", response_model=ConfigAnswer, responses=documented(404))
def write_config(
    request: Request, api: ApiDep, caller: Operator, body: ConfigWrite
) -> ConfigAnswer:
    """Set the routing configuration, globally or for an agent; what is left out stays as it is."""
    change = ConfigChange(**body.model_dump(exclude={"agent_id"}))
    with audited(request, caller, body):
        config = set_routing_config(
            api.system, api.system.clock(), body.agent_id, change, author=f"{caller.name} (API)"
        )
    return ConfigAnswer(success=True, config=config)


@router.get("/stats", response_model=Stats)
def stats(
    request: Request,
    api: ApiDep,
    _caller: Reader,
    window: Window = TimeWindow.DAY,
    token: Token = None,
) -> Response:
    """Return how many decisions chose which venue, and the newest of them."""
    return answer_once(request, routing_stats(api.system, api.system.clock(), window, token))
