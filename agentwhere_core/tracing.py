"""Spans: what was done, inside what, and how long it took, for those who collect traces.

Nothing is recorded, and nothing is imported, until `begin` is given somebody who records. Spans hold names, hosts,
paths and status codes: never queries, bodies or headers, which may hold secrets.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import ParamSpec, Protocol, TypeVar
from urllib.parse import urlsplit

P = ParamSpec("P")
T = TypeVar("T")
Value = str | int | float | bool


class Kind(StrEnum):
    """On which side of a wire a span was made."""

    INTERNAL = "INTERNAL"
    CLIENT = "CLIENT"
    SERVER = "SERVER"


class Span(Protocol):
    """A span under way."""

    def rename(self, name: str) -> None:
        """Give it a name that was not known when it began."""

    def note(self, **attributes: Value) -> None:
        """Keep attributes; ``__`` in a name stands for a dot."""


class Recorder(Protocol):
    """Who records spans."""

    def span(
        self, name: str, kind: Kind, attributes: dict[str, Value]
    ) -> AbstractContextManager[Span]:
        """Record what happens in a ``with`` block; an exception that leaves it is noted."""

    def carried(self, work: Callable[P, T]) -> Callable[P, T]:
        """Return ``work`` for another thread, with the present span as the parent of its spans."""


class _Unrecorded:
    """The span of nobody."""

    def rename(self, name: str) -> None:
        """Do nothing."""

    def note(self, **attributes: Value) -> None:
        """Do nothing."""


_UNRECORDED = nullcontext(_Unrecorded())
_recorder: Recorder | None = None


def begin(recorder: Recorder | None) -> None:
    """Let ``recorder`` record the spans of this process from now on; nobody if None."""
    global _recorder  # noqa: PLW0603 - a process has one, as it has one standard error
    _recorder = recorder


def is_on() -> bool:
    """Return whether spans are recorded."""
    return _recorder is not None


def span(
    name: str, kind: Kind = Kind.INTERNAL, **attributes: Value
) -> AbstractContextManager[Span]:
    """Record what happens in a ``with`` block, if anybody records; ``__`` in an attribute's name stands for a dot."""
    if _recorder is None:
        return _UNRECORDED
    return _recorder.span(name, kind, dotted(attributes))


def request_span(service: str, method: str, url: str) -> AbstractContextManager[Span]:
    """Record a request that goes out."""
    if _recorder is None:
        return _UNRECORDED
    parts = urlsplit(url)
    return span(
        f"{method} {service}",
        Kind.CLIENT,
        http__request__method=method,
        server__address=parts.hostname or "",
        url__path=parts.path,
    )


def carried(work: Callable[P, T]) -> Callable[P, T]:
    """Return ``work`` for other threads, whose spans then belong to the present one."""
    return work if _recorder is None else _recorder.carried(work)


def dotted(attributes: dict[str, Value]) -> dict[str, Value]:
    """Return attributes under the names that conventions give them."""
    return {name.replace("__", "."): value for name, value in attributes.items()}
