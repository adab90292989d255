"""Faults that a test orders through ``/control/faults`` and that a service then suffers.

A service calls ``gate`` before it handles a request and ``after`` with its reply, or lets ``guard`` do both around a
handler. A gate either returns (perhaps late), or raises ``FaultReply`` (answer this instead) or ``Dropped`` (close the
connection without a word); the application turns both into what the client sees.

=============== =========================================================================================
kind            what the client meets
=============== =========================================================================================
reject          a definite refusal in the service's own form; nothing was handled
429             too many requests, with ``retry-after``; nothing was handled
5xx             502; nothing was handled
5xx_after       the request is handled, then answered with 502
slow            a right answer, ``seconds`` late
drop_before     the connection closes; nothing was handled
drop_after      the request is handled, then the connection closes
hang_before     silence for ``seconds`` or until the client leaves; nothing was handled
hang_after      the request is handled at once, the answer held back for ``seconds`` or until the client leaves
late            the connection closes at once; the request is handled ``seconds`` later
duplicate       the request is handled twice; the client sees the second answer
malformed       the request is handled, the answer is cut in the middle
down            the connection closes; until the fault is deleted unless ``count`` says otherwise
sequencer_drop  ``lighter`` only: the transaction is accepted, and then never happens
keeper_dead     ``ostium`` only: the keeper passes over the next ``count`` orders for good
stuck           ``ostium`` only: a transaction is accepted, and left out of every block until it is replaced
subgraph_late   ``ostium`` only: trades, orders and the block of the subgraph stand still until the fault is deleted
=============== =========================================================================================
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from agentwhere_sim.database import Database

    Handler = Callable[[Request], Awaitable[Response]]
    Wait = Callable[[float], Awaitable[object]]

SERVICES = ("hyperliquid.info", "hyperliquid.exchange", "ostium", "lighter", "x", "feeds", "llm")
KINDS = (
    "reject",
    "429",
    "5xx",
    "5xx_after",
    "slow",
    "drop_before",
    "drop_after",
    "hang_before",
    "hang_after",
    "late",
    "duplicate",
    "malformed",
    "down",
    "sequencer_drop",
    "keeper_dead",
    "stuck",
    "subgraph_late",
)
_BEFORE = ("reject", "429", "5xx", "slow", "drop_before", "hang_before", "down")
_AFTER = ("5xx_after", "drop_after", "hang_after", "malformed")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS faults (
    id INTEGER PRIMARY KEY, service TEXT NOT NULL, kind TEXT NOT NULL, remaining INTEGER, seconds REAL NOT NULL,
    match TEXT NOT NULL, fired INTEGER NOT NULL DEFAULT 0)
"""


class FaultReply(Exception):  # noqa: N818 - an outcome, not an error
    """Answer the client with ``response`` instead of handling its request."""

    def __init__(self, response: Response) -> None:
        super().__init__("a fault answers instead of the service")
        self.response = response


class Dropped(Exception):  # noqa: N818 - an outcome, not an error
    """Close the client's connection without an answer."""


@dataclass(slots=True)
class Fault:
    """One ordered fault. ``remaining`` counts down to 0; ``None`` never ends. ``match`` must occur in path or body."""

    id: int
    service: str
    kind: str
    remaining: int | None
    seconds: float
    match: str
    fired: int

    @property
    def pending(self) -> bool:
        """Whether it will fire again."""
        return self.remaining is None or self.remaining > 0


class Faults:
    """Keep the ordered faults and apply them to requests."""

    def __init__(self, db: Database, wall_ms: Callable[[], int]) -> None:
        self._db = db
        self._wall_ms = wall_ms
        self._under_way: list[tuple[int, Handler, Request]] = []
        db.define(_SCHEMA)
        self.reload()

    def reload(self) -> None:
        """Read the ordered faults from memory."""
        self._faults = [Fault(*row) for row in self._db.query("SELECT * FROM faults ORDER BY id")]

    def order(
        self, service: str, kind: str, count: int | None = 1, seconds: float = 0.0, match: str = ""
    ) -> Fault:
        """Order a fault for the next ``count`` matching requests of a service (``None``: until it is deleted).

        Raises
        ------
        ValueError
            If service or kind is none of ``SERVICES`` and ``KINDS``.
        """
        if service not in SERVICES:
            raise ValueError(f"unknown service {service!r}; one of {', '.join(SERVICES)}")
        if kind not in KINDS:
            raise ValueError(f"unknown fault kind {kind!r}; one of {', '.join(KINDS)}")
        fault_id = self._db.execute(
            "INSERT INTO faults (service, kind, remaining, seconds, match) VALUES (?, ?, ?, ?, ?)",
            (service, kind, count, seconds, match),
        )
        self.reload()
        return next(fault for fault in self._faults if fault.id == fault_id)

    def all(self) -> list[Fault]:
        """List every fault ordered since the last clearing, spent ones included."""
        return list(self._faults)

    def clear(self) -> None:
        """Delete all faults, spent ones included."""
        self._db.execute("DELETE FROM faults")
        self.reload()

    def forget(self) -> None:
        """Lose the requests that are under way, as a new home would."""
        self._under_way.clear()

    async def gate(
        self,
        service: str,
        content: str = "",
        reject: Response | None = None,
        hang: Wait = asyncio.sleep,
    ) -> None:
        """Suffer the first pending fault that acts before handling.

        ``content`` (path and body) is what a fault's ``match`` is looked for in; ``reject`` is the service's own form
        of a refusal; ``hang`` keeps a client waiting. Raises ``FaultReply`` or ``Dropped``.
        """
        fault = self.take(service, _BEFORE, content)
        if fault is None:
            return
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        if fault.kind == "hang_before":
            await hang(fault.seconds)
        if fault.kind in ("drop_before", "hang_before", "down"):
            raise Dropped
        if fault.kind == "reject":
            raise FaultReply(
                reject or JSONResponse({"error": "refused by an ordered fault"}, status_code=403)
            )
        if fault.kind == "429":
            raise FaultReply(_too_many_requests(service, fault.seconds))
        if fault.kind == "5xx":
            raise FaultReply(_bad_gateway())

    async def after(
        self, service: str, response: Response, content: str = "", hang: Wait = asyncio.sleep
    ) -> Response:
        """Suffer the first pending fault that acts on a reply; return what the client gets. Raises ``Dropped``."""
        fault = self.take(service, _AFTER, content)
        if fault is None:
            return response
        if fault.kind == "hang_after":
            await hang(fault.seconds)
            return response
        if fault.kind == "drop_after":
            raise Dropped
        if fault.kind == "5xx_after":
            return _bad_gateway()
        body = bytes(response.body)
        return Response(
            body[: len(body) // 2], response.status_code, media_type=response.media_type
        )

    def suffers(self, service: str, kind: str, content: str) -> bool:
        """Tell whether a fault that only the service itself can act out is due, and count it as fired."""
        return self.take(service, (kind,), content) is not None

    async def deliver(self) -> None:
        """Handle the late requests whose time has come; nobody hears the answers."""
        now_ms = self._wall_ms()
        due = [item for item in self._under_way if item[0] <= now_ms]
        self._under_way = [item for item in self._under_way if item[0] > now_ms]
        for _, handler, request in due:
            await handler(request)

    def guard(
        self,
        service: str,
        handler: Handler,
        reject: Response | None = None,
    ) -> Handler:
        """Wrap a handler so that it suffers every kind of fault ordered for ``service``."""

        async def guarded(request: Request) -> Response:
            body = await request.body()
            content = f"{request.url.path}?{request.url.query} {body.decode(errors='replace')}"
            hang = partial(_while_client_waits, request)
            await self.gate(service, content, reject, hang)
            if (late := self.take(service, ("late",), content)) is not None:
                self._under_way.append(
                    (self._wall_ms() + int(late.seconds * 1000), handler, request)
                )
                raise Dropped
            if self.take(service, ("duplicate",), content) is not None:
                await handler(request)
            return await self.after(service, await handler(request), content, hang)

        return guarded

    def take(self, service: str, kinds: tuple[str, ...], content: str = "") -> Fault | None:
        """Use up one firing of the first pending fault of these kinds, or give ``None``."""
        for fault in self._faults:
            if (
                fault.service == service
                and fault.kind in kinds
                and fault.pending
                and fault.match in content
            ):
                fault.fired += 1
                if fault.remaining is not None:
                    fault.remaining -= 1
                self._db.execute(
                    "UPDATE faults SET fired = ?, remaining = ? WHERE id = ?",
                    (fault.fired, fault.remaining, fault.id),
                )
                return fault
        return None


async def _while_client_waits(request: Request, seconds: float) -> None:
    """Wait, but not for a client that has left: once its body is read, all that it can still say is that it goes."""
    left = asyncio.ensure_future(request.receive())
    await asyncio.wait({left}, timeout=seconds)
    left.cancel()


def _bad_gateway() -> Response:
    return Response("<html><body>502 Bad Gateway</body></html>", 502, media_type="text/html")


def _too_many_requests(service: str, seconds: float) -> Response:
    headers = {"retry-after": str(int(seconds) or 1), "x-rate-limit-remaining": "0"}
    if service.startswith("hyperliquid"):
        return Response("null", 429, headers, "application/json")
    return JSONResponse(
        {"title": "Too Many Requests", "detail": "Too Many Requests", "status": 429}, 429, headers
    )
