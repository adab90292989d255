"""Prometheus: requests as they pass the gate, and the state of the business at the moment of the scrape."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
ELSEWHERE = "(other)"
"""Label of addresses that the API does not know: a label per guessed address would grow without end."""


class Meter:
    """Counts requests by route, method and status."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "agentwhere_http_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "agentwhere_http_request_seconds",
            "Time to answer, streams excepted.",
            ("route",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._counted: dict[tuple[str, str, int], Counter] = {}
        self._timed: dict[str, Histogram] = {}

    def count(self, scope: MutableMapping[str, Any], status: int, seconds: float) -> None:
        """Count one request."""
        route = scope.get("at_hand") or str(getattr(scope.get("route"), "path", ELSEWHERE))
        method = scope["method"] if route != ELSEWHERE else "*"
        name = (method, route, status)
        counter = self._counted.get(name)
        if counter is None:
            counter = self._requests.labels(method, route, str(status))
            self._counted[name] = counter
        counter.inc()
        if scope.get("is_stream"):
            return
        timer = self._timed.get(route)
        if timer is None:
            timer = self._timed[route] = self._seconds.labels(route)
        timer.observe(seconds)

    def render(self, figures: Mapping[str, Figure]) -> bytes:
        """Return everything in Prometheus' text format; requests of all workers where they share a folder."""
        registry = self.registry
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        state = CollectorRegistry()
        state.register(_State(figures))
        return generate_latest(registry) + generate_latest(state)


Figure = tuple[str, tuple[str, ...], Mapping[tuple[str, ...], float]]
"""Help text, names of labels, and values by labels."""


class _State(Collector):
    """Figures that were read for this scrape."""

    def __init__(self, figures: Mapping[str, Figure]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield one family per figure."""
        for name, (about, labels, values) in self._figures.items():
            family = GaugeMetricFamily(f"agentwhere_{name}", about, labels=labels)
            for label, value in values.items():
                family.add_metric(label, value)
            yield family
