"""``deployments pause|resume``: whether an agent may open positions with a subscriber's money."""

from __future__ import annotations

from typing import Annotated

import typer

from agentwhere_app.output import Json, command, print_json
from agentwhere_core.domain.enums import DeploymentStatus

deployments = typer.Typer()

Name = Annotated[str, typer.Argument(help="NAME, AGENT/NAME or id.")]


@deployments.command("pause")
@command
def pause(deployment: Name, as_json: Json = False) -> None:
    """Pause a deployment: it opens nothing; open positions stay looked after."""
    _set_status(deployment, DeploymentStatus.PAUSED, as_json=as_json)


@deployments.command("resume")
@command
def resume(deployment: Name, as_json: Json = False) -> None:
    """Let a deployment open positions again, from the next signal on."""
    _set_status(deployment, DeploymentStatus.ACTIVE, as_json=as_json)


def _set_status(text: str, status: DeploymentStatus, *, as_json: bool) -> None:
    from agentwhere_app.session import open_system
    from agentwhere_flow.registry import set_deployment_status

    with open_system() as system:
        found = set_deployment_status(system, system.clock(), text, status)
    if as_json:
        print_json({"id": found.id, "name": found.name, "status": status.value})
    else:
        print(f"{found.name} is {status.value}")
