"""Alerts, health history and kill switches."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from agentwhere_app.api.access import Operator, Reader
from agentwhere_app.api.audit import audited
from agentwhere_app.api.caching import answer_once
from agentwhere_app.api.context import Api, ApiDep
from agentwhere_app.api.models.operations import (
    Alert,
    KillOutcome,
    KillRelease,
    KillSwitch,
    KillSwitches,
    KillWrite,
    PastHealth,
)
from agentwhere_app.api.models.trading import PageOf
from agentwhere_app.api.problems import documented
from agentwhere_app.api.routes.parameters import Before, Limit, ThingId
from agentwhere_flow import kill_switches
from agentwhere_flow.alerts import acknowledge_alert
from agentwhere_flow.report import StepReport
from agentwhere_flow.views import operations as views

router = APIRouter(prefix="/api", tags=["operations"])


@router.get("/alerts", response_model=PageOf[Alert])
def list_alerts(
    request: Request,
    api: ApiDep,
    _caller: Reader,
    is_open: Annotated[
        bool | None, Query(alias="open", description="Only open ones, or only ended ones.")
    ] = None,
    before: Before = None,
    limit: Limit = 50,
) -> Response:
    """Return alerts, newest first."""
    page = views.list_alerts(api.system, is_open=is_open, before=before, limit=limit)
    return answer_once(request, asdict(page))


@router.post("/alerts/{alert_id}/acknowledge", response_model=Alert, responses=documented(404))
def acknowledge(request: Request, api: ApiDep, caller: Operator, alert_id: ThingId) -> Response:
    """Take an open alert on: it is not told again, except for its end. The first who does stays on record."""
    system = api.system
    with audited(request, caller):
        acknowledge_alert(system, system.clock(), alert_id, f"{caller.name} (API)")
    return answer_once(request, views.read_alert(system, alert_id))


@router.get("/monitoring/history", response_model=PageOf[PastHealth])
def health_history(
    request: Request, api: ApiDep, _caller: Reader, before: Before = None, limit: Limit = 50
) -> Response:
    """Return the health reports that were kept, newest first."""
    return answer_once(request, asdict(views.health_history(api.system, before, limit)))


@router.get("/kill-switches", response_model=KillSwitches)
def list_switches(
    request: Request,
    api: ApiDep,
    _caller: Reader,
    released: Annotated[bool, Query(description="Also those that were released.")] = False,
) -> Response:
    """Return kill switches, newest first: those that are engaged, or the whole record."""
    found = kill_switches.list_switches(api.system, include_released=released)
    return answer_once(request, {"items": [asdict(item) for item in found]})


@router.post("/kill-switches", response_model=KillOutcome, responses=documented(404))
def engage(request: Request, api: ApiDep, caller: Operator, body: KillWrite) -> KillOutcome:
    """Stop new entries within a scope at once, and close what is open there if asked to. Safe to repeat."""
    with audited(request, caller, body):
        report = kill_switches.engage(
            api.system,
            api.system.clock(),
            body.scope,
            body.target,
            reason=body.reason,
            by=f"{caller.name} (API)",
            close_all=body.close_all,
        )
    return _outcome(api, report, "engaged")


@router.post("/kill-switches/release", response_model=KillOutcome, responses=documented(404))
def release(request: Request, api: ApiDep, caller: Operator, body: KillRelease) -> KillOutcome:
    """Let entries within a scope go on, as far as no other switch stops them. Safe to repeat."""
    with audited(request, caller, body):
        report = kill_switches.release(
            api.system,
            api.system.clock(),
            body.scope,
            body.target,
            reason=body.reason,
            by=f"{caller.name} (API)",
        )
    return _outcome(api, report, "released")


def _outcome(api: Api, report: StepReport, word: str) -> KillOutcome:
    engaged: list[Any] = kill_switches.list_switches(api.system)
    return KillOutcome(
        switches=[KillSwitch(**asdict(item)) for item in engaged],
        changed=bool(report.details[word]),
        problems=list(report.problems),
    )
