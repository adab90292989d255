"""Who may do what: API keys with scopes, or this machine while no key exists.

Public are the marketplace, the system's health, the arena's two pages and the notice that something changed. All other
reads need the scope ``read``, operating needs ``operate``, committing money needs ``trade``.

As long as no valid key exists *and* the server listens on the loopback interface only, requests from this machine need
no key, so that the dashboard of a fresh ``up`` works. With real money (profile ``live``) such requests may not trade.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from agentwhere_app.api.limiting import RateLimits
from agentwhere_core.domain.enums import Scope
from agentwhere_flow.settings import Profile

if TYPE_CHECKING:
    from agentwhere_flow.system import System
    from agentwhere_store.access import ApiKey

READ_AGAIN_AFTER_S = 2.0
"""A key that was revoked opens nothing after at most this time."""

bearer = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="An API key, made by `agentwhere keys create NAME --scope read|operate|trade`.",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what they may do."""

    name: str
    address: str
    scopes: frozenset[Scope]
    key_id: UUID | None


class KeyRing:
    """The valid keys, read again every few seconds."""

    def __init__(self, system: System, limits: RateLimits, *, is_loopback: bool) -> None:
        self.limits = limits
        self._system = system
        self._is_loopback = is_loopback
        self._keys: list[ApiKey] = []
        self._read_at: float | None = None

    async def identify(self, address: str, token: str | None) -> Caller:
        """Return who asks.

        Raises
        ------
        HTTPException
            401 without a valid key where one is needed, 429 after too many wrong ones.
        """
        from agentwhere_flow.access import find_key

        keys = await self._valid_keys()
        if token is None:
            if keys or not self._is_loopback or not is_local(address):
                raise _unauthorized("this needs an API key: send `Authorization: Bearer aw_…`")
            return Caller("local", address, self._local_scopes(), None)
        self.limits.check_failures(address)
        key = find_key(keys, token, self._system.clock())
        if key is None:
            self.limits.count_failure(address)
            raise _unauthorized("the API key is not valid: see `agentwhere keys list`")
        self.limits.count_key(key.id)
        return Caller(key.name, address, key.scopes, key.id)

    async def _valid_keys(self) -> list[ApiKey]:
        if self._read_at is None or time.monotonic() - self._read_at > READ_AGAIN_AFTER_S:
            self._keys = await run_in_threadpool(self._read)
            self._read_at = time.monotonic()
        return self._keys

    def _read(self) -> list[ApiKey]:
        from agentwhere_flow.access import valid_keys

        return valid_keys(self._system, self._system.clock())

    def _local_scopes(self) -> frozenset[Scope]:
        if self._system.settings.profile is Profile.LIVE:
            return frozenset({Scope.READ, Scope.OPERATE})
        return frozenset(Scope)


def needs(scope: Scope) -> Any:
    """Return the dependency of an operation that only callers with ``scope`` may use."""

    async def check(
        request: Request,
        given: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)] = None,
    ) -> Caller:
        ring: KeyRing = request.app.state.api.keys
        token = None if given is None else given.credentials
        caller = await ring.identify(address_of(request), token)
        if scope not in caller.scopes:
            raise HTTPException(403, _without(scope, caller))
        request.state.caller = caller
        return caller

    return Security(check, use_cache=False)


Reader = Annotated[Caller, needs(Scope.READ)]
Operator = Annotated[Caller, needs(Scope.OPERATE)]
Trader = Annotated[Caller, needs(Scope.TRADE)]

Dependency = Callable[..., Any]


def address_of(request: Request) -> str:
    """Return the address of the client, or of the nearest proxy that is not trusted."""
    return request.client.host if request.client is not None else ""


@lru_cache(maxsize=1024)
def is_local(address: str) -> bool:
    """Return whether an address is of the loopback interface."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _without(scope: Scope, caller: Caller) -> str:
    if caller.key_id is None:
        return (
            f"in the profile live this needs a key with the scope {scope.value!r}: "
            f"`agentwhere keys create NAME --scope {scope.value}`"
        )
    return f"the key {caller.name!r} has not the scope {scope.value!r}"


def _unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})
