"""What assets and sensors are given: a `System`, wired from the environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from agentwhere_core.domain.enums import Venue

if TYPE_CHECKING:
    from agentwhere_flow.system import System


class AgentWhere(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The system as the environment describes it (``AGENTWHERE_*``, ``DATABASE_URL``)."""

    def trades_on(self, venue: Venue) -> bool:
        """Return whether ``venue`` is enabled."""
        from agentwhere_flow.settings import Settings

        return venue in Settings().venues

    @contextmanager
    def system(self, run_id: str | None = None) -> Iterator[System]:
        """Open a `System` that marks its records with ``run_id``, and give back its connections at the end.

        Raises
        ------
        ConfigurationError
            If the environment does not describe a system that can be opened.
        """
        from agentwhere_flow.settings import Settings
        from agentwhere_flow.system import System

        system = System(Settings(), run_id=run_id)
        try:
            yield system
        finally:
            system.close()
