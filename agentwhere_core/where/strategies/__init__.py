"""Ways to choose a venue among those that are available (R3): one module each, all behind `Strategy`.

To add one, write a module with a class that follows the protocol, and enter it in `STRATEGIES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agentwhere_core.domain.enums import RoutingStrategy
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.where.strategies.best_liquidity import BestLiquidity
from agentwhere_core.where.strategies.first_available import FirstAvailable
from agentwhere_core.where.strategies.lowest_fees import LowestFees
from agentwhere_core.where.strategies.protocol import Choice, Options, Strategy
from agentwhere_core.where.strategies.split import Split

STRATEGIES: Mapping[RoutingStrategy, Strategy] = MappingProxyType(
    {
        RoutingStrategy.FIRST_AVAILABLE: FirstAvailable(),
        RoutingStrategy.BEST_LIQUIDITY: BestLiquidity(),
        RoutingStrategy.LOWEST_FEES: LowestFees(),
        RoutingStrategy.SPLIT: Split(),
    }
)


def strategy_named(name: str) -> RoutingStrategy:
    """Return the strategy that a configuration names.

    Raises
    ------
    ConfigurationError
        If this version does not have it.
    """
    found = next((known for known in STRATEGIES if known == name), None)
    if found is None:
        supported = ", ".join(STRATEGIES)
        raise ConfigurationError(
            f"routing_strategy {name!r} is not known to this version; choose one of: {supported}"
        )
    return found


__all__ = ["STRATEGIES", "Choice", "Options", "Strategy", "strategy_named"]
