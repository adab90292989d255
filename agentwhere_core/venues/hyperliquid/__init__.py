"""Hyperliquid perpetuals: market data and execution.

`adapter` is the venue as the flow sees it. `rules` is the arithmetic of its prices and sizes, `actions` what is signed,
`outcomes` what its answers mean for an order, `replies` the shapes of its answers, `markets` and `accounts` how they
become our own values.
"""

from agentwhere_core.venues.hyperliquid.adapter import Hyperliquid

__all__ = ["Hyperliquid"]
