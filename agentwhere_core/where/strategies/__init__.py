"""Ways to choose a venue among those that are available (R3): one module each, all behind `Strategy`.

To add one, write a module with a class that follows the protocol, and enter it in `STRATEGIES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agentwhere_core.domain.enums import RoutingStrategy
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.where.strategies.first_available import FirstAvailable
from agentwhere_core.where.strategies.protocol import Choice, Strategy

STRATEGIES: Mapping[RoutingStrategy, Strategy] = MappingProxyType(
    {RoutingStrategy.FIRST_AVAILABLE: FirstAvailable()}
)


def strategy_for(name: RoutingStrategy) -> Strategy:
    """Return the strategy of that name.

    Raises
    ------
    ConfigurationError
        If this version does not have it.
    """
    try:
        return STRATEGIES[name]
    except KeyError:
        supported = ", ".join(STRATEGIES)
        raise ConfigurationError(
            f"routing_strategy {name} is not supported by this version; choose one of: {supported}"
        ) from None


__all__ = ["STRATEGIES", "Choice", "Strategy", "strategy_for"]
