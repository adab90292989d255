"""What a round trip is expected to cost at a venue, in basis points of its notional.

========== ==========================================================================================
term       what it is
========== ==========================================================================================
taker fee  the venue's taker fee, in and out
spread     half the spread in and half out; 10 bps where the venue does not state it
impact     the order's own push on the price, in and out: an estimate, see below
funding    hourly rate × holding time; longs pay a positive rate and shorts receive it, so that it is
           positive when paid and may be negative; zero where the venue states no rate
fixed      fees per trade in USD, in and out
========== ==========================================================================================

Impact follows the square-root law, ``daily volatility × √(notional ÷ daily volume)`` per side (Almgren et al.,
"Direct Estimation of Equity Market Impact", 2005; Tóth et al., "Anomalous Price Impact", 2011), with a rough daily
volatility per kind of market. It ranks venues by order of magnitude; it does not replace walking their books. Where
the volume is unknown, the order is taken for a hundredth of it. Ostium fills at its oracle's price whatever the
size, so there it is 0.
"""

from __future__ import annotations

from decimal import Decimal

from agentwhere_core.domain.enums import Side, Venue
from agentwhere_core.domain.market import Market
from agentwhere_core.domain.trade import ExpectedCost

UNKNOWN_SPREAD_BPS = Decimal(10)
UNKNOWN_PARTICIPATION = Decimal("0.01")
ORACLE_PRICED = frozenset({Venue.OSTIUM})

DAILY_VOLATILITY_BPS = {
    "CRYPTO": Decimal(300),
    "STOCK": Decimal(200),
    "COMMODITY": Decimal(150),
    "INDEX": Decimal(100),
    "FX": Decimal(50),
}

_BPS = Decimal(10_000)
_PLACES = Decimal("0.0001")
_ZERO = Decimal("0.0000")


def expected_cost(
    market: Market, notional_usd: Decimal, side: Side, holding_h: Decimal
) -> ExpectedCost:
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
    spread = market.spread_bps
    fixed = market.oracle_fee_usd
    return ExpectedCost(
        taker_fee_bps=(2 * market.taker_fee_bps).quantize(_PLACES),
        spread_bps=(UNKNOWN_SPREAD_BPS if spread is None else spread).quantize(_PLACES),
        impact_bps=_impact(market, notional_usd),
        funding_bps=_funding(market, side, holding_h),
        fixed_bps=(2 * fixed * _BPS / notional_usd).quantize(_PLACES) if fixed else _ZERO,
    )


def _impact(market: Market, notional_usd: Decimal) -> Decimal:
    if market.venue in ORACLE_PRICED:
        return _ZERO
    volume = market.volume_24h_usd
    participation = notional_usd / volume if volume else UNKNOWN_PARTICIPATION
    volatility = DAILY_VOLATILITY_BPS.get(market.group, DAILY_VOLATILITY_BPS["CRYPTO"])
    return (2 * volatility * participation.sqrt()).quantize(_PLACES)


def _funding(market: Market, side: Side, holding_h: Decimal) -> Decimal:
    rate = market.funding_hourly
    return (side.sign * rate * holding_h * _BPS).quantize(_PLACES) if rate else _ZERO
