"""What every request works with, made once per process and kept in the app's state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from agentwhere_app.api.access import KeyRing
from agentwhere_app.api.caching import Shelf, Shelves
from agentwhere_app.api.changes import ChangeFeed

if TYPE_CHECKING:
    from agentwhere_flow.system import System


@dataclass(slots=True)
class Api:
    """The system behind the API, and what is kept in memory between requests.

    Parameters
    ----------
    is_loopback
        Whether only this machine can reach the server.
    """

    system: System
    keys: KeyRing
    changes: ChangeFeed
    health: Shelf
    performance: Shelf
    invocations: Shelves
    is_loopback: bool
    is_draining: bool = field(default=False)


def api_of(request: Request) -> Api:
    """Return the app's `Api`."""
    found = request.app.state.api
    assert isinstance(found, Api)  # noqa: S101 - put there by the app's start
    return found


ApiDep = Annotated["Api", Depends(api_of)]
