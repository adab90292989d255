"""Ports of services: the wished one where it is free, else another; never silently."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from agentwhere_app.home import HOST
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_store.embedded.record import is_free


@dataclass(frozen=True, slots=True)
class ChosenPort:
    """A free port, and the taken one that it stands in for, if any."""

    port: int
    instead_of: int | None = None


def choose_port(setting: str, wished: int, *, explicit: bool, taken: frozenset[int]) -> ChosenPort:
    """Return ``wished`` if it is free, else another free port.

    Parameters
    ----------
    setting
        Environment variable that names the port.
    explicit
        Whether somebody set it: then no other port will do.
    taken
        Ports already given to other services.

    Raises
    ------
    ConfigurationError
        If an explicitly set port is taken.
    """
    if wished not in taken and is_free(wished):
        return ChosenPort(wished)
    if explicit:
        raise ConfigurationError(
            f"port {wished} is taken: stop what listens there, or set {setting} to another port "
            "(or unset it, and a free one is chosen)"
        )
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return ChosenPort(port, instead_of=wished)
