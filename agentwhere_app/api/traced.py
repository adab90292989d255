"""A span for each request to the API, under the name of its route."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentwhere_core.tracing import Kind, span


class Traced:
    """Wraps an app; streams are recorded when they end."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request inside a span."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method = scope["method"]
        with span(method, Kind.SERVER, http__request__method=method) as made:

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    made.note(http__response__status_code=message["status"])
                await send(message)

            await self.app(scope, receive, noted)
            route = getattr(scope.get("route"), "path", None)
            # A path that is no route may be anything that somebody made up.
            if route:
                made.rename(f"{method} {route}")
                made.note(http__route=route)
