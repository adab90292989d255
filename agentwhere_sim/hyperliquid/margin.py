"""What an account is worth, what its positions bind, and where it is liquidated.

Cross margin as the venue documents it: initial margin = notional / leverage, maintenance margin = notional x half the
initial fraction at maximum leverage, liquidation when the account's value falls below its maintenance margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_sim.hyperliquid import rules
from agentwhere_sim.universe import hyperliquid_markets

if TYPE_CHECKING:
    from agentwhere_sim.hyperliquid.book import Quotes
    from agentwhere_sim.hyperliquid.ledger import Ledger, Order, Position
    from agentwhere_sim.universe import HyperliquidMarket

DEFAULT_LEVERAGE = 20


@dataclass(frozen=True, slots=True)
class Holding:
    """A position at a mark price, with the margin it binds."""

    position: Position
    market: HyperliquidMarket
    mark: Decimal
    leverage: int
    is_cross: bool

    @property
    def notional(self) -> Decimal:
        """Size times mark, in USDC."""
        return abs(self.position.szi) * self.mark

    @property
    def unrealized(self) -> Decimal:
        """Profit if closed at the mark."""
        return self.position.szi * (self.mark - self.position.entry_px)

    @property
    def initial_margin(self) -> Decimal:
        """Margin bound at the chosen leverage."""
        return self.notional / self.leverage

    @property
    def maintenance_margin(self) -> Decimal:
        """Margin that must remain."""
        return self.notional * rules.maintenance_fraction(self.market)


@dataclass(frozen=True, slots=True)
class Account:
    """An account at an instant."""

    cash: Decimal
    holdings: tuple[Holding, ...]

    @property
    def value(self) -> Decimal:
        """Cash plus unrealised profit."""
        return self.cash + sum((holding.unrealized for holding in self.holdings), Decimal(0))

    @property
    def margin_used(self) -> Decimal:
        """Initial margin of all positions."""
        return sum((holding.initial_margin for holding in self.holdings), Decimal(0))

    @property
    def maintenance_margin(self) -> Decimal:
        """Maintenance margin of all positions."""
        return sum((holding.maintenance_margin for holding in self.holdings), Decimal(0))

    @property
    def notional(self) -> Decimal:
        """Size of all positions in USDC."""
        return sum((holding.notional for holding in self.holdings), Decimal(0))

    @property
    def is_bankrupt(self) -> bool:
        """Whether it must be liquidated."""
        return bool(self.holdings) and self.value < self.maintenance_margin

    def liquidation_price(self, holding: Holding) -> Decimal | None:
        """Give the mark at which this position, all else unchanged, liquidates the account; ``None`` if none does."""
        side = 1 if holding.position.szi > 0 else -1
        room = self.value - self.maintenance_margin
        slope = 1 - rules.maintenance_fraction(holding.market) * side
        price = holding.mark - side * room / abs(holding.position.szi) / slope
        return price if price > 0 else None


class Margins:
    """Value accounts and judge whether an order can be afforded."""

    def __init__(self, ledger: Ledger, quotes: Quotes) -> None:
        self._ledger = ledger
        self._quotes = quotes

    def leverage(self, address: str, market: HyperliquidMarket) -> tuple[int, bool]:
        """Give the leverage that applies to a user in a market, and whether it is cross."""
        chosen = self._ledger.leverage(address, market.asset)
        return chosen or (min(DEFAULT_LEVERAGE, market.max_leverage), not market.only_isolated)

    def account(self, address: str, at_ms: int) -> Account:
        """Value an account."""
        holdings = []
        for position in self._ledger.positions(address):
            market = hyperliquid_markets()[position.asset]
            leverage, is_cross = self.leverage(address, market)
            mark = self._quotes.mid(market, at_ms)
            holdings.append(Holding(position, market, mark, leverage, is_cross))
        return Account(self._ledger.cash(address), tuple(holdings))

    def bound_by_orders(self, address: str) -> Decimal:
        """Give the initial margin that a user's resting orders reserve."""
        return sum(
            (self._reserve(order) for order in self._ledger.live_orders(address)), Decimal(0)
        )

    def withdrawable(self, address: str, at_ms: int) -> Decimal:
        """Give what a user could withdraw: value less what positions and resting orders bind."""
        account = self.account(address, at_ms)
        return max(account.value - account.margin_used - self.bound_by_orders(address), Decimal(0))

    def affords(self, order: Order, price: Decimal, at_ms: int) -> bool:
        """Tell whether the account's free margin covers the part of an order that increases its position."""
        market = hyperliquid_markets()[order.asset]
        held = self._ledger.position(order.address, order.asset).szi
        opposes = held != 0 and (held > 0) != order.is_buy
        increase = max(order.sz - (2 * abs(held) if opposes else 0), Decimal(0))
        if increase == 0:
            return True
        account = self.account(order.address, at_ms)
        leverage, _ = self.leverage(order.address, market)
        free = account.value - account.margin_used - self.bound_by_orders(order.address)
        return increase * price / leverage + increase * price * rules.TAKER_FEE <= free

    def _reserve(self, order: Order) -> Decimal:
        if order.reduce_only or order.is_trigger:
            return Decimal(0)
        leverage, _ = self.leverage(order.address, hyperliquid_markets()[order.asset])
        return order.sz * order.limit_px / leverage
