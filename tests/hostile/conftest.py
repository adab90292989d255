"""The hostile suite meets the product as posts do: over the simulated X API."""

from __future__ import annotations

from agentwhere_sim.testing import sim, simulator_process
from tests.flow.conftest import system

__all__ = ["sim", "simulator_process", "system"]
