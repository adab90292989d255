"""``kill-switch engage|release|list``: stop entries, close what is open, and see who did."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from agentwhere_app.output import Json, command, print_json, print_table
from agentwhere_core.domain.enums import KillScope
from agentwhere_core.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from agentwhere_flow.report import StepReport

kill_switch = typer.Typer()

Reason = Annotated[str, typer.Option(help="Why; it is kept on record.")]
By = Annotated[str | None, typer.Option(help="Who says so; you, by default.")]
Agent = Annotated[str | None, typer.Option(help="Only this agent, by name or id.")]
Deployment = Annotated[
    str | None, typer.Option(help="Only this deployment: NAME, AGENT/NAME or id.")
]
OnlyVenue = Annotated[str | None, typer.Option("--venue", help="Only this venue.")]


@kill_switch.command("engage")
@command
def engage(
    *,
    reason: Reason,
    agent: Agent = None,
    deployment: Deployment = None,
    venue: OnlyVenue = None,
    close_all: Annotated[
        bool, typer.Option("--close-all", help="Close every open position there as well.")
    ] = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Stop new entries at once: everywhere, or within one agent, deployment or venue. Safe to repeat.

    With --close-all the exit code is 1 while a position is still open; the monitor goes on trying.
    """
    from agentwhere_app.session import open_system
    from agentwhere_flow import kill_switches

    scope, target = _reach(agent, deployment, venue)
    with open_system(simulator=close_all) as system:
        report = kill_switches.engage(
            system,
            system.clock(),
            scope,
            target,
            reason=reason,
            by=by or getpass.getuser(),
            close_all=close_all,
        )
    if as_json:
        print_json(report.as_dict())
    else:
        print(_engaged(report, scope, target))
        for problem in report.problems:
            print(f"to do: {problem}")
    if report.details.get("still_open"):
        raise typer.Exit(1)


@kill_switch.command("release")
@command
def release(
    *,
    reason: Reason,
    agent: Agent = None,
    deployment: Deployment = None,
    venue: OnlyVenue = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Release a kill switch: entries go on, as far as no other switch stops them. Safe to repeat."""
    from agentwhere_app.session import open_system
    from agentwhere_flow import kill_switches

    scope, target = _reach(agent, deployment, venue)
    with open_system() as system:
        report = kill_switches.release(
            system, system.clock(), scope, target, reason=reason, by=by or getpass.getuser()
        )
    if as_json:
        print_json(report.as_dict())
        return
    was = "released" if report.details["released"] else "was not engaged"
    print(f"the kill switch for {_told(scope, target)} {was}")


@kill_switch.command("list")
@command
def list_all(
    everything: Annotated[bool, typer.Option("--all", help="Released ones too.")] = False,
    as_json: Json = False,
) -> None:
    """List engaged kill switches, newest first."""
    from dataclasses import asdict

    from agentwhere_app.session import open_system
    from agentwhere_flow.kill_switches import list_switches

    with open_system() as system:
        found = list_switches(system, include_released=everything)
    if as_json:
        print_json([asdict(switch) for switch in found])
        return
    rows = [
        {
            "scope": switch.scope.value,
            "target": switch.target,
            "closes": "yes" if switch.closes_all else "no",
            "engaged": f"{switch.engaged_at:%Y-%m-%d %H:%M}",
            "by": switch.author,
            "reason": switch.reason,
            "released": f"{switch.released_at:%Y-%m-%d %H:%M}" if switch.released_at else "",
            "released by": switch.released_by,
            "release reason": switch.release_reason,
        }
        for switch in found
    ]
    print_table("Kill switches", rows, empty="No kill switch is engaged.")


def _reach(agent: str | None, deployment: str | None, venue: str | None) -> tuple[KillScope, str]:
    given = [
        (scope, target)
        for scope, target in (
            (KillScope.AGENT, agent),
            (KillScope.DEPLOYMENT, deployment),
            (KillScope.VENUE, venue),
        )
        if target is not None
    ]
    if len(given) > 1:
        raise ConfigurationError(
            "name one of --agent, --deployment and --venue, or none of them for everything"
        )
    return given[0] if given else (KillScope.GLOBAL, "")


def _engaged(report: StepReport, scope: KillScope, target: str) -> str:
    was = "engaged" if report.details["engaged"] else "was engaged already"
    line = f"the kill switch for {_told(scope, target)} {was}: no new entries"
    if report.details["closes"]:
        line += f"; {report.rows_out} of {report.rows_in} positions closed"
    return line


def _told(scope: KillScope, target: str) -> str:
    return "everything" if scope is KillScope.GLOBAL else f"{scope.value.lower()} {target}"
