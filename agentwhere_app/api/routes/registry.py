"""Writes to agents, deployments and policies: each with a key that may, and on record."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from agentwhere_app.api.access import Caller, Operator, Reader, Trader
from agentwhere_app.api.audit import audited
from agentwhere_app.api.caching import answer_once, as_json
from agentwhere_app.api.context import Api, ApiDep
from agentwhere_app.api.models.marketplace import FullAgent
from agentwhere_app.api.models.registry import (
    AgentWrite,
    DeploymentWrite,
    PolicyAnswer,
    PolicyWrite,
    SourcesWrite,
)
from agentwhere_app.api.models.trading import Deployment
from agentwhere_app.api.problems import documented
from agentwhere_app.api.routes.parameters import ThingId
from agentwhere_core.domain.enums import AgentStatus, DeploymentStatus
from agentwhere_core.domain.idea import Agent
from agentwhere_core.domain.ids import new_id
from agentwhere_core.how.schema import policy_from_json, policy_to_json
from agentwhere_flow import registry
from agentwhere_flow.registry import NewAccount
from agentwhere_flow.views.marketplace import read_agent
from agentwhere_flow.views.trading import read_deployment

router = APIRouter(prefix="/api", tags=["registry"])


@router.post("/agents", status_code=201, response_model=FullAgent, responses=documented(409, 422))
def create_agent(request: Request, api: ApiDep, caller: Operator, body: AgentWrite) -> Response:
    """Publish an agent with the X accounts and feeds that it follows; it is active at once."""
    agent = Agent(
        id=new_id(),
        status=AgentStatus.ACTIVE,
        **body.model_dump(exclude={"x_accounts", "feeds"}),
    )
    system = api.system
    with audited(request, caller, body, status=201):
        registry.create_agent(system, system.clock(), agent, body.x_accounts, body.feeds)
    return _created(f"/api/agents/{agent.id}", read_agent(system, system.clock(), agent.id))


@router.post("/agents/{agent_id}/pause", response_model=FullAgent, responses=documented(404))
def pause_agent(request: Request, api: ApiDep, caller: Operator, agent_id: ThingId) -> Response:
    """Let an agent read and signal no more; what is open stays looked after. Safe to repeat."""
    return _set_status(request, api, caller, agent_id, AgentStatus.PAUSED)


@router.post("/agents/{agent_id}/resume", response_model=FullAgent, responses=documented(404))
def resume_agent(request: Request, api: ApiDep, caller: Operator, agent_id: ThingId) -> Response:
    """Let an agent read and signal again. Safe to repeat."""
    return _set_status(request, api, caller, agent_id, AgentStatus.ACTIVE)


@router.post("/agents/{agent_id}/follow", response_model=FullAgent, responses=documented(404))
def follow(
    request: Request, api: ApiDep, caller: Operator, agent_id: ThingId, body: SourcesWrite
) -> Response:
    """Let an agent read further X accounts and feeds, too. Safe to repeat."""
    system = api.system
    with audited(request, caller, body):
        name = registry.agent_name(system, agent_id)
        registry.follow(system, system.clock(), name, body.x_accounts, body.feeds)
    return answer_once(request, read_agent(system, system.clock(), agent_id))


@router.post("/agents/{agent_id}/unfollow", response_model=FullAgent, responses=documented(404))
def unfollow(
    request: Request, api: ApiDep, caller: Operator, agent_id: ThingId, body: SourcesWrite
) -> Response:
    """Let an agent read X accounts and feeds no more; one at least must stay. Safe to repeat."""
    system = api.system
    with audited(request, caller, body):
        name = registry.agent_name(system, agent_id)
        registry.unfollow(system, name, body.x_accounts, body.feeds)
    return answer_once(request, read_agent(system, system.clock(), agent_id))


@router.post(
    "/deployments",
    status_code=201,
    response_model=Deployment,
    responses=documented(404, 409, 422),
)
def create_deployment(
    request: Request, api: ApiDep, caller: Trader, body: DeploymentWrite
) -> Response:
    """Run an agent on accounts from now on; their signing keys must be in the server's secret store."""
    system = api.system
    with audited(request, caller, body, status=201):
        made = registry.create_deployment(
            system,
            system.clock(),
            agent_name=registry.agent_name(system, body.agent_id),
            name=body.name,
            subscriber_wallet=body.subscriber_wallet,
            capital_usd=body.capital_usd,
            policy=policy_from_json(body.policy),
            accounts=[NewAccount(a.venue, a.address, a.key_name) for a in body.accounts],
        )
    return _created(f"/api/deployments/{made.id}", read_deployment(system, made.id))


@router.post(
    "/deployments/{deployment_id}/pause", response_model=Deployment, responses=documented(404)
)
def pause_deployment(
    request: Request, api: ApiDep, caller: Operator, deployment_id: ThingId
) -> Response:
    """Let a deployment open nothing; what is open stays looked after. Safe to repeat."""
    return _set_running(request, api, caller, deployment_id, DeploymentStatus.PAUSED)


@router.post(
    "/deployments/{deployment_id}/resume", response_model=Deployment, responses=documented(404)
)
def resume_deployment(
    request: Request, api: ApiDep, caller: Operator, deployment_id: ThingId
) -> Response:
    """Let a deployment open positions again. Safe to repeat."""
    return _set_running(request, api, caller, deployment_id, DeploymentStatus.ACTIVE)


@router.get(
    "/deployments/{deployment_id}/policy", response_model=PolicyAnswer, responses=documented(404)
)
def read_policy(request: Request, api: ApiDep, _caller: Reader, deployment_id: ThingId) -> Response:
    """Return the policy of a deployment."""
    found, version = registry.policy_of(api.system, str(deployment_id))
    told = {
        "deployment_id": deployment_id,
        "version": version,
        "rules": policy_to_json(found.policy),
    }
    return answer_once(request, told)


@router.patch(
    "/deployments/{deployment_id}/policy", response_model=PolicyAnswer, responses=documented(404)
)
def change_policy(
    request: Request, api: ApiDep, caller: Trader, deployment_id: ThingId, body: PolicyWrite
) -> PolicyAnswer:
    """Change rules of a deployment's policy; the next signal meets the new one."""
    system = api.system
    with audited(request, caller, body):
        found, version = registry.set_policy(system, system.clock(), str(deployment_id), body.rules)
    return PolicyAnswer(
        deployment_id=deployment_id, version=version, rules=policy_to_json(found.policy)
    )


def _set_status(
    request: Request, api: Api, caller: Caller, agent_id: ThingId, status: AgentStatus
) -> Response:
    system = api.system
    with audited(request, caller):
        name = registry.agent_name(system, agent_id)
        registry.set_agent_status(system, system.clock(), name, status)
    return answer_once(request, read_agent(system, system.clock(), agent_id))


def _set_running(
    request: Request, api: Api, caller: Caller, deployment_id: ThingId, status: DeploymentStatus
) -> Response:
    system = api.system
    with audited(request, caller):
        registry.set_deployment_status(system, system.clock(), str(deployment_id), status)
    return answer_once(request, read_deployment(system, deployment_id))


def _created(location: str, content: object) -> Response:
    return Response(
        as_json(content),
        status_code=201,
        media_type="application/json",
        headers={"Location": location, "Cache-Control": "no-store"},
    )
