"""``routing show|set|versions|history|regret``: how venues are chosen, what was chosen, and what that cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentwhere_app.commands.trading import short
from agentwhere_app.output import Json, command, print_json, print_table

if TYPE_CHECKING:
    from agentwhere_core.domain.routing import RoutingConfig

routing = typer.Typer()

Agent = Annotated[
    str | None, typer.Option(help="An agent's own configuration instead of the global one.")
]


@routing.command("show")
@command
def show(agent: Agent = None, as_json: Json = False) -> None:
    """Show the configuration that signals are routed by."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.routing_config import config_in_force

    with open_system() as system:
        config, is_own = config_in_force(system, agent)
    _print(config, "global" if agent is None or not is_own else agent, as_json=as_json)


@routing.command("set")
@command
def set_config(  # noqa: PLR0917 - options, by name
    agent: Agent = None,
    priority: Annotated[
        str | None, typer.Option(help="Venues, first choice first: HYPERLIQUID,OSTIUM,LIGHTER.")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(help="FIRST_AVAILABLE, BEST_LIQUIDITY, LOWEST_FEES or SPLIT."),
    ] = None,
    failover: Annotated[
        bool | None, typer.Option("--failover/--no-failover", help="Look beyond the first venue.")
    ] = None,
    prefer: Annotated[
        list[str] | None,
        typer.Option(help="A token's own venues: XAU=OSTIUM,LIGHTER; XAU= takes them away."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Venues never used for a token: BTC=LIGHTER; BTC= allows all again."),
    ] = None,
    author: Annotated[str, typer.Option(help="Who changes it, for the record.")] = "command line",
    as_json: Json = False,
) -> None:
    """Change the configuration; parts that are not named stay. Every version is kept."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.routing_config import ConfigChange, change_config

    change = ConfigChange(
        venue_priority=None if priority is None else _names(priority),
        routing_strategy=None if strategy is None else strategy.strip().upper(),
        failover_enabled=failover,
        token_overrides=dict(_by_token(text, "--prefer") for text in prefer or ()),
        token_exclusions=dict(_by_token(text, "--exclude") for text in exclude or ()),
    )
    with open_system() as system:
        config = change_config(system, system.clock(), change, agent=agent, author=author)
    _print(config, agent or "global", as_json=as_json)


@routing.command("versions")
@command
def versions(agent: Agent = None, as_json: Json = False) -> None:
    """List every configuration that ever stood, with its author and time, newest first."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.routing_config import config_history

    with open_system() as system:
        found = config_history(system, agent)
    rows = [
        {
            "version": item.config.version,
            "at": item.at.isoformat(timespec="seconds"),
            "author": item.author,
            **_told(item.config),
        }
        for item in found
    ]
    if as_json:
        print_json(rows)
        return
    title = f"Routing configuration of {agent}" if agent else "Global routing configuration"
    print_table(title, rows, empty="No configuration of its own.")


@routing.command("history")
@command
def history(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    days: Annotated[int, typer.Option(min=1, help="How far back.")] = 7,
    as_json: Json = False,
) -> None:
    """List decisions, newest first; `agentwhere route --replay ID` makes one again."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.replays import recent_decisions

    with open_system() as system:
        found = recent_decisions(system, system.clock() - timedelta(days=days), limit)
    if as_json:
        print_json(found)
        return
    rows = [
        {
            "id": row["id"],
            "at": f"{row['created_at']:%m-%d %H:%M}",
            "deployment": row["deployment"],
            "token": row["token_symbol"],
            "selected": row["selected_venue"] or "none",
            "reason": row["routing_reason"],
            "checked": " ".join(row["checked_venues"]),
            "strategy": row["routing_strategy"],
            "version": row["config_version"],
        }
        for row in found
    ]
    print_table("Routing decisions", rows, empty="No decision yet.")


@routing.command("regret")
@command
def regret(as_json: Json = False) -> None:
    """Show what closed trades cost, and what the cheapest other venue would have saved, by strategy and venue."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.regret import regret_by_venue

    with open_system() as system:
        found = regret_by_venue(system)
    if as_json:
        print_json(found)
        return
    rows = [
        {
            "strategy": row["strategy"],
            "venue": row["venue"],
            "trades": row["trades"],
            "cost bps": short(row["cost_bps"], 2),
            "fees": short(row["fees_bps"], 2),
            "slippage": short(row["slippage_bps"], 2),
            "funding": short(row["funding_bps"], 2),
            "regret bps": short(row["regret_bps"], 2),
            "regret $": short(row["regret_usd"], 2),
            "was cheapest": f"{row['cheapest']} of {row['trades']}",
        }
        for row in found
    ]
    print_table("Regret", rows, empty="No routed trade was closed yet.")


def _print(config: RoutingConfig, whose: str, *, as_json: bool) -> None:
    told = {"version": config.version, **_told(config)}
    if as_json:
        print_json({"of": whose, **told})
        return
    rows = [{"part": name.replace("_", " "), "value": value} for name, value in told.items()]
    print_table(f"Routing configuration: {whose}", rows, empty="")


def _told(config: RoutingConfig) -> dict[str, Any]:
    return {
        "venue_priority": ", ".join(config.venue_priority),
        "routing_strategy": config.routing_strategy.value,
        "failover": "on" if config.failover_enabled else "off",
        "preferences": _lists(config.token_overrides),
        "exclusions": _lists(config.token_exclusions),
    }


def _lists(lists: dict[str, Any]) -> str:
    return "; ".join(f"{token}: {', '.join(venues)}" for token, venues in sorted(lists.items()))


def _names(text: str) -> list[str]:
    return [name.strip().upper() for name in text.split(",") if name.strip()]


def _by_token(text: str, option: str) -> tuple[str, Sequence[str]]:
    token, equals, names = text.partition("=")
    if not equals or not token.strip():
        raise typer.BadParameter(f"{text!r}: write TOKEN=VENUE,VENUE", param_hint=option)
    return token.strip().upper(), _names(names)
