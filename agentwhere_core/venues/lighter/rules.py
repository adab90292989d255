"""Arithmetic of Lighter's prices and sizes: decimals by market, whole numbers on the wire.

Every market has a fixed number of decimals for prices and for sizes, and a smallest order in units and in USDC
(``orderBookDetails``). On the wire a price is ``price · 10^price_decimals``, a size ``size · 10^size_decimals``.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from agentwhere_core.domain.enums import OrderSide
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.market import Market

MAX_PRICE = 2**32 - 1
MAX_AMOUNT = 2**48 - 1
_BASIS_POINTS = Decimal(10_000)


def round_price(market: Market, price: Decimal, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """Return a valid price at or next to ``price``, and never zero.

    Raises
    ------
    InvariantError
        If ``price`` is not positive.
    """
    if not price.is_finite() or price <= 0:
        raise InvariantError(f"{price} is no price; nothing can be rounded to a valid one")
    tick = step(price_decimals(market))
    return max(price.quantize(tick, rounding=rounding), tick)


def limit_price(
    market: Market, side: OrderSide, reference: Decimal, max_slippage_bps: Decimal
) -> Decimal:
    """Return the worst valid price within ``max_slippage_bps`` of ``reference``: above it to buy, below it to sell."""
    slippage = max_slippage_bps / _BASIS_POINTS
    if side is OrderSide.BUY:
        return round_price(market, reference * (1 + slippage), ROUND_FLOOR)
    return round_price(market, reference * (1 - slippage), ROUND_CEILING)


def entry_size(market: Market, notional_usd: Decimal, price: Decimal, limit: Decimal) -> Decimal:
    """Return the largest valid size worth at most ``notional_usd`` at ``price``; zero if below the market's minimums.

    Zero as well where a number would not fit the wire. The minimum in USDC is checked against the lower of the prices.
    """
    if notional_usd <= 0 or price <= 0:
        return Decimal(0)
    size = (notional_usd / price).quantize(step(market.size_decimals), rounding=ROUND_DOWN)
    is_small = size < market.min_size or size * min(price, limit) < market.min_notional_usd
    is_large = (
        size.scaleb(market.size_decimals) > MAX_AMOUNT
        or max(price, limit).scaleb(price_decimals(market)) > MAX_PRICE
    )
    return Decimal(0) if is_small or is_large else size


def whole(value: Decimal, decimals: int | None, most: int, what: str) -> int:
    """Return ``value`` as the wire wants it.

    Raises
    ------
    InvariantError
        If the decimals are unknown, or the value would have to be rounded or does not fit.
    """
    if decimals is None:
        raise InvariantError(f"the {what} {value} cannot be sent without its market's decimals")
    scaled = value.scaleb(decimals)
    if scaled != scaled.to_integral_value() or not 0 < scaled <= most:
        raise InvariantError(
            f"the {what} {value} does not fit {decimals} decimals; round it by the market's rules before signing"
        )
    return int(scaled)


def price_decimals(market: Market) -> int:
    """Return the decimals of a market's prices.

    Raises
    ------
    InvariantError
        If the market does not say: it is none of Lighter's.
    """
    if market.price_decimals is None:
        raise InvariantError(f"{market.market_name} of {market.venue} has no price decimals")
    return market.price_decimals


def step(decimals: int) -> Decimal:
    """Return the smallest step of a number with so many decimals."""
    return Decimal(1).scaleb(-decimals)
