"""The API's description: what FastAPI finds out, and what the gate and the error handlers may answer besides."""

from __future__ import annotations

from math import inf
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from agentwhere_app.api.caching import Answer, Shelf, render
from agentwhere_app.api.problems import Problem, documented

_ANY = (421, 429, 503)
_WRITE = (400, 403, 413)
_SECURED = (401, 403)
_METHODS = ("get", "post", "put", "patch", "delete")


def describe(app: FastAPI) -> None:
    """Serve ``/openapi.json``, with every status that an operation may answer with.

    To describe some forty operations takes a second of work: it is done once, in a thread, while others are served.
    """

    def make() -> Answer:
        schema = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        _complete(schema)
        return render(schema, headers={"Cache-Control": "no-cache"})

    shelf = Shelf(make, fresh_s=inf, keep_s=None)

    async def openapi() -> Response:
        """Return the description of the API."""
        return await shelf.response()

    app.add_api_route("/openapi.json", openapi, include_in_schema=False)


def _complete(schema: dict[str, Any]) -> None:
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = Problem.model_json_schema()
    for operations in schema["paths"].values():
        for method in _METHODS:
            if method in operations:
                _complete_operation(method, operations[method])


def _complete_operation(method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    statuses = {
        *_ANY,
        *(_WRITE if method != "get" else ()),
        *(_SECURED if "security" in operation else ()),
    }
    statuses |= {422} & {int(code) for code in responses if code.isdigit()}
    for status, description in documented(*sorted(statuses)).items():
        responses[str(status)] = description
