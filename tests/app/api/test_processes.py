"""The server as processes, under load: its end cuts nothing off; without its database it says so, and recovers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from agentwhere_app.home import REPOSITORY
from agentwhere_store.embedded import EmbeddedPostgres
from agentwhere_store.migrate import migrate

PATIENCE_S = 60
CLIENTS = 6
PATHS = ("/api/monitoring/health", "/performance", "/api/positions", "/api/agents")


class Process:
    """`agentwhere serve` on a free port."""

    def __init__(self, home: Path, database_url: str, *arguments: str) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AGENTWHERE_")}
        self.log = home.parent / "serve.log"
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "agentwhere_app", "serve", "--json", "--port", "0"),
                    *arguments,
                ],
                cwd=REPOSITORY,
                env={**inherited, "AGENTWHERE_HOME": str(home), "DATABASE_URL": database_url},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        told = "".join(iter(self._process.stdout.readline, "}\n")) + "}"
        self.url = str(json.loads(told)["url"])
        eventually(self._answers)

    def stop(self) -> float:
        """Tell it to stop; return how long it took."""
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE_S)
        return time.monotonic() - began

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def code(self) -> int | None:
        return self._process.poll()

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


class Load:
    """Clients that ask without a pause, each on a connection that it keeps, and note what comes back."""

    def __init__(self, url: str) -> None:
        self.statuses: Counter[int] = Counter()
        self.cut_off: list[str] = []
        self.refused = 0
        self.without_retry_after = 0
        self._address = urlsplit(url).netloc
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)
        ]

    def answers(self) -> int:
        return sum(self.statuses.values())

    def _ask(self, number: int) -> None:
        connection = HTTPConnection(self._address, timeout=PATIENCE_S)
        while not self._enough.is_set():
            try:
                connection.connect()
            except OSError:
                self.refused += 1
                return
            self._keep_asking(connection, number)
            connection.close()

    def _keep_asking(self, connection: HTTPConnection, number: int) -> None:
        path = PATHS[number % len(PATHS)]
        while not self._enough.is_set():
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
            except (OSError, HTTPException) as error:
                self.cut_off.append(repr(error))
                return
            self._note(answer)
            if answer.getheader("connection") == "close":
                return

    def _note(self, answer: HTTPResponse) -> None:
        self.statuses[answer.status] += 1
        if answer.status == 503 and not answer.getheader("retry-after"):
            self.without_retry_after += 1

    @contextmanager
    def running(self) -> Iterator[Load]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._enough.set()
            for thread in self._threads:
                thread.join(PATIENCE_S)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
def test_told_to_stop_under_load_it_cuts_no_request_off(
    database_url: str, tmp_path: Path, workers: int
) -> None:
    server = Process(tmp_path / "home", database_url, "--workers", str(workers))
    try:
        with (
            Load(server.url).running() as load,
            httpx.stream("GET", f"{server.url}/api/events", trust_env=False) as stream,
        ):
            lines = stream.iter_lines()
            assert next(lines)
            eventually(lambda: load.answers() > 200)
            took_s = server.stop()
            # The open page was told the end, not cut off.
            list(lines)
    finally:
        server.end()
    assert load.cut_off == []
    assert load.refused == CLIENTS
    assert set(load.statuses) == {200}
    assert took_s < 10
    assert server.code == 0


def test_while_the_database_restarts_it_says_so_and_recovers_by_itself(tmp_path: Path) -> None:
    database = EmbeddedPostgres(tmp_path / "database", durable=False)
    with database.running() as address:
        migrate(address.url())
        server = Process(tmp_path / "home", address.url())
        try:
            with Load(server.url).running() as load:
                eventually(lambda: load.statuses[200] > 200)
                database.stop()
                eventually(lambda: load.statuses[503] > 100)
                database.ensure_running()
                eventually(lambda: all_well(server.url))
                before = load.statuses[503]
                answered = load.answers()
                eventually(lambda: load.answers() > answered + 200)
                assert load.statuses[503] == before
        finally:
            server.end()
    assert load.cut_off == []
    assert set(load.statuses) == {200, 503}
    assert load.without_retry_after == 0


def all_well(url: str) -> bool:
    return all(
        httpx.get(url + path, trust_env=False, timeout=PATIENCE_S).status_code == 200
        for path in PATHS
        for _ in range(5)
    )
