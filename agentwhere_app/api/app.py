"""The app: routes, the gate around them, and what lives as long as the process."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Response
from fastapi.middleware.cors import CORSMiddleware
from starlette.datastructures import Headers

from agentwhere_app.api import arena, problems
from agentwhere_app.api.access import KeyRing
from agentwhere_app.api.caching import wants_newest
from agentwhere_app.api.changes import ChangeFeed
from agentwhere_app.api.context import Api
from agentwhere_app.api.gate import Gate, GateRules, allowed_hosts
from agentwhere_app.api.limiting import RateLimits
from agentwhere_app.api.metrics import Meter
from agentwhere_app.api.openapi import describe
from agentwhere_app.api.pages import Pages
from agentwhere_app.api.routes import (
    events,
    marketplace,
    monitoring,
    operations,
    pages,
    process,
    registry,
    trading,
    venue_routing,
)
from agentwhere_app.api.traced import Traced
from agentwhere_app.api.watching import keep_watch
from agentwhere_core import tracing

if TYPE_CHECKING:
    from starlette.types import Scope

    from agentwhere_flow.system import System

HEALTH, PERFORMANCE = "/api/monitoring/health", "/performance"
THREADS = 10
"""Requests of one process that wait for the database at once; each may hold a connection."""


def create_app(system: System) -> FastAPI:
    """Return the API over a system, which it closes at its end."""
    settings = system.settings
    is_loopback = binds_loopback(settings.api_host)
    limits = RateLimits(
        per_address=settings.api_requests_per_minute,
        per_key=settings.api_key_requests_per_minute,
    )
    meter = Meter()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        from anyio import to_thread

        to_thread.current_default_thread_limiter().total_tokens = THREADS
        health = monitoring.health_shelf(system)
        performance, invocations = arena.performance_shelf(system), arena.invocation_shelves(system)
        kept = (("health", health), ("arena", performance), ("arena", invocations))

        def heed(topics: frozenset[str]) -> None:
            for topic, shelf in kept:
                if topic in topics:
                    shelf.outdate()

        changes = ChangeFeed(lambda: system.engine, heed)
        api = Api(
            system=system,
            keys=KeyRing(system, limits, is_loopback=is_loopback),
            changes=changes,
            health=health,
            performance=performance,
            invocations=invocations,
            is_loopback=is_loopback,
        )
        app.state.api = api
        app.state.meter = meter
        changes.start()
        watch = asyncio.create_task(keep_watch(system))
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await changes.stop()
            system.close()

    app = FastAPI(
        title="Agent Where",
        version=version("agentwhere") if _is_installed() else "0",
        summary="Agents, routing, positions and the health of the system.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # Described below: made once, beside the event loop.
        openapi_url=None,
    )
    problems.install(app)
    for module in (
        process,
        monitoring,
        venue_routing,
        marketplace,
        registry,
        trading,
        operations,
        arena,
        events,
        pages,
    ):
        app.include_router(module.router)
    describe(app)
    app.mount("/", Pages())
    _wrap(app, system, limits, meter, is_loopback=is_loopback)
    return app


def binds_loopback(host: str) -> bool:
    """Return whether a server bound to ``host`` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wrap(
    app: FastAPI, system: System, limits: RateLimits, meter: Meter, *, is_loopback: bool
) -> None:
    settings = system.settings
    if settings.api_cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.api_cors_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "If-None-Match"],
        )
    rules = GateRules(
        hosts=allowed_hosts(settings.api_host, settings.api_hosts, is_loopback=is_loopback),
        origins=frozenset(origin.lower() for origin in settings.api_cors_origins),
        body_limit_bytes=settings.api_body_limit_bytes,
        counts_local=not is_loopback or bool(settings.api_trusted_proxies),
    )

    def is_draining() -> bool:
        api: Any = getattr(app.state, "api", None)
        return api is not None and api.is_draining

    def at_hand(scope: Scope) -> Response | None:
        api: Api = app.state.api
        # Pages of other origins are answered by the layer that knows them.
        if settings.api_cors_origins:
            return None
        shelf = {HEALTH: api.health, PERFORMANCE: api.performance}.get(scope["path"])
        if shelf is None:
            return None
        return shelf.at_hand(newest=wants_newest(Headers(scope=scope)))

    app.add_middleware(
        Gate, rules=rules, limits=limits, meter=meter, is_draining=is_draining, at_hand=at_hand
    )
    if tracing.is_on():
        app.add_middleware(Traced)


def _is_installed() -> bool:
    from importlib.metadata import PackageNotFoundError

    try:
        version("agentwhere")
    except PackageNotFoundError:
        return False
    return True
