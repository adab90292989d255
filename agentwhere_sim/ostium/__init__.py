"""Simulated Ostium: its chain by JSON-RPC, its subgraph, its price publisher and its trading hours.

Written from the venue's published contracts and the shapes of its subgraph. What the simulation leaves out: the vault,
limit and stop entries, collateral that is added or taken out, builder fees, dynamic spread and funding (rollover is
charged), day trades. Blocks follow the simulated time, the keeper the real one: what a test freezes still settles.
"""

from agentwhere_sim.ostium.service import routes

__all__ = ["routes"]
