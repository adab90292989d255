"""A receiver of alerts on this machine: what people's webhooks are to production."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver(ThreadingHTTPServer):
    """Keeps every message that it is sent, and refuses them while ``is_broken``.

    ``before`` and ``after`` are called around keeping a message, while its sender waits.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.messages: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.is_broken = False
        self.before: Callable[[], None] = _nothing
        self.after: Callable[[], None] = _nothing

    @property
    def address(self) -> str:
        """Its apprise URL."""
        return f"json://127.0.0.1:{self.server_port}/alerts"

    @property
    def url(self) -> str:
        """Its URL for plain calls."""
        return f"http://127.0.0.1:{self.server_port}/beat"

    @property
    def titles(self) -> list[str]:
        """The titles of all messages, in order of arrival."""
        return [message["title"] for message in self.messages]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver for the length of a block."""
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.before()
        if not self.server.is_broken:
            self.server.messages.append(json.loads(body))
        self.server.after()
        self._answer()

    def do_GET(self) -> None:
        self.server.calls.append(self.path)
        self._answer()

    def _answer(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self._say()

    def _say(self) -> None:
        self.send_response(503 if self.server.is_broken else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Keep silent."""


def _nothing() -> None:
    """Do nothing."""
