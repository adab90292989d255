"""Ports: the wished one where it is free; else another, said; an explicit one is never replaced."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from agentwhere_app.ports import choose_port
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_store.embedded.record import is_free

NONE: frozenset[int] = frozenset()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def free() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_free_port_is_used(free: int) -> None:
    choice = choose_port("AGENTWHERE_X_PORT", free, explicit=False, taken=NONE)
    assert (choice.port, choice.instead_of) == (free, None)


def test_a_taken_default_is_replaced_and_said(taken: int) -> None:
    choice = choose_port("AGENTWHERE_X_PORT", taken, explicit=False, taken=NONE)
    assert choice.instead_of == taken
    assert choice.port != taken
    assert is_free(choice.port)


def test_an_explicit_port_that_is_taken_is_an_error_that_says_what_to_do(taken: int) -> None:
    with pytest.raises(ConfigurationError, match=f"port {taken} is taken.*AGENTWHERE_X_PORT"):
        choose_port("AGENTWHERE_X_PORT", taken, explicit=True, taken=NONE)


def test_two_services_never_get_one_port(free: int) -> None:
    choice = choose_port("AGENTWHERE_X_PORT", free, explicit=False, taken=frozenset({free}))
    assert choice.port != free
