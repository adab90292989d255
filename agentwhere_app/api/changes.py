"""Notices that something changed, for pages that are open: one listener per process, any number of readers.

A notice names topics and carries no data, so that it needs no key: whoever wants the data asks for it. Each process has
its own connection to the database, so that any number of workers tell the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import structlog
from psycopg import Error as DatabaseError

from agentwhere_store.changes import listen

if TYPE_CHECKING:
    from sqlalchemy import Engine

TOPICS = {
    "agent_metrics": "agents",
    "agents": "agents",
    "alerts": "alerts",
    "deployments": "deployments",
    "health_reports": "health",
    "invocations": "arena",
    "kill_switches": "kill_switches",
    "models": "arena",
    "orders": "orders",
    "portfolio_size": "arena",
    "positions": "positions",
    "signals": "signals",
    "tool_calls": "arena",
    "venue_routing_config": "routing",
    "venue_routing_history": "decisions",
}
"""The topic that a table's changes belong to."""

ALL_TOPICS = frozenset(TOPICS.values())
GATHER_S = 0.2
KEEP_ALIVE_S = 15.0
RETRY_S = (0.5, 1.0, 2.0, 5.0)
MOST_READERS = 200

log = structlog.get_logger(__name__)


class TooManyReadersError(Exception):
    """No further stream can be opened in this process."""


class ChangeFeed:
    """Tells its readers which topics changed.

    Parameters
    ----------
    engine
        Gives the database; called when the feed starts.
    on_change
        Told of the topics before any reader, so that who asks because of them is not given an older answer.
    """

    def __init__(
        self, engine: Callable[[], Engine], on_change: Callable[[frozenset[str]], None]
    ) -> None:
        self._engine = engine
        self._on_change = on_change
        self._readers: set[_Reader] = set()
        self._closing = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._listener = asyncio.create_task(self._keep_listening())

    def close(self) -> None:
        """End every stream now, so that no open page keeps the process from ending."""
        self._closing.set()
        for reader in self._readers:
            reader.wake()

    async def stop(self) -> None:
        """End listening."""
        self.close()
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)

    def subscribe(self) -> AsyncIterator[bytes]:
        """Return server-sent events: ``changed`` with a list of topics, and a comment every 15 s to keep it open.

        Raises
        ------
        TooManyReadersError
            If this process serves as many as it can.
        """
        if len(self._readers) >= MOST_READERS:
            raise TooManyReadersError
        reader = _Reader()
        self._readers.add(reader)
        return self._stream(reader)

    async def _stream(self, reader: _Reader) -> AsyncIterator[bytes]:
        try:
            # Everything may have changed while the page was not connected.
            yield b"retry: 1000\n" + _event(ALL_TOPICS)
            while not self._closing.is_set():
                topics = await reader.take()
                if self._closing.is_set():
                    break
                yield _event(topics) if topics else b": still here\n\n"
        finally:
            self._readers.discard(reader)

    async def _keep_listening(self) -> None:
        failures = 0
        while not self._closing.is_set():
            try:
                async for table in listen(self._engine()):
                    failures = 0
                    # Whatever happened before the connection was made was not announced to it.
                    self._tell(ALL_TOPICS if not table else frozenset({TOPICS.get(table, table)}))
            except (DatabaseError, OSError) as error:
                failures += 1
                log.warning("changes are not heard; trying again", kind=type(error).__name__)
            await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S)) - 1])

    def _tell(self, topics: frozenset[str]) -> None:
        self._on_change(topics)
        for reader in self._readers:
            reader.add(topics)


class _Reader:
    """What one stream has not told yet."""

    def __init__(self) -> None:
        self._topics: set[str] = set()
        self._news = asyncio.Event()

    def add(self, topics: frozenset[str]) -> None:
        """Keep topics until they are taken."""
        self._topics |= topics
        self._news.set()

    def wake(self) -> None:
        """Let `take` return."""
        self._news.set()

    async def take(self) -> frozenset[str]:
        """Return what changed, gathered for a moment; empty after a while without news."""
        try:
            async with asyncio.timeout(KEEP_ALIVE_S):
                await self._news.wait()
        except TimeoutError:
            return frozenset()
        await asyncio.sleep(GATHER_S)
        self._news.clear()
        topics, self._topics = frozenset(self._topics), set()
        return topics


def _event(topics: frozenset[str]) -> bytes:
    return f"event: changed\ndata: {json.dumps({'topics': sorted(topics)})}\n\n".encode()
