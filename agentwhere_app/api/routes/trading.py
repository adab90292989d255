"""Deployments, signals, routing decisions, orders and positions: what subscribers' money does."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from agentwhere_app.api.access import Reader
from agentwhere_app.api.caching import answer_once
from agentwhere_app.api.context import ApiDep
from agentwhere_app.api.models import trading as models
from agentwhere_app.api.problems import documented
from agentwhere_app.api.routes.parameters import (
    AgentFilter,
    Before,
    DeploymentFilter,
    Limit,
    ThingId,
    TokenFilter,
)
from agentwhere_core.domain.enums import OrderPurpose, OrderState, PositionStatus, Side, Venue
from agentwhere_flow.views import trading as views
from agentwhere_store.routing_history import HistoryFilter

router = APIRouter(prefix="/api", tags=["trading"])

VenueFilter = Annotated[Venue | None, Query(description="At this venue only.")]


@router.get("/deployments", response_model=models.Deployments)
def list_deployments(
    request: Request, api: ApiDep, _caller: Reader, agent_id: AgentFilter = None
) -> Response:
    """Return deployments with policy, accounts and what they hold."""
    return answer_once(request, {"items": views.list_deployments(api.system, agent_id)})


@router.get(
    "/deployments/{deployment_id}", response_model=models.Deployment, responses=documented(404)
)
def read_deployment(
    request: Request, api: ApiDep, _caller: Reader, deployment_id: ThingId
) -> Response:
    """Return one deployment."""
    return answer_once(request, views.read_deployment(api.system, deployment_id))


@router.get("/signals", response_model=models.PageOf[models.Signal])
def list_signals(
    *,
    request: Request,
    api: ApiDep,
    _caller: Reader,
    agent_id: AgentFilter = None,
    token: TokenFilter = None,
    side: Annotated[Side | None, Query(description="Of this side only.")] = None,
    before: Before = None,
    limit: Limit = 50,
) -> Response:
    """Return signals, newest first."""
    wanted = {"agent_id": agent_id, "token": _upper(token), "side": side}
    return answer_once(request, asdict(views.list_signals(api.system, wanted, before, limit)))


@router.get("/signals/{signal_id}", response_model=models.SignalStory, responses=documented(404))
def read_signal(request: Request, api: ApiDep, _caller: Reader, signal_id: ThingId) -> Response:
    """Return a signal with its explanation and what became of it."""
    return answer_once(request, views.read_signal(api.system, signal_id))


@router.get("/venue-routing/history", response_model=models.PageOf[models.RoutingDecision])
def list_decisions(
    *,
    request: Request,
    api: ApiDep,
    _caller: Reader,
    agent_id: AgentFilter = None,
    deployment_id: DeploymentFilter = None,
    signal_id: Annotated[UUID | None, Query(description="For this signal only.")] = None,
    token: TokenFilter = None,
    venue: VenueFilter = None,
    reason: Annotated[str | None, Query(max_length=60, description="For this reason only.")] = None,
    skipped: Annotated[
        bool | None, Query(description="Only those that found no venue, or only the others.")
    ] = None,
    before: Before = None,
    limit: Limit = 50,
) -> Response:
    """Return routing decisions with their stories, newest first."""
    wanted = HistoryFilter(
        token=_upper(token),
        venue=venue,
        reason=reason,
        agent_id=agent_id,
        deployment_id=deployment_id,
        signal_id=signal_id,
        skipped=skipped,
        before=before,
    )
    return answer_once(request, asdict(views.list_decisions(api.system, wanted, limit)))


@router.get(
    "/venue-routing/history/{decision_id}",
    response_model=models.FullDecision,
    responses=documented(404),
)
def read_decision(request: Request, api: ApiDep, _caller: Reader, decision_id: ThingId) -> Response:
    """Return a routing decision with everything that it was made from."""
    return answer_once(request, views.read_decision(api.system, decision_id))


@router.get("/orders", response_model=models.PageOf[models.Order])
def list_orders(
    *,
    request: Request,
    api: ApiDep,
    _caller: Reader,
    deployment_id: DeploymentFilter = None,
    signal_id: Annotated[UUID | None, Query(description="For this signal only.")] = None,
    position_id: Annotated[UUID | None, Query(description="Of this position only.")] = None,
    token: TokenFilter = None,
    venue: VenueFilter = None,
    state: Annotated[OrderState | None, Query(description="In this state only.")] = None,
    purpose: Annotated[OrderPurpose | None, Query(description="Of this purpose only.")] = None,
    before: Before = None,
    limit: Limit = 50,
) -> Response:
    """Return orders, newest first."""
    wanted = {
        "deployment_id": deployment_id,
        "signal_id": signal_id,
        "position_id": position_id,
        "token_symbol": _upper(token),
        "venue": venue,
        "state": state,
        "purpose": purpose,
    }
    return answer_once(request, asdict(views.list_orders(api.system, wanted, before, limit)))


@router.get("/orders/{order_id}", response_model=models.OrderStory, responses=documented(404))
def read_order(request: Request, api: ApiDep, _caller: Reader, order_id: ThingId) -> Response:
    """Return an order with every move that it made."""
    return answer_once(request, views.read_order(api.system, order_id))


@router.get("/positions", response_model=models.PageOf[models.Position])
def list_positions(
    *,
    request: Request,
    api: ApiDep,
    _caller: Reader,
    status: Annotated[PositionStatus | None, Query(description="Of this status only.")] = None,
    agent_id: AgentFilter = None,
    deployment_id: DeploymentFilter = None,
    token: TokenFilter = None,
    venue: VenueFilter = None,
    before: Before = None,
    limit: Limit = 50,
) -> Response:
    """Return positions with the state of their protection, newest first."""
    wanted = {
        "status": status,
        "agent_id": agent_id,
        "deployment_id": deployment_id,
        "token_symbol": _upper(token),
        "venue": venue,
    }
    return answer_once(request, asdict(views.list_positions(api.system, wanted, before, limit)))


@router.get(
    "/positions/{position_id}", response_model=models.PositionStory, responses=documented(404)
)
def read_position(request: Request, api: ApiDep, _caller: Reader, position_id: ThingId) -> Response:
    """Return a position with everything that happened to it."""
    return answer_once(request, views.read_position(api.system, position_id))


def _upper(token: str | None) -> str | None:
    return None if token is None else token.upper()
