"""Keep feed addresses, which strangers name, from reaching into the operator's own network.

Every request, redirects included, is resolved here, checked, and sent to the very address that was checked: a name that
answers differently the second time gains nothing. Certificates are still verified against the name.

Nor may a stranger hold a reader: a server that sends its headers byte by byte outlasts every timeout of a single read,
so that the connection is cut when they are not complete in time.
"""

from __future__ import annotations

import socket
from collections.abc import Collection
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from threading import Timer
from typing import Any, Final

import httpx

from agentwhere_core.domain.errors import RefusedError

_SERVICE: Final = "feed"
_NAT64: Final = IPv6Network("64:ff9b::/96")
HEADERS_WITHIN_S: Final = 30.0
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class PublicOnly(httpx.BaseTransport):
    """A transport that connects to public addresses only.

    Parameters
    ----------
    allowed
        Hosts and ports that may be private, e.g. the simulator's.
    headers_within_s
        How long an answer's headers may take, the connection included.
    """

    def __init__(
        self,
        allowed: Collection[tuple[str, int]] = (),
        headers_within_s: float = HEADERS_WITHIN_S,
    ) -> None:
        self._allowed = frozenset(allowed)
        self._headers_within_s = headers_within_s
        # A connection is bound to the name it was opened for, which the pool, keyed by address, does not know.
        self._inner = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to an address that was found to be public.

        Raises
        ------
        RefusedError
            If the host is, or also is, a private address.
        httpx.ConnectError
            If the name is unknown.
        httpx.ReadTimeout
            If the headers are not complete in time.
        """
        host = request.url.raw_host.decode("ascii")
        port = request.url.port or _DEFAULT_PORTS.get(request.url.scheme, 443)
        if (host, port) in self._allowed:
            return self._send(request)
        address = _public_address(host, port)
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return self._send(pinned)

    def _send(self, request: httpx.Request) -> httpx.Response:
        line = _Line()
        request.extensions = {**request.extensions, "trace": line.note}
        timer = Timer(self._headers_within_s, line.cut)
        timer.start()
        try:
            return self._inner.handle_request(request)
        except httpx.TransportError as error:
            if not line.is_cut:
                raise
            late = f"the headers were not complete after {self._headers_within_s:g} s"
            raise httpx.ReadTimeout(late, request=request) from error
        finally:
            timer.cancel()

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()


class _Line:
    """The connection that a request is sent over: learned while it is made, and cut when it takes too long."""

    def __init__(self) -> None:
        self.is_cut = False
        self._socket: socket.socket | None = None

    def note(self, event: str, info: dict[str, Any]) -> None:
        """Remember the socket; with TLS there is another one."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._socket = info["return_value"].get_extra_info("socket")

    def cut(self) -> None:
        """End the connection, which wakes whoever reads from it."""
        self.is_cut = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the public internet, whatever it is wrapped in."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        inner = _inner_address(parsed)
        if inner is not None:
            return is_public(str(inner))
    return parsed.is_global and not parsed.is_multicast


def _inner_address(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 one leads to, by mapping, NAT64, 6to4 or Teredo."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


def _public_address(host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise httpx.ConnectError(f"the name {host} is not known ({error})") from error
    addresses = [str(entry[4][0]) for entry in found]
    private = [address for address in addresses if not is_public(address)]
    if private:
        raise RefusedError(
            _SERVICE,
            f"{host} is {private[0]}, an address inside a private network: a feed's address may lead to the public "
            "internet only. Set AGENTWHERE_FEEDS_PRIVATE=yes if the feed is your own",
        )
    return addresses[0]
