"""What assets and sensors are given: a `System`, wired from the environment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import PrivateAttr

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.sharding import WHOLE, Shard
from agentwhere_dagster.scale import shard_of

if TYPE_CHECKING:
    from agentwhere_flow.system import System


_loading = threading.Lock()


class AgentWhere(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The system as the environment describes it (``AGENTWHERE_*``, ``DATABASE_URL``).

    It is opened when the first step of a run (or a sensor's tick) asks for it, and closed with the last.
    """

    _opened: System | None = PrivateAttr(default=None)
    _run_id: str | None = PrivateAttr(default=None)
    _shard: Shard = PrivateAttr(default=WHOLE)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[AgentWhere]:
        """Serve one run or one tick, then give back connections."""
        _load_in_one_thread()
        if context.run is not None:
            self._run_id = context.run.run_id
            self._shard = shard_of(context.run.tags)
        try:
            yield self
        finally:
            if self._opened is not None:
                self._opened.close()
                _flush_traces()
                self._opened = None

    def trades_on(self, venue: Venue) -> bool:
        """Return whether ``venue`` is enabled."""
        return venue in self.system().settings.venues

    def system(self) -> System:
        """Return the `System`, which marks its records with the run's id.

        Raises
        ------
        ConfigurationError
            If the environment does not describe a system that can be opened.
        """
        from agentwhere_flow.logs import configure_logs
        from agentwhere_flow.settings import Settings
        from agentwhere_flow.system import System
        from agentwhere_flow.telemetry import start_tracing

        if self._opened is None:
            settings = Settings()
            configure_logs(settings.log_format)
            start_tracing(settings, "agentwhere-runs")
            self._opened = System(settings, run_id=self._run_id, shard=self._shard)
        return self._opened


def _flush_traces() -> None:
    from agentwhere_flow.telemetry import flush_traces

    flush_traces()


def _load_in_one_thread() -> None:
    """Load what every tick and run needs, in one thread at a time.

    The code server evaluates sensors in parallel threads. When two of them are the first to import modules that import
    each other, each can hold what the other waits for, and Python ends one of them with a deadlock error.
    """
    from importlib import import_module

    with _loading:
        for module in (
            "agentwhere_store.engine",
            "agentwhere_store.operations",
            "agentwhere_flow.logs",
            "agentwhere_flow.system",
            "agentwhere_flow.triggers",
            "agentwhere_flow.alerts",
            "agentwhere_flow.notices",
            "agentwhere_flow.heartbeat",
        ):
            import_module(module)
