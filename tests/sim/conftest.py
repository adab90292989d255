"""The simulated world as its tests meet it: a real process, asked over the wire."""

from agentwhere_sim.testing import own_sim, sim, simulator_process

__all__ = ["own_sim", "sim", "simulator_process"]
