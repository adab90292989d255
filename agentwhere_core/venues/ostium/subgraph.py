"""GraphQL to the venue's subgraph: errors are errors, and lists are read to their end."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter

from agentwhere_core.domain.errors import RefusedError
from agentwhere_core.http import HttpClient
from agentwhere_core.venues.checked import PlainWire, parse
from agentwhere_core.venues.ostium.node import SERVICE

PAGE = 1000

_T = TypeVar("_T")


class _Error(PlainWire):
    message: str


class _Reply(PlainWire):
    data: dict[str, Any] | None = None
    errors: tuple[_Error, ...] = ()


_REPLY = TypeAdapter(_Reply)


class Subgraph:
    """The subgraph at ``url``."""

    def __init__(self, http: HttpClient, url: str) -> None:
        self._http = http
        self._url = url

    def ask(self, query: str) -> dict[str, Any] | None:
        """Return the data that a query selects.

        Raises
        ------
        RefusedError
            If the subgraph answers with an error.
        """
        reply = self._http.read(self._url, body={"query": query})
        answer = parse(SERVICE, "a GraphQL answer", _REPLY, reply)
        if answer.errors:
            raise RefusedError(SERVICE, f"the subgraph answers: {answer.errors[0].message}")
        return answer.data

    def read(self, name: str, query: str, shape: TypeAdapter[dict[str, _T]]) -> _T:
        """Return what a query selects under ``name``.

        Raises
        ------
        MalformedReplyError
            If it is not there, or is not as ``shape`` says.
        """
        data = self.ask(query) or {}
        return parse(SERVICE, f"a list of {name}", shape, {name: data.get(name)})[name]

    def list(
        self, name: str, selection: str, shape: TypeAdapter[dict[str, list[_T]]], where: str = ""
    ) -> list[_T]:
        """Return all entities of a list, by pages.

        Parameters
        ----------
        name, selection
            The list's name and what to select of each entity.
        shape
            Shape of the answer: the list by its name.
        where
            Further arguments, e.g. ``where: {...}, orderBy: id``.
        """
        found: list[_T] = []
        arguments = f", {where}" if where else ""
        while True:
            query = f"query {{ {name}(first: {PAGE}, skip: {len(found)}{arguments}) {{ {selection} }} }}"
            page = self.read(name, query, shape)
            found += page
            if len(page) < PAGE:
                return found
