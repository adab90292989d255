"""How commands speak: tables for people, JSON for programs, one line for errors."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from agentwhere_core.domain.errors import AgentWhereError

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_FILES = 180

P = ParamSpec("P")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def command(work: Callable[P, None]) -> Callable[P, None]:
    """Turn our errors into one line on standard error (or a JSON object) and exit code 1."""

    @functools.wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json = bool(kwargs.get("as_json"))
        quiet_logs()
        try:
            work(*args, **kwargs)
        except AgentWhereError as error:
            fail(error, as_json=as_json)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except BrokenPipeError:
            sys.stderr.close()
            raise typer.Exit(1) from None

    return run


def fail(error: Exception, *, as_json: bool) -> None:
    """Say what went wrong, and end with exit code 1."""
    if as_json:
        print_json({"error": {"type": type(error).__name__, "message": str(error)}})
    else:
        print(f"agentwhere: {error}", file=sys.stderr)
    raise typer.Exit(1) from error


def quiet_logs() -> None:
    """Keep log lines away from standard output, and only those that matter to a person."""
    import logging

    from agentwhere_flow.logs import configure_logs
    from agentwhere_flow.settings import LogFormat

    # The settings themselves may be what is wrong, and that is told like any other error.
    is_json = os.environ.get("AGENTWHERE_LOG_FORMAT") == LogFormat.JSON
    configure_logs(LogFormat.JSON if is_json else LogFormat.TEXT, logging.ERROR)


def print_json(value: Any) -> None:
    """Print a value as JSON; Decimals, times and ids become text."""
    print(json.dumps(value, indent=2, default=str))


def print_table(title: str, rows: Sequence[Mapping[str, Any]], *, empty: str) -> None:
    """Print rows as a table, or say what it means that there are none."""
    from rich.table import Table
    from rich.text import Text

    console = wide_console()
    if not rows:
        console.print(empty, highlight=False)
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in rows[0]:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row.values()))
    console.print(table)


def wide_console() -> Console:
    """Return a console for standard output that does not squeeze what goes into a file or a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_FILES)


def note(text: str) -> None:
    """Tell a person how far long work is, on standard error."""
    print(text, file=sys.stderr, flush=True)
