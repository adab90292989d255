"""The API as a client meets it: a real server on a real port, in a thread of the test."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from agentwhere_app.api.app import create_app
from agentwhere_app.api.server import make_server
from agentwhere_core.domain.enums import Scope
from agentwhere_flow.access import create_key
from agentwhere_flow.system import System
from tests.flow.world import utc_now

PATIENCE_S = 60.0


class Served:
    """A running server, and clients of it."""

    def __init__(self, system: System, port: int) -> None:
        self.system = system
        self.url = f"http://127.0.0.1:{port}"

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        """Return a client, with a key if given."""
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=PATIENCE_S)

    def get(self, path: str, **parameters: Any) -> Any:
        """Return the JSON of an answer that must be 200."""
        with self.client() as client:
            answer = client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def key(self, *scopes: Scope, name: str = "test") -> str:
        """Make a key."""
        return create_key(self.system, utc_now(), name, scopes or (Scope.READ,)).token


@contextmanager
def serving(system: System, **settings: Any) -> Iterator[Served]:
    """Serve the system's API on a free port, with some settings of its own."""
    changed = system.settings.model_copy(update=settings)
    listener = socket.create_server(("127.0.0.1", 0))
    server = make_server(create_app(System(changed)), changed)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.started
        yield Served(system, listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
