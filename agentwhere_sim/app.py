"""Put the simulated services behind one port.

====================  ===========================================
``/hyperliquid``      ``info``, ``exchange``
``/ostium``           subgraph, prices, trading hours
``/lighter``          order books
``/x`` ``/feeds``     posts
``/llm``              chat completions
``/control``          prices, clock, faults, accounts, posts
``/healthz``          is it up, and whose home is it
====================  ===========================================

Service modules give routes relative to their prefix.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TextIO

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from agentwhere_sim import control, feeds, hyperliquid, lighter, llm, ostium, x
from agentwhere_sim.faults import Dropped, FaultReply
from agentwhere_sim.follow import follow
from agentwhere_sim.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from starlette.requests import Request

_TICK_S = 1.0
_BACKLOG = 256
_log = logging.getLogger(__name__)
_connections: dict[tuple[str, int], asyncio.Transport] = {}


class DroppableProtocol(H11Protocol):
    """Uvicorn's HTTP protocol, remembering each connection so that a fault can cut it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the connection by the client's address."""
        super().connection_made(transport)
        if self.client is not None:
            _connections[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        if self.client is not None:
            _connections.pop(self.client, None)


def create_app(world: World, sources: Mapping[str, str] | None = None) -> Starlette:
    """Build the ASGI application that serves a world; ``sources`` are public URLs by venue whose prices it follows."""

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "pid": os.getpid(), "home": str(world.home)})

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_beat(world))]
        if sources:
            tasks.append(asyncio.create_task(follow(world, sources)))
        yield
        for task in tasks:
            task.cancel()
        world.close()

    return Starlette(
        routes=[
            Route("/healthz", health),
            Route("/control", control.overview),
            Mount("/control", routes=control.routes(world)),
            Mount("/hyperliquid", routes=hyperliquid.routes(world)),
            Mount("/ostium", routes=ostium.routes(world)),
            Mount("/lighter", routes=lighter.routes(world)),
            Mount("/x", routes=x.routes(world)),
            Mount("/feeds", routes=feeds.routes(world)),
            Mount("/llm", routes=llm.routes(world)),
        ],
        exception_handlers={FaultReply: _reply_by_fault, Dropped: _drop},
        lifespan=lifespan,
    )


def run(port: int, home: Path, seed: int, sources: Mapping[str, str]) -> None:
    """Serve a world on 127.0.0.1 until the process is told to stop.

    Raises
    ------
    SystemExit
        If another simulator uses the home, or another process the port.
    """
    lock = _claim(home)
    world = World(home, seed)
    listener = _listen(port)
    host, bound_port = listener.getsockname()
    print(  # noqa: T201 - tells people and tests where it listens
        f"simulated world on http://{host}:{bound_port}, memory in {home}", flush=True
    )
    config = uvicorn.Config(
        create_app(world, sources),
        http=DroppableProtocol,
        ws="none",
        loop="asyncio",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=30,
    )
    uvicorn.Server(config).run(sockets=[listener])
    lock.close()


def _claim(home: Path) -> TextIO:
    home.mkdir(parents=True, exist_ok=True)
    lock = (home / "world.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SystemExit(
            f"another simulator uses {home}; stop it, or give this one another --home"
        ) from None
    return lock


def _listen(port: int) -> socket.socket:
    # The protocol is named because asyncio sets TCP_NODELAY only on sockets that say they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise SystemExit(
            f"cannot listen on port {port} ({error.strerror}); choose another --port"
        ) from None
    listener.listen(_BACKLOG)
    return listener


async def _beat(world: World) -> None:
    while True:
        await asyncio.sleep(_TICK_S)
        try:
            await world.faults.deliver()
            world.tick()
        except Exception:  # noqa: BLE001 - the edge of a process; recorded
            _log.exception("the simulated world could not do what time made due; next try in 1 s")


async def _reply_by_fault(_request: Request, error: Exception) -> Response:
    return error.response if isinstance(error, FaultReply) else Response(status_code=500)


async def _drop(request: Request, _error: Exception) -> Response:
    client: Any = request.scope.get("client")
    transport = _connections.get(tuple(client)) if client else None
    if transport is not None:
        transport.abort()
        await asyncio.sleep(0.01)
    return Response(status_code=503)
