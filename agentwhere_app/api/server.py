"""One process of the server, and its end: what was begun is finished, what is new goes elsewhere.

Told to stop, it closes its door at once, so that new connections are refused; tells connections that are open, with
each answer, to come no more; ends streams; and leaves when the last request is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from agentwhere_app.api.app import THREADS, create_app

if TYPE_CHECKING:
    from fastapi import FastAPI

    from agentwhere_flow.settings import Settings

CLOSE_DOORS_S = 0.5
"""How long all workers need to close their doors, once the first has closed its own."""

DRAIN_S = 1.0
"""How long an open connection may come with another request, before it is closed while it is idle."""

FINISH_S = 6
"""How long requests under way may take after that."""

BACKLOG = 2048
KEEP_ALIVE_S = 30
DATABASE_LIMITS = {
    "pool_size": THREADS // 2,
    "max_overflow": THREADS - THREADS // 2,
    "connect_timeout_s": 3,
    "statement_timeout_s": 15,
}
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """A server that ends without cutting a request off."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the door, let connections finish, end."""
        for server in self.servers:
            server.close()
        api = self._app.state.api
        api.changes.close()
        # Who is sent away comes back at once: by then no other worker's door may be open either.
        await asyncio.sleep(CLOSE_DOORS_S)
        api.is_draining = True
        loop = asyncio.get_running_loop()
        patience = loop.time() + DRAIN_S
        # uvicorn keeps a set and announces nothing.
        while self.server_state.connections and loop.time() < patience:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop at SIGINT and SIGTERM, and return to the caller, who may have more to put in order."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(settings: Settings, listener: socket.socket) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT."""
    from agentwhere_flow.logs import configure_libraries, configure_logs
    from agentwhere_flow.system import System
    from agentwhere_flow.telemetry import start_tracing

    configure_logs(settings.log_format)
    configure_libraries(settings.log_format)
    start_tracing(settings, "agentwhere-api")
    app = create_app(System(settings, database=DATABASE_LIMITS))
    make_server(app, settings).run(sockets=[listener])


def make_server(app: FastAPI, settings: Settings) -> Server:
    """Return a server for the app."""
    config = uvicorn.Config(
        app,
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.api_trusted_proxies),
        forwarded_allow_ips=list(settings.api_trusted_proxies),
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=FINISH_S,
        backlog=BACKLOG,
    )
    return Server(config, app)


def main() -> None:
    """Serve on a socket that the parent process bound."""
    from agentwhere_flow.settings import Settings

    parser = argparse.ArgumentParser(prog="agentwhere_app.api.server")
    parser.add_argument("--fd", type=int, required=True)
    listener = socket.socket(fileno=parser.parse_args().fd)
    run(Settings(), listener)


if __name__ == "__main__":
    main()
