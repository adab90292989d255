"""Keep feed addresses, which strangers name, from reaching into the operator's own network.

Every request, redirects included, is resolved here, checked, and sent to the very address that was checked: a name that
answers differently the second time gains nothing. Certificates are still verified against the name.
"""

from __future__ import annotations

import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

import httpx

from agentwhere_core.domain.errors import RefusedError

_SERVICE: Final = "feed"
_NAT64: Final = IPv6Network("64:ff9b::/96")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class PublicOnly(httpx.BaseTransport):
    """A transport that connects to public addresses only.

    Parameters
    ----------
    allowed
        Hosts and ports that may be private, e.g. the simulator's.
    """

    def __init__(self, allowed: Collection[tuple[str, int]] = ()) -> None:
        self._allowed = frozenset(allowed)
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
        """
        host = request.url.raw_host.decode("ascii")
        port = request.url.port or _DEFAULT_PORTS.get(request.url.scheme, 443)
        if (host, port) in self._allowed:
            return self._inner.handle_request(request)
        address = _public_address(host, port)
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return self._inner.handle_request(pinned)

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()


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
