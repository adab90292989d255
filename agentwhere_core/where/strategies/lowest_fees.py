"""The venue where the round trip costs least, everything included."""

from __future__ import annotations

from agentwhere_core.where.strategies.least import choose_least
from agentwhere_core.where.strategies.protocol import Choice, Options


class LowestFees:
    """Take the least expected total: fees both ways, spread, impact, funding, rollover, oracle and gas."""

    def choose(self, options: Options) -> Choice:
        """Return the available venue with the least total cost."""
        return choose_least(options.check_all(), lambda cost: cost.total_bps)
