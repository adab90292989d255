"""How a venue's HTTP can fail, and what each failure means for us."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agentwhere_core.domain.errors import (
    ConfigurationError,
    MalformedReplyError,
    RateLimitedError,
    RefusedError,
    ServerFaultError,
    TimedOutError,
    UnreachableError,
)
from agentwhere_core.http import HttpClient
from tests.core.wires import Answer, client, wire

NOW = datetime(2025, 11, 12, 12, 0, tzinfo=UTC)


def test_numbers_never_pass_through_binary_floats() -> None:
    with wire(Answer('{"price": 0.1234567890123456789, "size": 3}')) as served, client() as http:
        assert http.read(served.url) == {"price": Decimal("0.1234567890123456789"), "size": 3}


def test_a_read_survives_failures_that_pass_by_themselves() -> None:
    answers = (Answer("", 503), Answer("", 429), {"ok": True})
    with wire(*answers) as served, client(attempts=4) as http:
        assert http.read(served.url, body={"type": "meta"}) == {"ok": True}
        assert served.received == [b'{"type": "meta"}'] * 3


def test_a_write_is_sent_once_whatever_happens() -> None:
    for answer, error in (
        (Answer("", 503), ServerFaultError),
        (Answer("", 408), TimedOutError),
        (Answer("", 429), RateLimitedError),
        (Answer("", 422), RefusedError),
        (Answer("{"), MalformedReplyError),
        (Answer("", 302, {"Location": "https://elsewhere.example"}), MalformedReplyError),
    ):
        with wire(answer) as served, client() as http:
            with pytest.raises(error):
                http.write(served.url, b"{}")
            assert served.received == [b"{}"]


def test_a_refusal_is_not_tried_again() -> None:
    with wire(Answer("no such market", 404)) as served, client(attempts=4) as http:
        with pytest.raises(RefusedError, match="no such market"):
            http.read(served.url)
        assert len(served.received) == 1


def test_a_long_pause_asked_for_is_reported_and_not_waited_for() -> None:
    with (
        wire(Answer("", 429, {"Retry-After": "600"})) as served,
        client(clock=lambda: NOW, attempts=4) as http,
    ):
        with pytest.raises(RateLimitedError) as caught:
            http.read(served.url)
        assert caught.value.retry_at == NOW + timedelta(seconds=600)
        assert len(served.received) == 1


def test_a_short_pause_asked_for_is_waited_for() -> None:
    limited = Answer("", 429, {"Retry-After": "0"})
    with wire(limited, {"ok": True}) as served, client() as http:
        assert http.read(served.url) == {"ok": True}


def test_a_pause_may_be_given_as_a_date() -> None:
    limited = Answer("", 429, {"Retry-After": "Wed, 12 Nov 2025 13:00:00 GMT"})
    with wire(limited) as served, client(clock=lambda: NOW) as http:
        with pytest.raises(RateLimitedError) as caught:
            http.write(served.url, b"{}")
        assert caught.value.retry_at == NOW + timedelta(hours=1)


def test_no_connection_means_that_nothing_was_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/exchange"
        with client() as http:
            for attempt in (lambda: http.read(url), lambda: http.write(url, b"{}")):
                with pytest.raises(UnreachableError, match="nothing was sent"):
                    attempt()


def test_silence_after_sending_leaves_the_outcome_open() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/exchange"
        with client(timeout_s=0.2) as http, pytest.raises(TimedOutError, match="unknown"):
            http.write(url, b"{}")


@pytest.mark.parametrize("answer", ["<html>", "NaN", '{"price": Infinity}', ""])
def test_what_is_no_json_is_never_taken_for_an_answer(answer: str) -> None:
    with (
        wire(Answer(answer)) as served,
        client() as http,
        pytest.raises(MalformedReplyError, match="no JSON"),
    ):
        http.read(served.url)


def test_a_host_that_is_not_allowed_is_never_connected_to() -> None:
    with wire({"ok": True}) as served:
        http = HttpClient("hyperliquid", allowed_hosts=frozenset({"api.example"}))
        for attempt in (
            lambda: http.read(served.url),
            lambda: http.write(served.url, b"{}"),
            lambda: http.read("http://api.example@127.0.0.1/"),
        ):
            with pytest.raises(ConfigurationError, match="not among the allowed hosts"):
                attempt()
        http.close()
        assert served.received == []
