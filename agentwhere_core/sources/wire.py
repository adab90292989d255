"""Read over HTTP, and put every way in which that can fail into the error tree.

Only for requests that may be repeated: failures that can pass by themselves (no connection, no answer in time, 5xx) are
tried again a few times, with growing pauses. Refusals are not.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from agentwhere_core.domain.errors import (
    ConfigurationError,
    MalformedReplyError,
    ServerFaultError,
    TimedOutError,
    UnreachableError,
)
from agentwhere_core.tracing import request_span

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

ATTEMPTS: Final = 3
LONGEST_READ_S: Final = 30.0
"""A body that takes longer is given up: timeouts alone let a server send a byte every few seconds for ever."""

_PATIENCE_S: Final = 45.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Parameters
    ----------
    url
        Who answered, without what may be secret in an address (login, query).
    status
        HTTP status, below 500.
    headers
        Response headers, found without regard to case.
    body
        The decoded bytes.
    retries
        How many tries failed before this one.
    """

    url: str
    status: int
    headers: httpx.Headers
    body: bytes
    retries: int = 0


def get(
    http: httpx.Client,
    service: str,
    url: str,
    *,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    max_bytes: int = 5_000_000,
) -> Reply:
    """Fetch ``url``, following redirects, trying again what may pass by itself.

    Raises
    ------
    ConfigurationError
        If ``url`` is no http(s) address.
    UnreachableError, TimedOutError, ServerFaultError
        If all tries failed.
    MalformedReplyError
        If the body is larger than ``max_bytes``, is encoded wrongly, or redirects never end.
    """
    import stamina

    request = _request(http, service, url, params, headers)
    transient = (UnreachableError, TimedOutError, ServerFaultError)
    tries = stamina.retry_context(
        on=transient,
        attempts=ATTEMPTS,
        timeout=_PATIENCE_S,
        wait_initial=0.2,
        wait_max=3.0,
        wait_jitter=0.3,
    )
    for attempt in tries:
        with attempt:
            reply = _once(http, service, request, max_bytes)
            return replace(reply, retries=attempt.num - 1)
    raise AssertionError("stamina ends by a result or by the last error")


def _once(http: httpx.Client, service: str, request: httpx.Request, max_bytes: int) -> Reply:
    import httpx

    url = _shown(request.url)
    try:
        with (
            request_span(service, request.method, url) as made,
            closing(http.send(request, stream=True, follow_redirects=True)) as reply,
        ):
            made.note(http__response__status_code=reply.status_code)
            if reply.status_code >= 500:
                raise ServerFaultError(
                    service,
                    f"HTTP {reply.status_code} from {_shown(reply.url)}; the service is failing, "
                    "the next run tries again",
                )
            body = _read(reply, service, max_bytes)
    except httpx.TimeoutException as error:
        raise TimedOutError(
            service,
            f"no answer from {url} in time ({type(error).__name__}); the next run tries again",
        ) from error
    except (httpx.DecodingError, httpx.TooManyRedirects) as error:
        raise MalformedReplyError(service, f"{url}: {error}; check the address") from error
    except httpx.TransportError as error:
        raise UnreachableError(
            service,
            f"cannot reach {url} ({str(error) or type(error).__name__}); check that it is up and the address right",
        ) from error
    return Reply(url, reply.status_code, reply.headers, body)


def _request(
    http: httpx.Client,
    service: str,
    url: str,
    params: Mapping[str, str] | None,
    headers: Mapping[str, str] | None,
) -> httpx.Request:
    import httpx

    try:
        request = http.build_request("GET", url, params=params, headers=headers)
    except httpx.InvalidURL as error:
        raise ConfigurationError(
            f"{service}: {url!r} is no address ({error}); correct it"
        ) from error
    if request.url.scheme not in ("http", "https") or not request.url.host:
        raise ConfigurationError(f"{service}: {url!r} is no http(s) address; correct it")
    return request


def _read(reply: httpx.Response, service: str, max_bytes: int) -> bytes:
    body = bytearray()
    deadline = time.monotonic() + LONGEST_READ_S
    for chunk in reply.iter_bytes():
        body += chunk
        if time.monotonic() > deadline:
            raise TimedOutError(
                service,
                f"{_shown(reply.url)} was still sending after {LONGEST_READ_S:.0f} s; the next run tries again",
            )
        if len(body) > max_bytes:
            raise MalformedReplyError(
                service,
                f"{_shown(reply.url)} sent more than {max_bytes} bytes; nothing of it was read. "
                "Check that the address is the right one",
            )
    return bytes(body)


def _shown(url: httpx.URL) -> str:
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))
