"""Adapters meet their simulated venues here, all by the same promises."""

from __future__ import annotations

import pytest

from agentwhere_sim.testing import sim, simulator_process

pytest.register_assert_rewrite("tests.venues.bench", "tests.venues.conformance")

__all__ = ["sim", "simulator_process"]
