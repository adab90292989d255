"""Arithmetic of Ostium's contracts, in `Decimal` and whole units.

Collateral in millionths of a dollar, prices and sizes x 1e18, leverage and closing shares x 100. A position is
collateral times leverage; an order is sized in dollars, and what it comes to in the base is known when it settles.
(``OstiumTrading`` and ``OstiumTradingCallbacks`` of the published contracts.)
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

from agentwhere_core.domain.enums import OrderSide, Side
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.trade import OrderSpec

USDC = Decimal(10) ** 6
ONE = Decimal(10) ** 18
HUNDRED = Decimal(100)
WHOLE_SHARE = 10_000

_BASIS_POINTS = Decimal(10_000)
_MAX_GAIN = Decimal(9)
_MAX_LOSS = Decimal("0.85")
_SIZE_STEP = Decimal("1e-12")
_PRICE_FIGURES = 12


@dataclass(frozen=True, slots=True)
class Stake:
    """What an entry puts in, in the contracts' units."""

    collateral: int
    leverage: int
    price: int
    take_profit: int
    stop_loss: int


def round_price(price: Decimal) -> Decimal:
    """Return ``price`` with twelve significant figures; the venue has no tick, a stored number should end.

    Raises
    ------
    InvariantError
        If ``price`` is not positive.
    """
    if not price.is_finite() or price <= 0:
        raise InvariantError(f"{price} is no price; nothing can be rounded to a valid one")
    step = Decimal(1).scaleb(max(-18, price.adjusted() - _PRICE_FIGURES + 1))
    return price.quantize(step, rounding=ROUND_HALF_EVEN)


def limit_price(side: OrderSide, reference: Decimal, max_slippage_bps: Decimal) -> Decimal:
    """Return the worst price within ``max_slippage_bps`` of ``reference``: above it to buy, below it to sell."""
    slippage = max_slippage_bps / _BASIS_POINTS
    factor = 1 + slippage if side is OrderSide.BUY else 1 - slippage
    return round_price(reference * factor)


def entry_size(
    notional_usd: Decimal, price: Decimal, limit: Decimal, min_notional_usd: Decimal
) -> Decimal:
    """Return the size that is worth at most ``notional_usd`` at ``price`` and at ``limit``; zero below the minimum.

    The stake is size x limit / leverage. So a long order stakes exactly the margin that was meant, a short one a
    little less, and neither ever more.
    """
    if notional_usd <= 0 or price <= 0:
        return Decimal(0)
    size = (notional_usd / max(price, limit)).quantize(_SIZE_STEP, rounding=ROUND_DOWN)
    # A millionth of a dollar may be lost to rounding again when the stake is made.
    return size if size * limit >= min_notional_usd + 1 / USDC else Decimal(0)


def stake(entry: OrderSpec, take_profit: Decimal | None, stop_loss: Decimal | None) -> Stake:
    """Return what ``entry`` puts in, its protection brought within 900 % gain and 85 % loss.

    The contracts do the same without a word; done before signing, what is stored is what the venue holds.

    Raises
    ------
    InvariantError
        If the leverage is not a positive number of hundredths.
    """
    leverage = entry.leverage * HUNDRED
    if leverage <= 0 or leverage != leverage.to_integral_value():
        raise InvariantError(f"{entry.leverage} is no leverage of Ostium: it takes hundredths")
    limit = entry.limit_price
    collateral = (entry.size * limit / entry.leverage * USDC).to_integral_value(ROUND_HALF_EVEN)
    sign = 1 if entry.side is OrderSide.BUY else -1
    gain, loss = limit * _MAX_GAIN / entry.leverage, limit * _MAX_LOSS / entry.leverage
    farthest_profit, farthest_loss = limit + sign * gain, limit - sign * loss
    nearer = min if sign > 0 else max
    tighter = max if sign > 0 else min
    return Stake(
        collateral=int(collateral),
        leverage=int(leverage),
        price=whole(limit),
        take_profit=0 if take_profit is None else whole(nearer(take_profit, farthest_profit)),
        stop_loss=0 if stop_loss is None else whole(tighter(stop_loss, farthest_loss)),
    )


def closing_share(size: Decimal, held: int) -> int:
    """Return which share of a trade of ``held`` (x 1e18) to close, in hundredths of a percent, at least one."""
    share = (size * ONE * WHOLE_SHARE / held).to_integral_value(ROUND_HALF_EVEN)
    return max(1, min(WHOLE_SHARE, int(share)))


def part_of(held: int, share: int) -> Decimal:
    """Return the size that a share of a trade closes, rounded as the contracts do."""
    return Decimal(held if share == WHOLE_SHARE else held * share // WHOLE_SHARE) / ONE


def liquidation_price(
    side: Side, open_price: Decimal, leverage: Decimal, max_leverage: Decimal, margin_pct: Decimal
) -> Decimal | None:
    """Return the price at which a trade keeps only its maintenance margin, fees of holding left out.

    That margin is ``margin_pct`` of the collateral times leverage over the pair's maximum (``getTradeValue`` and
    ``liqMarginThresholdP`` of the contracts).
    """
    kept = margin_pct / HUNDRED * leverage / max_leverage
    price = open_price * (1 - side.sign * (1 - kept) / leverage)
    return round_price(price) if price > 0 else None


def whole(price: Decimal) -> int:
    """Return a price or size as the contracts hold it."""
    return int(price * ONE)
