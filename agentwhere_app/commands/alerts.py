"""``alerts``: what is wrong, who was told, and who has taken it on."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentwhere_app.output import Json, command, print_json, print_table

if TYPE_CHECKING:
    from agentwhere_store.operations import Alert

alerts = typer.Typer()

_MOST = 50


@alerts.command("list")
@command
def list_all(
    *,
    include_closed: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    as_json: Json = False,
) -> None:
    """List open alerts, and the notices that were last sent or failed."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.alerts import open_alerts, recent_alerts
    from agentwhere_flow.notices import recent_notices

    with open_system() as system:
        found = recent_alerts(system, _MOST) if include_closed else open_alerts(system)
        notices = recent_notices(system, _MOST)
    if as_json:
        print_json({"alerts": [asdict(alert) for alert in found], "notices": notices})
        return
    print_table("Alerts", [_row(alert) for alert in found], empty="No open alerts.")
    print_table(
        "Notices",
        [_notice(notice) for notice in notices],
        empty="Nobody was told of anything yet. Set AGENTWHERE_ALERT_TARGETS; see docs/monitoring.md.",
    )


@alerts.command("test")
@command
def try_out(
    *,
    target: Annotated[str | None, typer.Argument(help="One target; else all of them.")] = None,
    as_json: Json = False,
) -> None:
    """Send a test message to the alert targets."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.notices import try_targets

    with open_system() as system:
        results = try_targets(system, system.clock(), target)
    if as_json:
        print_json(
            {name: {"arrived": not error, "error": error} for name, error in results.items()}
        )
    else:
        for name, error in results.items():
            print(f"{name}: {error or 'arrived'}")
    if any(results.values()):
        raise typer.Exit(1)


@alerts.command("ack")
@command
def ack(
    *,
    incident: Annotated[str, typer.Argument(help="As `agentwhere alerts list` names it.")],
    by: Annotated[str, typer.Option(help="Who takes it on.")] = "operator",
    as_json: Json = False,
) -> None:
    """Take an incident on: it is not told again, except for its end."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.alerts import acknowledge_alert

    with open_system() as system:
        acknowledge_alert(system, system.clock(), incident, by)
    if as_json:
        print_json({"incident": incident, "acknowledged_by": by})
    else:
        print(f"{incident} is taken on by {by}")


@alerts.command("deliver")
@command
def deliver(as_json: Json = False) -> None:
    """Send the notices that are due now; the daemon does so by itself every few seconds."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.notices import deliver_notices

    with open_system() as system:
        report = deliver_notices(system, system.clock())
    if as_json:
        print_json(report.as_dict())
        return
    print(f"{report.rows_out} of {report.rows_in} notices were sent")
    for problem in report.problems:
        print(problem)


def _row(alert: Alert) -> dict[str, Any]:
    return {
        "severity": alert.severity.value,
        "incident": alert.incident,
        "title": alert.title,
        "since": f"{alert.opened_at:%Y-%m-%d %H:%M}",
        "until": f"{alert.closed_at:%Y-%m-%d %H:%M}" if alert.closed_at else "",
        "seen": alert.times_seen,
        "taken on by": alert.acknowledged_by,
        "detail": alert.detail,
    }


def _notice(notice: dict[str, Any]) -> dict[str, Any]:
    return {
        "at": f"{notice['created_at']:%Y-%m-%d %H:%M:%S}",
        "target": notice["target"],
        "says": notice["kind"].lower(),
        "state": notice["state"].lower().replace("_", " "),
        "attempts": notice["attempts"],
        "incident": notice["incident"],
        "error": notice["error"],
    }
