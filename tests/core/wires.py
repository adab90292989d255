"""A small HTTP server of a test's own, where the simulator cannot answer what the test needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from agentwhere_core.http import HttpClient

LOOPBACK = frozenset({"127.0.0.1"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says to one request."""

    body: str | bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Wire:
    """A server's address, what it will answer (the last answer repeats), and what it was sent."""

    url: str
    answers: list[Answer]
    received: list[bytes] = field(default_factory=list)

    def next_answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def relay(handle: Callable[[str, bytes], Answer | None]) -> Iterator[str]:
    """Serve what ``handle`` makes of path and body; where it gives None, the connection closes without a word."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = handle(self.path, body)
            if answer is None:
                self.close_connection = True
                return
            content = answer.body.encode() if isinstance(answer.body, str) else answer.body
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = handle_any  # noqa: N815 - the names that http.server looks for

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def wire(*answers: Any) -> Iterator[Wire]:
    """Serve ``answers`` one after another; what is no `Answer` is sent as JSON."""
    prepared = [a if isinstance(a, Answer) else Answer(json.dumps(a)) for a in answers]
    served = Wire("", prepared)

    def answer(_path: str, body: bytes) -> Answer:
        served.received.append(body)
        return served.next_answer()

    with relay(answer) as url:
        served.url = url
        yield served


@contextmanager
def client(service: str = "hyperliquid", **options: Any) -> Iterator[HttpClient]:
    """Give a client that may reach this machine only, impatient unless told otherwise."""
    settings = {"timeout_s": 5.0, "attempts": 2} | options
    http = HttpClient(service, allowed_hosts=LOOPBACK, **settings)
    try:
        yield http
    finally:
        http.close()
