"""One shape for every error: problem details (RFC 9457), saying what happened, to what, and what to do."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from agentwhere_core.domain.errors import (
    AgentWhereError,
    AlreadyThereError,
    ConfigurationError,
    NoSuchThingError,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2

log = structlog.get_logger(__name__)


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(default="about:blank", description="Kind of problem.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="HTTP status.")
    detail: str = Field(description="What happened, to what, and what to do.")
    errors: list[dict[str, Any]] | None = Field(
        default=None, description="Which parts of the request cannot be accepted, and why."
    )


def problem(
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, Any]] | None = None,
) -> Response:
    """Return an answer that describes a problem."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors is not None:
        content["errors"] = errors
    return Response(
        json.dumps(content, ensure_ascii=False),
        status_code=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of the problems that an operation may answer with."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Let every error of the app become a problem."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(AgentWhereError, _ours)
    for unavailable in (OperationalError, InterfaceError, PoolTimeoutError, ProgrammingError):
        app.add_exception_handler(unavailable, _database)
    app.add_exception_handler(DBAPIError, _database)
    app.add_exception_handler(Exception, _unexpected)


async def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    phrase = HTTPStatus(error.status_code).phrase
    detail = error.detail
    if detail == phrase:
        detail = _EXPLAINED.get(error.status_code, phrase)
    return problem(error.status_code, detail, headers=error.headers)


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    found = [
        {"where": ".".join(str(part) for part in item["loc"]), "problem": item["msg"]}
        for item in error.errors()
    ]
    said = "; ".join(f"{item['where']}: {item['problem']}" for item in found[:3])
    return problem(422, f"the request cannot be accepted: {said}", errors=found)


async def _ours(_request: Request, error: Exception) -> Response:
    return problem(status_of(error), str(error))


def status_of(error: Exception) -> int:
    """Return the HTTP status that an error of ours means."""
    if isinstance(error, NoSuchThingError):
        return 404
    if isinstance(error, AlreadyThereError):
        return 409
    if isinstance(error, ConfigurationError):
        return 422
    return 500


async def _database(request: Request, error: Exception) -> Response:
    """Answer while the database does not: it may be restarting, or not be set up yet."""
    if isinstance(error, DataError):
        return problem(422, "the request holds a character or a number that cannot be stored")
    if isinstance(error, ProgrammingError):
        kind = type(error.orig).__name__
        if kind not in {"UndefinedTable", "UndefinedColumn", "InvalidSchemaName"}:
            return await _unexpected(request, error)
        return _unavailable("the database lacks what this version needs: run `agentwhere setup`")
    is_gone = isinstance(error, OperationalError | InterfaceError | PoolTimeoutError)
    if not is_gone and not (isinstance(error, DBAPIError) and error.connection_invalidated):
        return await _unexpected(request, error)
    log.warning("the database does not answer", path=request.url.path, kind=type(error).__name__)
    return _unavailable("the database does not answer; try again in a moment")


async def _unexpected(request: Request, error: Exception) -> Response:
    # As text: a renderer that shows local variables would write keys into the log.
    told = "".join(traceback.format_exception(error, limit=-5))
    log.error("request failed", path=request.url.path, kind=type(error).__name__, traceback=told)
    return problem(500, "the server failed; its log says why")


def _unavailable(detail: str) -> Response:
    return problem(503, detail, headers={"Retry-After": str(RETRY_AFTER_S)})


_EXPLAINED = {
    404: "there is nothing at this address: see /openapi.json",
    405: "this address does not take that method: see /openapi.json",
    400: "the request's body cannot be read: send JSON in UTF-8",
}
