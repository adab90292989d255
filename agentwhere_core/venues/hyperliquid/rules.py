"""Arithmetic of Hyperliquid's prices and sizes, in `Decimal` throughout.

A price has at most five significant figures and at most ``6 − szDecimals`` decimals; an integer is always valid. A size
has at most ``szDecimals`` decimals. An order is worth at least 10 USD. (Hyperliquid documentation, "Tick and lot size"
and "Error responses".) The SDK rounds binary floats, and markets of builders wrongly; this module replaces that part.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from agentwhere_core.domain.enums import OrderSide
from agentwhere_core.domain.errors import InvariantError

MIN_NOTIONAL_USD = Decimal(10)

_SIGNIFICANT_FIGURES = 5
_PRICE_DECIMALS = 6
_WIRE_DECIMALS = 8
_BASIS_POINTS = Decimal(10_000)


def round_price(price: Decimal, size_decimals: int, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """Return a valid price at or next to ``price``, and never zero.

    Raises
    ------
    InvariantError
        If ``price`` is not positive.
    """
    if not price.is_finite() or price <= 0:
        raise InvariantError(f"{price} is no price; nothing can be rounded to a valid one")
    tick = _tick(price, size_decimals)
    return max(price.quantize(tick, rounding=rounding), tick)


def limit_price(
    side: OrderSide, reference: Decimal, max_slippage_bps: Decimal, size_decimals: int
) -> Decimal:
    """Return the worst valid price within ``max_slippage_bps`` of ``reference``: above it to buy, below it to sell."""
    slippage = max_slippage_bps / _BASIS_POINTS
    if side is OrderSide.BUY:
        return round_price(reference * (1 + slippage), size_decimals, ROUND_FLOOR)
    return round_price(reference * (1 - slippage), size_decimals, ROUND_CEILING)


def entry_size(
    notional_usd: Decimal, price: Decimal, limit: Decimal, size_decimals: int
) -> Decimal:
    """Return the largest valid size worth at most ``notional_usd`` at ``price``; zero if below the venue's minimum.

    The minimum is checked against the lower of ``price`` and ``limit``, whichever the venue takes.
    """
    if notional_usd <= 0 or price <= 0:
        return Decimal(0)
    size = (notional_usd / price).quantize(_step(size_decimals), rounding=ROUND_DOWN)
    return size if size * min(price, limit) >= MIN_NOTIONAL_USD else Decimal(0)


def wire_number(value: Decimal) -> str:
    """Return ``value`` as the venue writes numbers: plain digits, no trailing zeros, at most eight decimals.

    The text is hashed and signed, so it must be what the venue itself would write (the SDK's ``float_to_wire``).

    Raises
    ------
    InvariantError
        If the value would have to be rounded.
    """
    if not value.is_finite() or value != value.quantize(_step(_WIRE_DECIMALS)):
        raise InvariantError(
            f"{value} has more than {_WIRE_DECIMALS} decimals; round it by the market's rules before signing"
        )
    return "0" if value == 0 else f"{value.normalize():f}"


def _tick(price: Decimal, size_decimals: int) -> Decimal:
    by_figures = price.adjusted() - (_SIGNIFICANT_FIGURES - 1)
    by_decimals = -max(0, _PRICE_DECIMALS - size_decimals)
    return Decimal(1).scaleb(min(0, max(by_figures, by_decimals)))


def _step(decimals: int) -> Decimal:
    return Decimal(1).scaleb(-decimals)
