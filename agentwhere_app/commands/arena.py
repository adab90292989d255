"""``models add|list|pause|resume`` and ``arena show|replay|backtest``: the traders that compete."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from agentwhere_app.commands.agents import parse_account
from agentwhere_app.output import Json, command, note, print_json, print_table
from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from agentwhere_core.arena.values import ModelStatus

models = typer.Typer()
arena = typer.Typer()

_NO_MODEL = (
    "No model yet: `agentwhere models add NAME --model openai/gpt-4o-mini --markets BTC,ETH`."
)


@models.command("add")
@command
def add(
    *,
    name: Annotated[str, typer.Argument(help="Unique name.")],
    model: Annotated[
        str, typer.Option(help="OpenRouter's name of the model, or baseline/… for a rule.")
    ],
    markets: Annotated[str, typer.Option(help="Tokens to trade, by commas.")] = "BTC,ETH,SOL",
    capital: Annotated[str, typer.Option(help="USD that it may use.")] = "10000",
    account: Annotated[
        list[str] | None,
        typer.Option(help="VENUE:ADDRESS:SECRET; repeat it. In simulation one is opened for it."),
    ] = None,
    venue: Annotated[Venue, typer.Option(help="MULTI lets the router choose.")] = Venue.LIGHTER,
    leverage: Annotated[
        list[str] | None, typer.Option(help="TOKEN:LEVERAGE, 1 where none is given; repeat it.")
    ] = None,
    interval: Annotated[int, typer.Option(help="Seconds between invocations.")] = 300,
    budget: Annotated[
        str | None, typer.Option(help="Most USD to pay the provider per UTC day.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a model with an account of its own; it is invoked from now on."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.arena.demo import add_simulated_model
    from agentwhere_flow.arena.registry import NewModel, add_model_with_keys
    from agentwhere_flow.registry import NewAccount

    new = NewModel(
        name=name,
        openrouter_model=model,
        markets=tuple(token.strip().upper() for token in markets.split(",") if token.strip()),
        capital_usd=_number("--capital", capital),
        venue=venue,
        leverage=dict(_leverage(text) for text in leverage or ()),
        interval_s=interval,
        budget_usd_per_day=None if budget is None else _number("--budget", budget),
    )
    with open_system(simulator=not account) as system:
        if account:
            accounts = [NewAccount(*parse_account(text)) for text in account]
            add_model_with_keys(system, system.clock(), new, accounts)
        else:
            add_simulated_model(system, system.clock(), new)
    if as_json:
        print_json({"name": name, "model": model})
    else:
        print(f"added {name}; see it with `agentwhere models list`")


@models.command("list")
@command
def list_all(as_json: Json = False) -> None:
    """List models with their invocations, account value and cost."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.arena.registry import list_models

    with open_system() as system:
        found = list_models(system, system.clock())
    if as_json:
        print_json(found)
        return
    rows = [
        {
            "name": row["name"],
            "model": row["model"],
            "status": row["status"],
            "venue": row["venue"],
            "markets": ", ".join(row["markets"]),
            "every": f"{row['interval_s']} s",
            "invocations": row["invocations"],
            "skipped": row["skipped"],
            "minutes": row["minutes_since_start"],
            "value": "" if row["account_value_usd"] is None else f"{row['account_value_usd']:,.2f}",
            "cost": f"{row['cost_usd']:.4f}",
        }
        for row in found
    ]
    print_table("Models", rows, empty=_NO_MODEL)


@models.command("pause")
@command
def pause(name: Annotated[str, typer.Argument(help="Name of the model.")]) -> None:
    """Invoke a model no more; its open positions stay, and are looked after."""
    from agentwhere_core.arena.values import ModelStatus

    _set(name, ModelStatus.PAUSED)


@models.command("resume")
@command
def resume(name: Annotated[str, typer.Argument(help="Name of the model.")]) -> None:
    """Invoke a paused model again."""
    from agentwhere_core.arena.values import ModelStatus

    _set(name, ModelStatus.ACTIVE)


@arena.command("show")
@command
def show(as_json: Json = False) -> None:
    """Rank the models by return, net of fees and of what their language model cost."""
    from dataclasses import asdict

    from agentwhere_app.session import open_system
    from agentwhere_flow.arena.results import as_row, standings

    with open_system() as system:
        found = standings(system, system.clock())
    if as_json:
        print_json([asdict(standing) for standing in found])
        return
    print_table("Arena", [as_row(standing) for standing in found], empty=_NO_MODEL)
    if any(standing.differs_from_leader is False for standing in found):
        print('"no" in the last column: the difference to the leader may as well be chance.')


@arena.command("replay")
@command
def replay(
    invocation: Annotated[UUID, typer.Argument(help="Id of the invocation.")],
    ask: Annotated[bool, typer.Option(help="Ask the model again; nothing is traded.")] = True,
    as_json: Json = False,
) -> None:
    """Rebuild an invocation's prompt from its record, and ask its model again without trading."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.arena.replay import replay as replay_invocation

    with open_system(simulator=ask) as system:
        found = replay_invocation(system, invocation, ask=ask)
    told = {
        "invocation": invocation,
        "model": found.invocation.model_name,
        "number": found.invocation.number,
        "same_prompt": found.is_same_prompt,
        "same_answer": found.is_same_answer,
        "calls_then": [
            {"name": call.metadata["name"], "arguments": call.metadata["arguments"]}
            for call in found.calls
        ],
        "calls_now": [
            {
                "name": verdict.raw.name,
                "arguments": verdict.raw.arguments,
                "reason": verdict.reason and verdict.reason.value,
            }
            for verdict in (found.answer.verdicts if found.answer else ())
        ],
    }
    if as_json:
        print_json(told)
    else:
        print(found.prompt)
        for key in ("model", "number", "same_prompt", "same_answer", "calls_then", "calls_now"):
            print(f"{key}: {told[key]}")
    if not found.is_same_prompt:
        raise typer.Exit(1)


@arena.command("backtest")
@command
def backtest(
    *,
    start: Annotated[str, typer.Option("--from", help="First day, 2026-01-31, UTC.")],
    end: Annotated[str, typer.Option("--to", help="Day after the last, UTC.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="Model or baseline/… to run; repeat it. All baselines if left out."),
    ] = None,
    markets: Annotated[str, typer.Option(help="Tokens to trade, by commas.")] = "BTC,ETH,SOL",
    venue: Annotated[Venue, typer.Option(help="Whose candles, fees and rules.")] = Venue.LIGHTER,
    capital: Annotated[str, typer.Option(help="USD of each.")] = "10000",
    leverage: Annotated[str, typer.Option(help="Leverage in every market.")] = "3",
    interval: Annotated[int, typer.Option(help="Seconds between invocations.")] = 300,
    as_json: Json = False,
) -> None:
    """Run models or baselines over stored candles; missing ones are fetched first. No order leaves the machine."""
    from dataclasses import asdict

    from agentwhere_app.session import open_system
    from agentwhere_flow.arena.backtest import Plan, run_backtest
    from agentwhere_flow.arena.results import as_row

    with open_system(simulator=True) as system:
        tokens = tuple(token.strip().upper() for token in markets.split(",") if token.strip())
        plan = Plan(
            names=tuple(model or ()),
            venue=venue,
            markets=tokens,
            start=_day("--from", start),
            end=_day("--to", end),
            capital_usd=_number("--capital", capital),
            leverage=_number("--leverage", leverage),
            interval_s=interval,
        )
        outcome = run_backtest(system, system.clock(), plan, note)
    if as_json:
        print_json([asdict(standing) for standing in outcome.standings])
        return
    print_table("Backtest", [as_row(one) for one in outcome.standings], empty="Nothing was run.")
    for problem in outcome.problems:
        note(problem)


def _set(name: str, status: ModelStatus) -> None:
    from agentwhere_app.session import open_system
    from agentwhere_flow.arena.registry import set_status

    with open_system() as system:
        set_status(system, system.clock(), name, status)
    print(f"{name} is {status.value.lower()}")


def _number(option: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ConfigurationError(f"{option} must be a number, not {text!r}") from None
    if not value.is_finite() or value < 0:
        raise ConfigurationError(f"{option} must be zero or more, not {text!r}")
    return value


def _leverage(text: str) -> tuple[str, Decimal]:
    token, separator, value = text.partition(":")
    if not separator:
        raise ConfigurationError(f"--leverage must be TOKEN:LEVERAGE, e.g. BTC:5, not {text!r}")
    return token.upper(), _number("--leverage", value)


def _day(option: str, text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ConfigurationError(
            f"{option} must be a day such as 2026-01-31, not {text!r}"
        ) from None
