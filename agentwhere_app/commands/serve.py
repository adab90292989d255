"""``serve``: the HTTP API and the dashboard by themselves."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agentwhere_app.output import Json, command, print_json
from agentwhere_core.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from agentwhere_flow.settings import Settings


@command
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port; 0 chooses a free one.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
    as_json: Json = False,
) -> None:
    """Serve the HTTP API and the dashboard until Ctrl-C; without any key on the loopback interface only."""
    from agentwhere_app.commands.up import say
    from agentwhere_app.home import load_settings, service_environment
    from agentwhere_app.session import database_url_of, open_database

    given = {"api_host": host, "api_port": port}
    settings = load_settings().model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
    with open_database(settings) as with_database:
        settings = kept_at_home(with_database)
        listener = _bind(settings)
        name, bound_port = listener.getsockname()[:2]
        settings = settings.model_copy(update={"api_port": bound_port})
        url = f"http://{f'[{name}]' if ':' in name else name}:{bound_port}"
        if as_json:
            print_json({"url": url, "workers": workers, "pid": os.getpid()})
            sys.stdout.flush()
        say(f"API and dashboard on {url}")
        if workers == 1:
            from agentwhere_app.api.server import run

            run(settings, listener)
        else:
            from agentwhere_app.api.workers import run_workers

            environment = service_environment(settings, database_url_of(settings))
            run_workers(listener, workers, environment, say)
    say("API stopped")


def kept_at_home(settings: Settings) -> Settings:
    """Return the settings with the loopback interface where others could reach an API without keys."""
    from agentwhere_app.api.app import binds_loopback
    from agentwhere_app.commands.up import say

    if binds_loopback(settings.api_host) or _has_keys(settings):
        return settings
    say(
        f"no API key exists: listening on 127.0.0.1 instead of {settings.api_host}. Make one with "
        "`agentwhere keys create NAME --scope read`, then start again"
    )
    return settings.model_copy(update={"api_host": "127.0.0.1"})


def _has_keys(settings: Settings) -> bool:
    from sqlalchemy.exc import DBAPIError

    from agentwhere_flow.access import valid_keys
    from agentwhere_flow.system import System

    system = System(settings)
    try:
        return bool(valid_keys(system, system.clock()))
    except DBAPIError:
        return False
    finally:
        system.close()


def _bind(settings: Settings) -> socket.socket:
    """Return a socket that listens where the settings say.

    Raises
    ------
    ConfigurationError
        If the address cannot be bound; the message says why.
    """
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.api_host, settings.api_port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"the API cannot listen on {settings.api_host} port {settings.api_port}: {error.strerror}; "
            "set AGENTWHERE_API_PORT or --port to another"
        ) from None
    return listener
