"""The venue that fills this size closest to mid, on the way in and out, whatever its fees."""

from __future__ import annotations

from agentwhere_core.where.strategies.least import choose_least
from agentwhere_core.where.strategies.protocol import Choice, Options


class BestLiquidity:
    """Take the least expected slippage: spread and impact of this size."""

    def choose(self, options: Options) -> Choice:
        """Return the available venue with the least slippage."""
        return choose_least(options.check_all(), lambda cost: cost.slippage_bps)
