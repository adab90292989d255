"""Simulated Hyperliquid: ``/info`` and ``/exchange`` as the venue answers them.

Written from the venue's protocol as its official SDK speaks it. What the simulation leaves out: other traders (the book
is a fresh, deterministic one round the mid at every instant), vaults and sub-accounts, spot trading, builder-deployed
markets, isolated margin as a separate pot (an isolated leverage is remembered and reported, margined with the rest).
"""

from agentwhere_sim.hyperliquid.service import routes

__all__ = ["routes"]
