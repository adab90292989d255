"""A feed's address, which anybody may name, leads to the public internet only."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import httpx
import pytest

from agentwhere_core.domain.errors import MalformedReplyError, RefusedError
from agentwhere_core.sources.feeds import FeedClient
from agentwhere_core.sources.guard import PublicOnly, is_public
from tests.core.wires import Answer, wire

FEED = Answer(
    '<?xml version="1.0"?><rss version="2.0"><channel><title>t</title>'
    "<item><guid>1</guid><title>Long BTC</title></item></channel></rss>",
    headers={"Content-Type": "application/rss+xml"},
)


def feeds(*allowed: tuple[str, int]) -> FeedClient:
    return FeedClient(httpx.Client(transport=PublicOnly(allowed), timeout=5))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)
def test_an_address_inside_a_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "64:ff9b::101:101"]
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_a_feed_on_this_machine_is_refused_however_its_host_is_written(host: str) -> None:
    with wire(FEED) as server:
        port = server.url.rsplit(":", 1)[1]
        with pytest.raises(RefusedError, match="private network"):
            feeds().fetch(f"http://{host}:{port}/feed.xml")
        assert server.received == []


def test_a_redirect_into_the_network_is_refused() -> None:
    with (
        wire(FEED) as inside,
        wire(Answer("", 302, {"Location": f"{inside.url}/secret"})) as outside,
    ):
        port = int(outside.url.rsplit(":", 1)[1])
        with pytest.raises(RefusedError, match="AGENTWHERE_FEEDS_PRIVATE"):
            feeds(("127.0.0.1", port)).fetch(f"{outside.url}/feed.xml")
        assert (len(outside.received), inside.received) == (1, [])


def test_what_is_allowed_by_name_is_read() -> None:
    with wire(FEED) as server:
        port = int(server.url.rsplit(":", 1)[1])
        page = feeds(("127.0.0.1", port)).fetch(f"{server.url}/feed.xml")
    assert [post.text for post in page.posts] == ["Long BTC"]


def test_a_public_name_is_reached_at_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The resolver is the outermost wire here: it answers differently the second time, as a rebinding name does."""
    answers = [["93.184.215.14"], ["127.0.0.1"]]
    asked: list[str] = []
    connected: list[str] = []

    def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in answers.pop(0)
        ]

    def connect(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(httpx.ConnectError), httpx.Client(transport=PublicOnly()) as client:
        client.get("http://rebinding.example/feed.xml")
    assert asked == ["rebinding.example"]
    assert connected == ["93.184.215.14"]


def test_entities_that_grow_without_end_are_refused() -> None:
    bomb = (
        '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">'
        + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
        + ']><rss version="2.0"><channel><item><title>&j;</title></item></channel></rss>'
    )
    with wire(Answer(bomb, headers={"Content-Type": "application/xml"})) as server:
        port = int(server.url.rsplit(":", 1)[1])
        try:
            page = feeds(("127.0.0.1", port)).fetch(server.url)
        except MalformedReplyError:
            return
    assert sum(len(post.text) for post in page.posts) < 100_000


@contextmanager
def dripping() -> Iterator[tuple[int, Event]]:
    """Serve headers that never end, a byte at a time; yield the port, and what is set once the client has left."""
    left = Event()

    def drip(listener: socket.socket) -> None:
        line, _ = listener.accept()
        with line, suppress(OSError):
            line.sendall(b"HTTP/1.1 200 OK\r\nx-drip: ")
            while not left.wait(0.02):
                line.sendall(b"x")
        left.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Thread(target=drip, args=(listener,))
        server.start()
        yield listener.getsockname()[1], left
        left.set()
        server.join()


def test_a_server_that_drips_its_headers_is_left_in_time() -> None:
    with dripping() as (port, left):
        transport = PublicOnly([("127.0.0.1", port)], headers_within_s=0.3)
        with httpx.Client(transport=transport, timeout=60) as client:
            with pytest.raises(httpx.ReadTimeout, match="headers were not complete"):
                client.get(f"http://127.0.0.1:{port}/feed.xml")
            assert left.wait(30)
