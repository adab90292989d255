"""What assets and sensors are given: a `System`, wired from the environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import PrivateAttr

from agentwhere_core.domain.enums import Venue

if TYPE_CHECKING:
    from agentwhere_flow.system import System


class AgentWhere(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The system as the environment describes it (``AGENTWHERE_*``, ``DATABASE_URL``).

    It is opened when the first step of a run (or a sensor's tick) asks for it, and closed with the last.
    """

    _opened: System | None = PrivateAttr(default=None)
    _run_id: str | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[AgentWhere]:
        """Serve one run or one tick, then give back connections."""
        self._run_id = context.run.run_id if context.run is not None else None
        try:
            yield self
        finally:
            if self._opened is not None:
                self._opened.close()
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
        from agentwhere_flow.settings import Settings
        from agentwhere_flow.system import System

        if self._opened is None:
            self._opened = System(Settings(), run_id=self._run_id)
        return self._opened
