"""Answers that are rendered once and served many times, and answers that a client need not fetch again.

A `Shelf` keeps one rendered answer. While it is fresh, it is served as it is; then it is still served at once, marked
as stale, while a new one is made beside it (stale-while-revalidate); when it is too old even for that, requests wait
for the new one. An answer that is live is stale as soon as what it tells has changed: who asks for the newest is told
of the change, and so is everybody a moment later. However many ask, one is made at a time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from fastapi import Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

RETRY_S = 1.0
OUTDATED_S = 2.0
"""How long after a change an answer from before it may be served, to who does not ask for the newest."""
_NEWEST = frozenset({"no-cache", "max-age=0"})

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, rendered both as fresh and as stale; one that is live is stale once what it tells has changed."""

    fresh: bytes
    stale: bytes
    status: int
    headers: Mapping[str, str]
    is_live: bool = False


def render(
    content: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    with_flag: bool = False,
    is_live: bool = False,
) -> Answer:
    """Render an answer; ``with_flag`` puts ``stale`` into its body."""
    if not with_flag:
        body = as_json(content)
        return Answer(body, body, status, headers or {}, is_live)
    return Answer(
        as_json({**content, "stale": False}),
        as_json({**content, "stale": True}),
        status,
        headers or {},
        is_live,
    )


class Shelf:
    """One answer that is made again in the background.

    Parameters
    ----------
    make
        Makes the answer; blocking, called in a thread.
    fresh_s
        How long an answer is served as fresh.
    keep_s
        How long it may be served at all; None for as long as no newer one can be made.
    now
        A monotonic clock in seconds.
    """

    def __init__(
        self,
        make: Callable[[], Answer],
        *,
        fresh_s: float,
        keep_s: float | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._fresh_s = fresh_s
        self._keep_s = keep_s
        self._now = now
        self._answer: Answer | None = None
        self._made_at = 0.0
        self._retry_at = 0.0
        self._making: asyncio.Task[Answer] | None = None
        self._changes = 0
        self._changes_told = 0
        self._changed_at = 0.0

    async def response(self, *, newest: bool = False) -> Response:
        """Return the answer as a response; ``newest`` waits for one that tells of all changes.

        Raises
        ------
        Exception
            What ``make`` raised, where there is no answer yet or it is too old.
        """
        if (kept := self.at_hand(newest=newest)) is not None:
            return kept
        renewal = await self._renewed()
        if renewal.exception() is None and self._is_outdated():
            # It was begun before the change.
            renewal = await self._renewed()
        if renewal.exception() is not None and (kept := self.at_hand()) is not None:
            return kept
        return _response(renewal.result(), 0.0)

    def at_hand(self, *, newest: bool = False) -> Response | None:
        """Return the answer without waiting, and have it renewed if it is stale; None if it cannot be served."""
        answer, now = self._answer, self._now()
        age = now - self._made_at
        if answer is None or (self._keep_s is not None and age > self._keep_s):
            return None
        is_outdated = self._is_outdated()
        is_stale = is_outdated or age > self._fresh_s
        if is_stale and now >= self._retry_at:
            if is_outdated and (newest or now - self._changed_at > OUTDATED_S):
                return None
            self._renewal()
        return _response(answer, age, is_stale=is_stale)

    def outdate(self) -> None:
        """Know that what a live answer tells has changed: who asks for the newest from now on is told of it."""
        if self._changes == self._changes_told:
            self._changed_at = self._now()
        self._changes += 1

    def _is_outdated(self) -> bool:
        is_live = self._answer is not None and self._answer.is_live
        return is_live and self._changes_told != self._changes

    async def _renewed(self) -> asyncio.Task[Answer]:
        renewal = self._renewal()
        await asyncio.wait({renewal})
        return renewal

    def _renewal(self) -> asyncio.Task[Answer]:
        if self._making is None:
            self._making = asyncio.create_task(self._renew())
            self._making.add_done_callback(self._note_failure)
        return self._making

    async def _renew(self) -> Answer:
        changes, began = self._changes, self._now()
        try:
            answer = await run_in_threadpool(self._make)
        except Exception:
            self._retry_at = self._now() + RETRY_S
            raise
        finally:
            self._making = None
        self._answer, self._made_at = answer, self._now()
        # A change that it does not tell of came after its beginning.
        self._changes_told, self._changed_at = changes, began
        return answer

    def _note_failure(self, task: asyncio.Task[Answer]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("answer could not be renewed", kind=type(error).__name__)


def _response(answer: Answer, age: float, *, is_stale: bool = False) -> Response:
    return Response(
        answer.stale if is_stale else answer.fresh,
        status_code=answer.status,
        headers={**answer.headers, "Age": str(int(age))},
        media_type="application/json",
    )


class Shelves:
    """A `Shelf` for each of a few variants of an answer."""

    def __init__(self, make: Callable[[int], Answer], *, fresh_s: float) -> None:
        self._make = make
        self._fresh_s = fresh_s
        self._shelves: dict[int, Shelf] = {}

    def response(self, variant: int, *, newest: bool = False) -> Awaitable[Response]:
        """Return the answer of one variant."""
        shelf = self._shelves.get(variant)
        if shelf is None:
            make = self._make
            shelf = Shelf(lambda: make(variant), fresh_s=self._fresh_s, keep_s=None)
            self._shelves[variant] = shelf
        return shelf.response(newest=newest)

    def outdate(self) -> None:
        """Know that what live answers tell has changed."""
        for shelf in self._shelves.values():
            shelf.outdate()


def wants_newest(headers: Mapping[str, str]) -> bool:
    """Return whether a request does not want to be told less than what is known (RFC 9111, section 5.2.1)."""
    asked = headers.get("cache-control")
    return asked is not None and bool(
        _NEWEST.intersection(part.strip().lower() for part in asked.split(","))
    )


def as_json(content: Any) -> bytes:
    """Return content as compact JSON in UTF-8.

    Raises
    ------
    ValueError
        If it holds a number that JSON has not: such a figure must not leave as text that no client can read.
    """
    return json.dumps(
        content, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
    ).encode()


def _plain(value: Any) -> str:
    """Return a decimal without an exponent, a time in ISO 8601, an id as text."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def answer_once(request: Request, content: Any, *, cache: str = "private, no-cache") -> Response:
    """Return content with an ETag; only its headers where the client has it already (304)."""
    body = as_json(content)
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": cache, "Vary": "Authorization"}
    known = request.headers.get("if-none-match", "")
    if tag in {part.strip().removeprefix("W/") for part in known.split(",")}:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")
