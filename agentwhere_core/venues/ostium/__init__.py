"""Ostium: perpetuals on real-world assets and crypto, settled by contracts on Arbitrum.

`adapter` is the venue as the flow sees it. `markets` reads pairs, prices and hours; `subgraph` and `node` are the two
wires to the chain's state; `contracts` is the binary interface, `rules` its arithmetic; `envelopes` holds what is
signed and stored, `signing` makes it, `outcomes` says what became of it, `accounts` what an account holds.
"""

from agentwhere_core.venues.ostium.adapter import Ostium
from agentwhere_core.venues.ostium.node import OstiumChain

__all__ = ["Ostium", "OstiumChain"]
