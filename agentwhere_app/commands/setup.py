"""``setup``, ``sync-markets``, ``db url`` and ``secrets put``: what makes a home ready."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from agentwhere_app.output import Json, command, note, print_json, print_table
from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import AgentWhereError, ConfigurationError

db = typer.Typer()
secrets = typer.Typer()


@command
def setup(as_json: Json = False) -> None:
    """Migrate the database, write the default routing configuration and verify both. Safe to repeat."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.setup import setup as set_up

    with open_system() as system:
        report = set_up(system, system.clock())
    if as_json:
        print_json({"ok": report.ok, "lines": report.lines, "problems": report.problems})
        return
    for line in report.lines:
        print(line)
    for problem in report.problems:
        print(f"to do: {problem}")


@command
def sync_markets(
    venue: Annotated[
        str | None, typer.Argument(help="One venue; all enabled ones without it.")
    ] = None,
    may_shrink: Annotated[
        bool, typer.Option(help="Believe a list that lost more than half of its markets.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fetch the market lists of one venue, or of all; a venue's failure stops no other's sync."""
    from agentwhere_app.session import open_system
    from agentwhere_flow.markets import sync_markets as sync
    from agentwhere_flow.views import markets_by_venue

    results: list[dict[str, Any]] = []
    with open_system(simulator=True) as system:
        enabled = system.settings.venues
        wanted = enabled if venue is None else (_venue(venue, enabled),)
        for one in wanted:
            note(f"syncing {one.value}")
            try:
                report = sync(system, system.clock(), venue=one, may_shrink=may_shrink)
            except AgentWhereError as error:
                results.append({"venue": one.value, "ok": False, "error": str(error)})
            else:
                results.append({"venue": one.value, "ok": True, **report.as_dict()})
        markets = markets_by_venue(system)
    if as_json:
        print_json(results)
    else:
        rows = [
            {
                "venue": result["venue"],
                "synced": result.get("rows_out", 0),
                "listed": markets.get(Venue(str(result["venue"])), {}).get("listed", 0),
                "seconds": result.get("seconds"),
                "problem": result.get("error") or "; ".join(result.get("problems", [])),
            }
            for result in results
        ]
        print_table("Market lists", rows, empty="No venue is enabled: set AGENTWHERE_VENUES.")
    if not all(result["ok"] for result in results):
        raise typer.Exit(1)


@db.command("url")
@command
def db_url(as_json: Json = False) -> None:
    """Print the URL of the database, password included. The embedded one runs while `up` or a command does."""
    from agentwhere_app.home import load_settings
    from agentwhere_app.session import database_url_of

    settings = load_settings()
    if settings.database_url is None:
        _choose_address(settings.home)
    url = database_url_of(settings)
    if as_json:
        print_json({"url": url, "embedded": settings.database_url is None})
    else:
        print(url)


@secrets.command("put")
@command
def put_secret(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")],
    as_json: Json = False,
) -> None:
    """Store a secret; it is asked for without echo, or read from standard input."""
    from agentwhere_app.home import load_settings
    from agentwhere_flow.secrets import SecretStore

    value = _ask(name).strip()
    if not value:
        raise ConfigurationError(f"secret {name!r} would be empty: nothing was stored")
    SecretStore(load_settings().home).put(name, value)
    if as_json:
        print_json({"stored": name})
    else:
        note(f"stored {name}")


def _ask(name: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.read()
    return str(typer.prompt(f"Value of {name}", hide_input=True, err=True))


def _venue(text: str, enabled: tuple[Venue, ...]) -> Venue:
    names = ", ".join(one.value for one in enabled)
    try:
        venue = Venue(text.upper())
    except ValueError:
        raise ConfigurationError(f"there is no venue {text!r}: choose one of {names}") from None
    if venue not in enabled:
        raise ConfigurationError(f"{venue.value} is not enabled; AGENTWHERE_VENUES has {names}")
    return venue


def _choose_address(home: Path) -> None:
    """Let the embedded server choose port and password where it has not yet."""
    from agentwhere_store.embedded import EmbeddedPostgres

    server = EmbeddedPostgres(home)
    if server.status().address is None:
        with server.running():
            pass
