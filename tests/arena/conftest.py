"""The arena as tests meet it: a desk whose venues are synced, and a simulator that trades."""

from __future__ import annotations

from tests.flow.conftest import desk, own_sim, sim, simulator_process, system

__all__ = ["desk", "own_sim", "sim", "simulator_process", "system"]
