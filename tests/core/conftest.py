"""Tests of the core that need a wire meet the simulated world on it."""

from __future__ import annotations

from agentwhere_sim.testing import own_sim, sim, simulator_process

__all__ = ["own_sim", "sim", "simulator_process"]
