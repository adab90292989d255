"""The venue's arithmetic: ticks, lots, how numbers are written, fees.

Prices have at most 5 significant figures and at most ``6 - szDecimals`` decimals; an integer is
always valid. Sizes have ``szDecimals`` decimals. Source: the venue's "Tick and lot size" page.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentwhere_sim.universe import HyperliquidMarket

TAKER_FEE = Decimal("0.00045")
MAKER_FEE = Decimal("0.00015")
MIN_NOTIONAL_USD = Decimal(10)
MAX_DECIMALS = 6
_SIGNIFICANT_FIGURES = 5
_USD = Decimal("0.000001")


def tick(price: Decimal, sz_decimals: int) -> Decimal:
    """Give the price step that is valid at a price level."""
    exponent = max(price.adjusted() - _SIGNIFICANT_FIGURES + 1, sz_decimals - MAX_DECIMALS)
    return Decimal(1).scaleb(min(exponent, 0))


def lot(sz_decimals: int) -> Decimal:
    """Give the smallest size step."""
    return Decimal(1).scaleb(-sz_decimals)


def on_tick(price: Decimal, sz_decimals: int) -> bool:
    """Tell whether a price is valid."""
    return price % tick(price, sz_decimals) == 0


def on_lot(size: Decimal, sz_decimals: int) -> bool:
    """Tell whether a size is valid."""
    return size % lot(sz_decimals) == 0


def floor_price(price: Decimal, sz_decimals: int) -> Decimal:
    """Round a price down to the tick."""
    step = tick(price, sz_decimals)
    return (price / step).to_integral_value(ROUND_FLOOR) * step


def ceil_price(price: Decimal, sz_decimals: int) -> Decimal:
    """Round a price up to the tick."""
    step = tick(price, sz_decimals)
    return (price / step).to_integral_value(ROUND_CEILING) * step


def floor_size(size: Decimal, sz_decimals: int) -> Decimal:
    """Round a size down to the lot."""
    step = lot(sz_decimals)
    return (size / step).to_integral_value(ROUND_FLOOR) * step


def usd(amount: Decimal) -> Decimal:
    """Round an amount of USDC to its six decimals."""
    return amount.quantize(_USD)


def text(number: Decimal) -> str:
    """Write a number as the venue does: plain decimals, no trailing zeros, but at least one decimal."""
    plain = f"{number.normalize():f}"
    return plain if "." in plain else f"{plain}.0"


def maintenance_fraction(market: HyperliquidMarket) -> Decimal:
    """Give the share of notional that must remain as margin: half the initial margin at maximum leverage."""
    return 1 / Decimal(2 * market.max_leverage)
