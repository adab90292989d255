"""``signals``, ``route`` and ``positions``: what was proposed, where it would go, what is held."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from agentwhere_app.output import Json, command, print_json, print_table
from agentwhere_core.domain.enums import Side
from agentwhere_core.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from agentwhere_core.domain.routing import RoutingDecision

signals = typer.Typer()

Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")]


@signals.command("list")
@command
def list_signals(limit: Limit = 50, as_json: Json = False) -> None:
    """List signals, newest first."""
    from agentwhere_app.session import open_system
    from agentwhere_flow import views

    with open_system() as system:
        found = views.list_signals(system, limit)
    if as_json:
        print_json(found)
        return
    rows = [
        {
            "id": str(row["id"])[-8:],
            "created": f"{row['created_at']:%m-%d %H:%M}",
            "agent": row["agent"],
            "token": row["token"],
            "side": row["side"],
            "venue": row["venue"],
            "funds %": short(row["fund_percentage"]),
            "confidence": short(row["confidence"]),
            "leverage": short(row["leverage"]),
            "posts": row["posts"],
            "expires": f"{row['expires_at']:%m-%d %H:%M}",
        }
        for row in found
    ]
    print_table("Signals", rows, empty="No signal yet: run `agentwhere cycle`, or wait for `up`.")


@signals.command("show")
@command
def show_signal(
    signal_id: Annotated[str, typer.Argument(help="Its id, or the last characters of it.")],
    as_json: Json = False,
) -> None:
    """Explain a signal: its posts, the market it met, and each factor's value."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.stories import in_words, signal_story

    with open_system() as system:
        story = signal_story(system, signal_id)
    if as_json:
        print_json(story)
    else:
        print("\n".join(in_words(story)))


@signals.command("refused")
@command
def list_refused(limit: Limit = 50, as_json: Json = False) -> None:
    """List why posts made no signal, newest first."""
    from agentwhere_app.session import open_system
    from agentwhere_store.signals import recent_refusals

    with open_system() as system, system.engine.connect() as conn:
        found = recent_refusals(conn, limit)
    if as_json:
        print_json(found)
        return
    rows = [{**row, "created_at": f"{row['created_at']:%m-%d %H:%M}"} for row in found]
    print_table("Refused", rows, empty="Nothing was refused yet.")


@command
def route(  # noqa: PLR0917 - options, by name
    token: Annotated[
        str | None, typer.Argument(help="Any spelling: BTC, BTC-PERP, XAU/USD, kPEPE.")
    ] = None,
    side: Annotated[Side, typer.Option(help="Direction of the trade.")] = Side.LONG,
    margin: Annotated[float, typer.Option(min=0.01, help="Margin in USD, at leverage 1.")] = 100,
    explain: Annotated[bool, typer.Option("--explain", help="Tell the story in words.")] = False,
    replay: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Make a decision of the history again, and compare."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show where a trade in a token would go now, and why. Nothing is traded or recorded."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.routing import explain_route

    if replay is not None and token is None:
        _replay(replay, as_json=as_json)
        return
    if replay is not None or token is None:
        raise ConfigurationError("name either a token, or a decision with --replay ID")
    with open_system(simulator=True) as system:
        decision = explain_route(system, system.clock(), token, side, Decimal(str(margin)))
    if as_json:
        print_json(_decision_as_dict(decision))
        return
    if explain:
        print(decision.story)
    else:
        venue = decision.selected_venue
        print(f"{token.upper()}: {venue.value if venue else 'no venue'} ({decision.reason.value})")
    _print_checked(decision)


def _replay(text: str, *, as_json: bool) -> None:
    """Make a decision again, say whether it comes out the same, and end with 1 if it does not."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.replays import replay_decision

    try:
        routing_id = UUID(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is no decision's id: `agentwhere routing history` lists them"
        ) from None
    with open_system() as system:
        found = replay_decision(system, routing_id)
    if as_json:
        differences = list(found.differences)
        told = {"id": found.id, "is_equal": found.is_equal, "differences": differences}
        print_json({**told, "decision": _decision_as_dict(found.decision)})
    else:
        print(f"{found.decision.story}")
        _print_checked(found.decision)
        same = "Recomputed: equal in every field."
        print(same if found.is_equal else f"DIFFERS in {', '.join(found.differences)}.")
    if not found.is_equal:
        raise typer.Exit(1)


def _print_checked(decision: RoutingDecision) -> None:
    rows = [
        {
            "venue": checked.venue.value,
            "available": "yes" if checked.is_available else "no",
            "reason": checked.reason.value,
            "cost bps": short(checked.cost.total_bps) if checked.cost else None,
            "detail": checked.detail,
        }
        for checked in decision.checked
    ]
    print_table("Checked venues", rows, empty="No venue was checked.")


@command
def positions(
    include_closed: Annotated[bool, typer.Option("--closed", help="Closed ones too.")] = False,
    limit: Limit = 200,
    as_json: Json = False,
) -> None:
    """List open positions with their marks, newest first."""
    from agentwhere_app.session import open_system
    from agentwhere_flow import views

    with open_system() as system:
        found = views.list_positions(system, include_closed=include_closed, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [
        {
            "deployment": row["deployment"],
            "venue": row["venue"],
            "token": row["token"],
            "side": row["side"],
            "size": short(row["size"]),
            "entry": short(row["entry_price"]),
            "mark": short(row["current_price"]),
            "unrealized $": short(row["unrealized_pnl_usd"], 2),
            "realized $": short(row["realized_pnl_usd"], 2),
            "fees $": short(row["fees_usd"], 2),
            "stop": short(row["stop_loss_price"]),
            "target": short(row["take_profit_price"]),
            "protection": row["protection"],
            "exit": row["exit_reason"],
        }
        for row in found
    ]
    print_table("Positions", rows, empty="No open position.")


def _decision_as_dict(decision: RoutingDecision) -> dict[str, Any]:
    return {
        "requested_venue": decision.requested_venue,
        "selected_venue": decision.selected_venue,
        "reason": decision.reason,
        "story": decision.story,
        "checked_venues": [checked.venue for checked in decision.checked],
        "venue_availability": [
            {
                "venue": checked.venue,
                "available": checked.is_available,
                "reason": checked.reason,
                "detail": checked.detail,
                "expected_cost_bps": checked.cost.total_bps if checked.cost else None,
            }
            for checked in decision.checked
        ],
        "routing_strategy": decision.strategy,
        "config_version": decision.config_version,
        "legs": [{"venue": leg.venue, "share": leg.share} for leg in decision.legs],
    }


def short(value: Decimal | None, places: int | None = None) -> str | None:
    """Return a number as people read it: six significant digits, or ``places`` decimals."""
    if value is None:
        return None
    return f"{value:,.{places}f}" if places is not None else f"{float(value):,.6g}"
