"""Talk JSON to a venue, and put every way in which that can fail into the error tree.

`HttpClient.read` is for requests that may be repeated: what can pass by itself is tried again a few times.
`HttpClient.write` sends once, whatever happens, because only the ledger may decide to send again.

No socket is opened to a host that was not allowed, and what is signed goes only to hosts that may be written to:
without the live switch there are none outside this machine (X7).
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from agentwhere_core.domain.errors import (
    ConfigurationError,
    MalformedReplyError,
    RateLimitedError,
    RefusedError,
    ServerFaultError,
    TimedOutError,
    UnreachableError,
)
from agentwhere_core.domain.time import Clock, require_utc, utc_now
from agentwhere_core.tracing import request_span

if TYPE_CHECKING:
    import httpx

_JSON = "application/json"
_SHOWN_CHARACTERS = 300
# Below the 5 s after which common servers drop idle connections, so that a write never meets a dead one.
_KEEPALIVE_S = 2.0


class HttpClient:
    """A connection pool to one service; safe to share between threads.

    Parameters
    ----------
    service
        Name used in errors, e.g. ``"hyperliquid"``.
    allowed_hosts
        The only hosts that may be connected to.
    writable_hosts
        Those among them to which `write` may send; all of them if None.
    timeout_s
        Longest wait for an answer; connecting may take at most 3 s of it.
    attempts
        How often a read is tried.
    patience_s
        Longest time spent on all tries of a read, pauses included; a ``Retry-After`` beyond it is not waited for.
    clock
        Source of the time for ``Retry-After``.
    """

    def __init__(
        self,
        service: str,
        *,
        allowed_hosts: frozenset[str],
        writable_hosts: frozenset[str] | None = None,
        timeout_s: float = 10.0,
        attempts: int = 4,
        patience_s: float = 20.0,
        max_connections: int = 16,
        clock: Clock = utc_now,
    ) -> None:
        import httpx

        stays_here = all(_is_loopback(host) for host in allowed_hosts)
        self.service = service
        self._allowed_hosts = allowed_hosts
        self._writable_hosts = allowed_hosts if writable_hosts is None else writable_hosts
        self._attempts = attempts
        self._patience_s = patience_s
        self._clock = clock
        self._http = httpx.Client(
            timeout=httpx.Timeout(timeout_s, connect=min(3.0, timeout_s)),
            limits=httpx.Limits(
                max_connections=max_connections,
                max_keepalive_connections=max_connections,
                keepalive_expiry=_KEEPALIVE_S,
            ),
            follow_redirects=False,
            # A proxy from the environment must not see what is meant for this machine. Nor are the world's
            # certificates needed here: reading them takes longer than all else that a short run does.
            trust_env=not stays_here,
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if stays_here else True,
        )

    def read(
        self,
        url: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the JSON that ``url`` answers: to a GET, or to a POST of ``body`` as JSON.

        Numbers with a fraction arrive as `Decimal`.

        Raises
        ------
        UnreachableError, TimedOutError, ServerFaultError, RateLimitedError
            If all tries failed, or the service asks for a longer pause than is waited for.
        RefusedError
            If the service answers 4xx.
        MalformedReplyError
            If the answer is no JSON.
        ConfigurationError
            If the host is not allowed; nothing is sent.
        """
        import stamina

        self._check(url)
        tries = stamina.retry_context(
            on=self._may_pass,
            attempts=self._attempts,
            timeout=self._patience_s,
            wait_initial=0.2,
            wait_max=4.0,
            wait_jitter=0.2,
        )
        content = None if body is None else json.dumps(body).encode()
        sent_with = {} if content is None else {"Content-Type": _JSON}
        sent_with |= headers or {}
        for attempt in tries:
            with attempt:
                return self._once(
                    "GET" if content is None else "POST", url, sent_with, params, content
                )
        raise AssertionError("stamina ends by a result or by the last error")

    def write(self, url: str, content: bytes, *, content_type: str = _JSON) -> Any:
        """Post ``content`` exactly once, and return the JSON that is answered.

        Raises
        ------
        UnreachableError
            If no connection was made: nothing was sent.
        TimedOutError, ServerFaultError, MalformedReplyError
            If the request left and its outcome is unclear.
        RateLimitedError, RefusedError
            If the service answered 429, or another 4xx: it did not act.
        ConfigurationError
            If the host is not allowed, or may only be read from; nothing is sent.
        """
        self._check(url)
        if urlsplit(url).hostname not in self._writable_hosts:
            raise ConfigurationError(
                f"{self.service}: nothing may be sent to {urlsplit(url).hostname} in this profile; nothing was sent. "
                "Orders leave this machine only in the profiles testnet and live, with AGENTWHERE_LIVE=yes"
            )
        return self._once("POST", url, {"Content-Type": content_type}, None, content)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _check(self, url: str) -> None:
        host = urlsplit(url).hostname
        if host not in self._allowed_hosts:
            raise ConfigurationError(
                f"{self.service}: {host} is not among the allowed hosts {sorted(self._allowed_hosts)}; "
                "nothing was sent. Choose the profile that trades there, or correct the address."
            )

    def _may_pass(self, error: Exception) -> bool | float:
        """Tell stamina whether to try again, and after how many seconds if the service said so."""
        if isinstance(error, RateLimitedError) and error.retry_at is not None:
            wait = (error.retry_at - self._clock()).total_seconds()
            return max(0.0, wait) if wait <= self._patience_s else False
        return isinstance(
            error, RateLimitedError | UnreachableError | TimedOutError | ServerFaultError
        )

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        params: Mapping[str, str | int] | None,
        content: bytes | None,
    ) -> Any:
        import httpx

        try:
            with request_span(self.service, method, url) as made:
                reply = self._http.request(
                    method, url, params=params, content=content, headers=headers
                )
                made.note(http__response__status_code=reply.status_code)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise UnreachableError(
                self.service,
                f"cannot connect to {url} ({_name(error)}); nothing was sent. "
                "Check that it is up and the address right",
            ) from error
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
            raise ConfigurationError(
                f"{self.service}: {url} cannot be asked: {error}. Correct the address."
            ) from error
        except httpx.TransportError as error:
            raise TimedOutError(
                self.service,
                f"no answer from {url} ({_name(error)}): whether it acted is unknown. "
                "Reads are tried again; a write is looked up first",
            ) from error
        except httpx.DecodingError as error:
            raise MalformedReplyError(self.service, f"{url}: {_name(error)}") from error
        if reply.status_code != httpx.codes.OK:
            self._fail(reply)
        return self._json(reply)

    def _fail(self, reply: httpx.Response) -> NoReturn:
        status, shown = reply.status_code, reply.text[:_SHOWN_CHARACTERS]
        url = str(reply.url.copy_with(query=None))
        if status == 429:
            raise RateLimitedError(
                self.service,
                f"{url} asks to slow down (HTTP 429); the next tick tries again. "
                "If it repeats, lower the number of accounts or markets",
                retry_at=self._retry_at(reply),
            )
        if status == 408:
            raise TimedOutError(self.service, f"{url} gave up waiting (HTTP 408)")
        if status >= 500:
            raise ServerFaultError(
                self.service,
                f"{url} is failing (HTTP {status}: {shown}); the next tick tries again",
            )
        if status >= 400:
            raise RefusedError(
                self.service, f"{url} refused with HTTP {status}: {shown}", body=reply.text
            )
        raise MalformedReplyError(
            self.service, f"{url} answered HTTP {status} instead of 200; check the address"
        )

    def _json(self, reply: httpx.Response) -> Any:
        try:
            return json.loads(reply.content, parse_float=Decimal, parse_constant=_no_number)
        except ValueError as error:
            raise MalformedReplyError(
                self.service,
                f"{reply.url.copy_with(query=None)} answered no JSON ({error}): "
                f"{reply.text[:_SHOWN_CHARACTERS]!r}. Nothing of it was used; if it repeats, check the address "
                "and what the service says of its state",
            ) from error

    def _retry_at(self, reply: httpx.Response) -> datetime | None:
        """Read ``Retry-After``, which holds seconds or a date (RFC 9110, 10.2.3)."""
        value = reply.headers.get("Retry-After", "").strip()
        if value.isdigit():
            return self._clock() + timedelta(seconds=int(value))
        try:
            return require_utc(parsedate_to_datetime(value), "Retry-After")
        except ValueError:
            return None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _name(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
