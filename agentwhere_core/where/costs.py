"""What a round trip is expected to cost at a venue, in basis points of its notional.

========== ==========================================================================================
term       what it is
========== ==========================================================================================
taker fee  the venue's fee on the way in
close fee  its fee on the way out; some venues charge nothing there
spread     half the spread in and half out; 10 bps where the venue does not state it
impact     the order's own push on the price, in and out; see `where.slippage`
funding    hourly rate × holding time; longs pay a positive rate and shorts receive it, so that it is
           positive when paid and may be negative; zero where the venue states no rate
rollover   hourly cost of holding × holding time, which both sides pay
oracle     the oracle's fixed fee per position
gas        two transactions, where trading needs them
========== ==========================================================================================

Exit prices, rates and gas are taken to be those of now.
"""

from __future__ import annotations

from decimal import Decimal

from agentwhere_core.domain.enums import Side
from agentwhere_core.domain.market import Book, Market
from agentwhere_core.domain.routing import ExpectedCost
from agentwhere_core.where.slippage import slippage_of

_BPS = Decimal(10_000)
_PLACES = Decimal("0.0001")
_ZERO = Decimal("0.0000")


class Pricing:
    """The cost model of one market at one moment: made once, asked for any number of sizes.

    Parameters
    ----------
    market
        Fees, rates and activity.
    book
        Its order book, if it was read.
    """

    __slots__ = (
        "_close",
        "_fees",
        "_funding",
        "_gas_usd",
        "_oracle_usd",
        "_rollover",
        "_slippage",
        "_spread",
        "_taker",
    )

    def __init__(self, market: Market, book: Book | None = None) -> None:
        self._slippage = slippage_of(market, book)
        fee = market.taker_fee_bps
        close = fee if market.close_fee_bps is None else market.close_fee_bps
        self._taker, self._close = _rounded(fee), _rounded(close)
        self._spread = _rounded(self._slippage.spread_bps)
        self._funding = (market.funding_hourly or _ZERO) * _BPS
        self._rollover = (market.rollover_hourly or _ZERO) * _BPS
        self._oracle_usd = market.oracle_fee_usd
        self._gas_usd = 2 * market.gas_fee_usd
        self._fees = fee + close + self._slippage.spread_bps

    @property
    def fixed_usd(self) -> Decimal:
        """What a position costs whatever its size."""
        return self._oracle_usd + self._gas_usd

    def variable_usd(self, notional_usd: Decimal, side: Side, holding_h: Decimal) -> Decimal:
        """Return what a position costs besides `fixed_usd`: convex in its size, zero for none."""
        hourly = side.sign * self._funding + self._rollover
        linear = (self._fees + hourly * holding_h) / _BPS * notional_usd
        return linear + self._slippage.impact_usd(notional_usd)

    def cost(self, notional_usd: Decimal, side: Side, holding_h: Decimal) -> ExpectedCost:
        """Return what opening, holding and closing a position is expected to cost, term by term.

        Parameters
        ----------
        notional_usd
            Size of the position, above 0.
        holding_h
            Expected holding time in hours.

        Raises
        ------
        ValueError
            If the notional is not positive.
        """
        if notional_usd <= 0:
            raise ValueError(f"a notional is above 0 USD, not {notional_usd}")
        funding, rollover = self._funding, self._rollover
        impact = self._slippage.impact_usd(notional_usd)
        return ExpectedCost(
            taker_fee_bps=self._taker,
            spread_bps=self._spread,
            impact_bps=_rounded(impact / notional_usd * _BPS) if impact else _ZERO,
            funding_bps=_rounded(side.sign * funding * holding_h) if funding else _ZERO,
            rollover_bps=_rounded(rollover * holding_h) if rollover else _ZERO,
            oracle_bps=_share(self._oracle_usd, notional_usd),
            close_fee_bps=self._close,
            gas_bps=_share(self._gas_usd, notional_usd),
        )


def expected_cost(
    market: Market,
    notional_usd: Decimal,
    side: Side,
    holding_h: Decimal,
    book: Book | None = None,
) -> ExpectedCost:
    """Return the expected cost of one position; see `Pricing.cost`."""
    return Pricing(market, book).cost(notional_usd, side, holding_h)


def _rounded(bps: Decimal) -> Decimal:
    return bps.quantize(_PLACES)


def _share(usd: Decimal, notional_usd: Decimal) -> Decimal:
    return _rounded(usd * _BPS / notional_usd) if usd else _ZERO
