"""``agents edit|pause|resume|follow|unfollow`` and ``sources list``: what changes in an agent's life."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agentwhere_app.commands.agents import agents, number, trailing_stop
from agentwhere_app.output import Json, command, print_json, print_table
from agentwhere_core.domain.enums import AgentStatus, Venue

sources = typer.Typer()

Name = Annotated[str, typer.Argument(help="Name of the agent.")]
Handles = Annotated[list[str] | None, typer.Option("--x", help="X account; repeat it.")]
Feeds = Annotated[list[str] | None, typer.Option("--feed", help="RSS or Atom URL; repeat it.")]

_NONE = "none"


@agents.command("edit")
@command
def edit(
    *,
    agent: Name,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    venue: Annotated[Venue | None, typer.Option(help="MULTI lets the router choose.")] = None,
    leverage: Annotated[str | None, typer.Option(help="Leverage of its signals.")] = None,
    stop_loss: Annotated[str | None, typer.Option(help="Percent from entry, or none.")] = None,
    take_profit: Annotated[str | None, typer.Option(help="Percent from entry, or none.")] = None,
    trailing: Annotated[
        str | None, typer.Option(help="ACTIVATION:DISTANCE in percent, or none.")
    ] = None,
    max_holding_h: Annotated[str | None, typer.Option(help="Hours, or none.")] = None,
    as_json: Json = False,
) -> None:
    """Change how an agent trades, from its next signal on."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.registry import edit_agent

    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = name
    if venue is not None:
        changes["venue"] = venue
    if leverage is not None:
        changes["leverage"] = number("--leverage", leverage)
    for option, field, text in (
        ("--stop-loss", "stop_loss_pct", stop_loss),
        ("--take-profit", "take_profit_pct", take_profit),
        ("--max-holding-h", "max_holding_h", max_holding_h),
    ):
        if text is not None:
            changes[field] = None if text == _NONE else number(option, text)
    if trailing is not None:
        activation, distance = trailing_stop(None if trailing == _NONE else trailing)
        changes |= {"trailing_activation_pct": activation, "trailing_distance_pct": distance}
    with open_system() as system:
        edited = edit_agent(system, system.clock(), agent, changes)
    _say(f"{edited.name}: changed from its next signal on", {"name": edited.name}, as_json=as_json)


@agents.command("pause")
@command
def pause(agent: Name, as_json: Json = False) -> None:
    """Pause an agent: it reads and proposes nothing; open positions stay looked after."""
    _set_status(agent, AgentStatus.PAUSED, as_json=as_json)


@agents.command("resume")
@command
def resume(agent: Name, as_json: Json = False) -> None:
    """Let a paused agent go on."""
    _set_status(agent, AgentStatus.ACTIVE, as_json=as_json)


@agents.command("follow")
@command
def follow(agent: Name, x: Handles = None, feed: Feeds = None, as_json: Json = False) -> None:
    """Attach X accounts and feeds to an agent."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.registry import follow as attach

    with open_system() as system:
        count = attach(system, system.clock(), agent, x or (), feed or ())
    _say(f"{agent} follows {count} more", {"name": agent, "attached": count}, as_json=as_json)


@agents.command("unfollow")
@command
def unfollow(agent: Name, x: Handles = None, feed: Feeds = None, as_json: Json = False) -> None:
    """Detach X accounts and feeds from an agent; their track record stays."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.registry import unfollow as detach

    with open_system() as system:
        count = detach(system, agent, x or (), feed or ())
    _say(f"{agent} follows {count} fewer", {"name": agent, "detached": count}, as_json=as_json)


@sources.command("list")
@command
def list_all(as_json: Json = False) -> None:
    """List sources: who follows them, how reading them goes, their hit rate and weight."""
    from agentwhere_app.session import open_system
    from agentwhere_store.sources import list_sources

    with open_system() as system, system.engine.connect() as conn:
        found = list_sources(conn)
    if as_json:
        print_json(found)
        return
    rows = [
        {
            "source": row["source"],
            "followed by": ", ".join(row["followed_by"] or ()),
            "read": f"{row['last_fetched']:%m-%d %H:%M}" if row["last_fetched"] else "never",
            "posts": row["posts"],
            "signals": row["signals"],
            "closed": row["closed"],
            "hit rate": _rate(row),
            "PnL $": None if row["pnl_usd"] is None else f"{row['pnl_usd']:.2f}",
            "weight": f"{row['weight']:.3f}",
            "error": row["last_error"],
        }
        for row in found
    ]
    print_table("Sources", rows, empty="No source yet: `agentwhere agents create NAME --x HANDLE`.")


def _rate(row: dict[str, Any]) -> str:
    if row["hit_rate"] is None:
        return ""
    return f"{row['hit_rate']:.0%} ({row['hit_rate_low']:.0%} to {row['hit_rate_high']:.0%})"


def _set_status(agent: str, status: AgentStatus, *, as_json: bool) -> None:
    from agentwhere_app.session import open_system
    from agentwhere_flow.registry import set_agent_status

    with open_system() as system:
        set_agent_status(system, system.clock(), agent, status)
    _say(f"{agent} is {status.value}", {"name": agent, "status": status.value}, as_json=as_json)


def _say(sentence: str, facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        print(sentence)
