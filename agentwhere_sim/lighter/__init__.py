"""Simulated Lighter: REST with API keys, nonces, a sequencer that executes later, and books without other traders.

Shapes as the public endpoints answer (recorded May 2026) and as the official SDK's models have them.
"""

from agentwhere_sim.lighter.service import routes

__all__ = ["routes"]
