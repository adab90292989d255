"""As much GraphQL as a subgraph client needs: one query document, nested selections, arguments, variables.

Fragments, directives, aliases and mutations are not understood and are refused by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN = re.compile(
    r'[\s,]+|#[^\n]*|("(?:[^"\\]|\\.)*"|\.\.\.|[$A-Za-z_][\w]*|-?\d+(?:\.\d+)?|[{}()\[\]:!@=|])'
)


class GraphQLError(Exception):
    """The query cannot be answered; the text is for the client."""


@dataclass(frozen=True, slots=True)
class Field:
    """A selected field with its arguments and its own selection (empty for a scalar)."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    selection: tuple[Field, ...] = ()


def parse(query: str, variables: Mapping[str, Any] | None = None) -> tuple[Field, ...]:
    """Read a query document into its root fields. Raises ``GraphQLError`` if it is none."""
    return _Parser(query, variables or {}).document()


def select(entity: str, value: Any, selection: tuple[Field, ...]) -> Any:
    """Cut a value down to what was selected. Raises ``GraphQLError`` for a field that the entity does not have."""
    if isinstance(value, list):
        return [select(entity, item, selection) for item in value]
    if value is None:
        return None
    answer = {}
    for wanted in selection:
        if wanted.name not in value:
            raise GraphQLError(f"Type `{entity}` has no field `{wanted.name}`")
        inner = value[wanted.name]
        nested = isinstance(inner, (dict, list))
        if nested != bool(wanted.selection):
            raise GraphQLError(
                f"Field `{wanted.name}` of type `{entity}` {'needs' if nested else 'has no'} subfields"
            )
        answer[wanted.name] = select(wanted.name, inner, wanted.selection) if nested else inner
    return answer


class _Parser:
    def __init__(self, query: str, variables: Mapping[str, Any]) -> None:
        self._variables = variables
        self._tokens: list[str] = []
        position = 0
        while position < len(query):
            found = _TOKEN.match(query, position)
            if found is None:
                raise GraphQLError(f"unexpected character {query[position]!r} in the query")
            if found[1]:
                self._tokens.append(found[1])
            position = found.end()
        self._next = 0

    def document(self) -> tuple[Field, ...]:
        if self._peek() != "{":
            if self._take() != "query":
                raise GraphQLError("only queries are answered")
            if self._peek() not in ("{", "("):
                self._take()
            if self._peek() == "(":
                self._skip_definitions()
        return self._selection()

    def _selection(self) -> tuple[Field, ...]:
        self._expect("{")
        fields = []
        while self._peek() != "}":
            fields.append(self._field())
        self._expect("}")
        if not fields:
            raise GraphQLError("a selection must name a field")
        return tuple(fields)

    def _field(self) -> Field:
        name = self._take()
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise GraphQLError(f"expected a field, found {name!r}")
        arguments = self._members("(", ")") if self._peek() == "(" else {}
        return Field(name, arguments, self._selection() if self._peek() == "{" else ())

    def _members(self, opening: str, closing: str) -> dict[str, Any]:
        self._expect(opening)
        members = {}
        while self._peek() != closing:
            name = self._take()
            self._expect(":")
            members[name] = self._value()
        self._expect(closing)
        return members

    def _value(self) -> Any:
        if self._peek() == "{":
            return self._members("{", "}")
        if self._peek() == "[":
            return self._list()
        token = self._take()
        if token.startswith("$"):
            if token[1:] not in self._variables:
                raise GraphQLError(f"Variable `{token}` is not given")
            return self._variables[token[1:]]
        if token.startswith('"'):
            return token[1:-1]
        if re.fullmatch(r"-?\d+", token):
            return int(token)
        return {"true": True, "false": False, "null": None}.get(token, token)

    def _list(self) -> list[Any]:
        self._expect("[")
        values = []
        while self._peek() != "]":
            values.append(self._value())
        self._expect("]")
        return values

    def _skip_definitions(self) -> None:
        while self._take() != ")":
            continue

    def _peek(self) -> str:
        if self._next >= len(self._tokens):
            raise GraphQLError("the query ends too early")
        return self._tokens[self._next]

    def _take(self) -> str:
        token = self._peek()
        self._next += 1
        return token

    def _expect(self, wanted: str) -> None:
        found = self._take()
        if found != wanted:
            raise GraphQLError(f"expected {wanted!r}, found {found!r}")
