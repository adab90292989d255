"""Traces by OpenTelemetry, sent by OTLP over HTTP to the collector that ``AGENTWHERE_OTLP_ENDPOINT`` names."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from agentwhere_core import tracing
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.tracing import Kind, Span, Value

if TYPE_CHECKING:
    from agentwhere_flow.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

FLUSH_WITHIN_MS = 3000
_providers: list[Any] = []


def start_tracing(settings: Settings, service: str) -> None:
    """Send this process's spans to the collector of the settings, if they name one; once is enough.

    Raises
    ------
    ConfigurationError
        If what it takes is not installed.
    """
    if settings.otlp_endpoint is None or tracing.is_on():
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"AGENTWHERE_OTLP_ENDPOINT needs {error.name}: install agentwhere[otel]"
        ) from error
    provider = TracerProvider(
        resource=Resource.create(
            {"service.name": service, "deployment.environment.name": settings.profile.value}
        )
    )
    endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    _providers.append(provider)
    tracing.begin(_Recorder(provider.get_tracer("agentwhere")))


def flush_traces() -> None:
    """Send what waits to be sent; a process that executes a run may end without a word."""
    for provider in _providers:
        provider.force_flush(FLUSH_WITHIN_MS)


class _Recorder:
    """Records through a tracer of OpenTelemetry."""

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer

    def span(
        self, name: str, kind: Kind, attributes: dict[str, Value]
    ) -> AbstractContextManager[Span]:
        return self._span(name, kind, attributes)

    @contextmanager
    def _span(self, name: str, kind: Kind, attributes: dict[str, Value]) -> Iterator[Span]:
        from opentelemetry.trace import SpanKind, Status, StatusCode

        # What an exception says, and its traceback, is kept by the logs: here its name is enough.
        with self._tracer.start_as_current_span(
            name,
            kind=SpanKind[kind.value],
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as made:
            try:
                yield _Recorded(made)
            except BaseException as error:
                made.set_attribute("error.type", type(error).__name__)
                made.set_status(Status(StatusCode.ERROR))
                raise

    def carried(self, work: Callable[P, T]) -> Callable[P, T]:
        from opentelemetry import context

        parent = context.get_current()

        @functools.wraps(work)
        def carry(*args: P.args, **kwargs: P.kwargs) -> T:
            token = context.attach(parent)
            try:
                return work(*args, **kwargs)
            finally:
                context.detach(token)

        return carry


class _Recorded:
    """A span under way."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, **attributes: Value) -> None:
        for name, value in tracing.dotted(attributes).items():
            self._span.set_attribute(name, value)
