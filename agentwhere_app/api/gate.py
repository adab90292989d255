"""What every request passes, before anything looks at it: host, origin, rate, size; and what every answer carries.

Written against ASGI itself: a framework's middleware would cost more than most answers.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fastapi import Response
from uuid_utils import uuid7

from agentwhere_app.api.access import is_local
from agentwhere_app.api.problems import problem

if TYPE_CHECKING:
    from agentwhere_app.api.limiting import RateLimits
    from agentwhere_app.api.metrics import Meter

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
STREAM = "/api/events"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
API_POLICY = "default-src 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class GateRules:
    """Who may come in.

    Parameters
    ----------
    hosts
        Names that the server answers to, without port; None for any. While no key is needed on this machine this must
        be set: otherwise a web page could point a name of its own at the loopback interface (DNS rebinding).
    origins
        Origins whose pages may read and write besides our own.
    counts_local
        Whether requests from this machine count for the rate limit.
    """

    hosts: frozenset[str] | None
    origins: frozenset[str]
    body_limit_bytes: int
    counts_local: bool


class _TooLargeError(Exception):
    """The body went on beyond the limit."""


class Gate:
    """The outermost layer of the app."""

    def __init__(
        self,
        app: AsgiApp,
        *,
        rules: GateRules,
        limits: RateLimits,
        meter: Meter,
        is_draining: Callable[[], bool],
        at_hand: Callable[[Scope], Response | None],
    ) -> None:
        self._app = app
        self._at_hand = at_hand
        self._rules = rules
        self._limits = limits
        self._meter = meter
        self._is_draining = is_draining
        isolation = b"cross-origin" if rules.origins else b"same-origin"
        self._headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", isolation),
        ]
        self._page_headers = [*self._headers, (b"content-security-policy", PAGE_POLICY.encode())]
        self._headers.append((b"content-security-policy", API_POLICY.encode()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        if scope["method"] == "HEAD" and scope["path"] != STREAM:
            # The server sends the headers of GET only; its own scope still says HEAD.
            scope = {**scope, "method": "GET"}
        outgoing = _Outgoing(self, scope, send)
        refusal = self._refuse(scope)
        try:
            answer = refusal or self._answer_at_hand(scope)
            if answer is not None:
                await answer(scope, receive, outgoing.send)
            else:
                await self._pass(scope, receive, outgoing)
        finally:
            self._meter.count(scope, outgoing.status, time.perf_counter() - began)

    def _answer_at_hand(self, scope: Scope) -> Response | None:
        """Return an answer that is rendered already; to go through the whole app costs several times as much."""
        if scope["method"] != "GET" or scope["query_string"]:
            return None
        answer = self._at_hand(scope)
        if answer is not None:
            scope["at_hand"] = scope["path"]
        return answer

    async def _pass(self, scope: Scope, receive: Receive, outgoing: _Outgoing) -> None:
        limit, taken = self._rules.body_limit_bytes, 0

        async def measured() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                outgoing.is_muted = not outgoing.status
                raise _TooLargeError
            return message

        with suppress(_TooLargeError):
            await self._app(scope, measured, outgoing.send)
        if outgoing.is_muted:
            # Whatever the app made of a body that broke off, this is what happened.
            outgoing.is_muted = False
            await self._too_large()(scope, receive, outgoing.send)

    def _refuse(self, scope: Scope) -> Response | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self._rules.hosts is not None and _name(host) not in self._rules.hosts:
            return problem(
                421,
                f"this server does not answer to the host {host!r}: use its own name, or add yours to "
                "AGENTWHERE_API_HOSTS",
            )
        if scope["method"] not in SAFE_METHODS and not self._may_write(headers, host):
            return problem(
                403,
                "pages of other origins may not write here: add theirs to AGENTWHERE_API_CORS_ORIGINS",
            )
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._rules.body_limit_bytes:
            return self._too_large()
        return self._limit(scope)

    def _may_write(self, headers: dict[bytes, bytes], host: str) -> bool:
        """Return whether a write comes from our own page, an allowed one, or no page at all."""
        origin = headers.get(b"origin")
        if origin is None:
            return headers.get(b"sec-fetch-site", b"none") in {b"none", b"same-origin"}
        text = origin.decode("latin-1").lower()
        return urlsplit(text).netloc == host or text in self._rules.origins

    def _limit(self, scope: Scope) -> Response | None:
        client = scope.get("client")
        address = client[0] if client else ""
        if not self._rules.counts_local and is_local(address):
            return None
        wait_s = self._limits.take(address)
        if wait_s is None:
            return None
        return problem(
            429,
            f"too many requests from {address}: come again in {wait_s} s",
            headers={"Retry-After": str(wait_s)},
        )

    def _too_large(self) -> Response:
        return problem(413, f"a body may have {self._rules.body_limit_bytes} bytes at most")

    def headers_for(self, scope: Scope) -> Iterable[tuple[bytes, bytes]]:
        """Return what every answer carries."""
        yield from self._page_headers if scope.get("is_page") else self._headers
        yield b"x-request-id", str(uuid7()).encode()
        if self._is_draining():
            yield b"connection", b"close"


class _Outgoing:
    """The way back: adds headers, and remembers the status."""

    def __init__(self, gate: Gate, scope: Scope, send: Send) -> None:
        self.status = 0
        self.is_muted = False
        self._gate = gate
        self._scope = scope
        self._send = send

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on, unless somebody else will answer."""
        if self.is_muted:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [
                *message.get("headers", ()),
                *self._gate.headers_for(self._scope),
            ]
        await self._send(message)


def allowed_hosts(
    bound_to: str, configured: Collection[str], *, is_loopback: bool
) -> frozenset[str] | None:
    """Return the names that a server may answer to; None for any, where it listens to the world and none is set."""
    if is_loopback:
        return LOOPBACK_HOSTS | {bound_to.lower()} | {name.lower() for name in configured}
    return frozenset(name.lower() for name in configured) or None


def _name(host: str) -> str:
    """Return a Host header without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
