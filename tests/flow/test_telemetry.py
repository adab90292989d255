"""Traces: steps, what they ask of others and what is asked of the API; without a collector nothing is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agentwhere_sim.testing import Simulator, sim, simulator_process

__all__ = ["sim", "simulator_process"]

TRADE = """
import sys
from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.time import utc_now
from agentwhere_flow.markets import sync_markets
from agentwhere_flow.settings import Settings
from agentwhere_flow.setup import setup
from agentwhere_flow.system import System
from agentwhere_flow.telemetry import flush_traces, start_tracing
settings = Settings()
start_tracing(settings, "agentwhere-test")
system = System(settings, run_id="a-run")
setup(system, utc_now())
sync_markets(system, utc_now(), venue=Venue.HYPERLIQUID)
if "--serve" in sys.argv:
    from fastapi.testclient import TestClient
    from agentwhere_app.api.app import create_app
    with TestClient(create_app(system), base_url="http://localhost", client=("127.0.0.1", 1)) as client:
        assert client.get("/healthz?secret=hidden").status_code == 200
system.close()
flush_traces()
print([name for name in sys.modules if name.startswith("opentelemetry.sdk")])
"""


class Collector:
    """A collector on this machine, and the spans that it got."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                bodies.append(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self) -> list[Any]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        return [
            span
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    pytest.importorskip("opentelemetry.sdk", reason="agentwhere[otel] is not installed")
    running = Collector()
    yield running
    running.server.shutdown()
    running.server.server_close()


def run(database_url: str, sim: Simulator, home: Path, *options: str, **settings: str) -> str:
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "AGENTWHERE_HOME": str(home),
        "AGENTWHERE_SIM_PORT": sim.url.rsplit(":", 1)[1],
        **settings,
    }
    done = subprocess.run(
        [sys.executable, "-c", TRADE, *options],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_steps_requests_and_answers_are_spans_of_one_story(
    database_url: str, sim: Simulator, tmp_path: Path, collector: Collector
) -> None:
    run(database_url, sim, tmp_path, "--serve", AGENTWHERE_OTLP_ENDPOINT=collector.url)
    spans = collector.spans()
    [step] = [span for span in spans if span.name == "step market_lists"]
    assert attributes(step)["agentwhere.run_id"] == "a-run"
    assert attributes(step)["agentwhere.rows_out"] > 0
    asked = [span for span in spans if span.name == "POST hyperliquid"]
    assert asked
    assert {span.parent_span_id for span in asked} == {step.span_id}
    assert attributes(asked[0])["http.response.status_code"] == 200
    assert attributes(asked[0])["url.path"] == "/hyperliquid/info"
    [answered] = [span for span in spans if span.name == "GET /healthz"]
    assert attributes(answered)["http.response.status_code"] == 200
    assert b"hidden" not in b"".join(collector.bodies)


def test_without_a_collector_nothing_of_it_is_loaded(
    database_url: str, sim: Simulator, tmp_path: Path
) -> None:
    assert run(database_url, sim, tmp_path) == "[]"
