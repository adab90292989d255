"""What an account is worth, what its positions bind, and where it is liquidated: cross margin, in USDC.

Initial margin is notional times the fraction that the account chose for the market (the market's default if it never
did); an account is liquidated when its value falls below the maintenance margin of its positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_sim.lighter.transactions import TRIGGERS
from agentwhere_sim.universe import lighter_by_id

if TYPE_CHECKING:
    from agentwhere_sim.lighter.book import Quotes
    from agentwhere_sim.lighter.ledger import Ledger, Order, Position
    from agentwhere_sim.universe import LighterMarket

FRACTION_UNIT = Decimal(10_000)
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Holding:
    """A position at a mark price; ``margin_fraction`` is in 1/10000."""

    position: Position
    market: LighterMarket
    mark: Decimal
    margin_fraction: int

    @property
    def notional(self) -> Decimal:
        """Size times mark."""
        return abs(self.position.held) * self.mark

    @property
    def unrealized(self) -> Decimal:
        """Profit if closed at the mark."""
        return self.position.held * (self.mark - self.position.entry_px)

    @property
    def initial_margin(self) -> Decimal:
        """Margin bound at the chosen leverage."""
        return self.notional * self.margin_fraction / FRACTION_UNIT

    @property
    def maintenance_fraction(self) -> Decimal:
        """Share of the notional that must remain."""
        return self.market.maintenance_margin_fraction / FRACTION_UNIT


@dataclass(frozen=True, slots=True)
class Account:
    """An account at an instant."""

    collateral: Decimal
    holdings: tuple[Holding, ...]

    @property
    def value(self) -> Decimal:
        """Collateral plus unrealised profit."""
        return self.collateral + sum((one.unrealized for one in self.holdings), _ZERO)

    @property
    def initial_margin(self) -> Decimal:
        """Initial margin of all positions."""
        return sum((one.initial_margin for one in self.holdings), _ZERO)

    @property
    def maintenance_margin(self) -> Decimal:
        """Maintenance margin of all positions."""
        return sum((one.notional * one.maintenance_fraction for one in self.holdings), _ZERO)

    @property
    def is_bankrupt(self) -> bool:
        """Whether it must be liquidated."""
        return bool(self.holdings) and self.value < self.maintenance_margin

    def liquidation_price(self, holding: Holding) -> Decimal:
        """Give the mark at which this position, all else unchanged, liquidates the account; zero if none does."""
        side = 1 if holding.position.held > 0 else -1
        room = self.value - self.maintenance_margin
        slope = 1 - holding.maintenance_fraction * side
        return max(_ZERO, holding.mark - side * room / abs(holding.position.held) / slope)


class Margins:
    """Value accounts and judge whether an order can be afforded."""

    def __init__(self, ledger: Ledger, quotes: Quotes) -> None:
        self._ledger = ledger
        self._quotes = quotes

    def fraction(self, account: int, market: LighterMarket) -> int:
        """Give the initial margin fraction that applies, in 1/10000."""
        chosen = self._ledger.margin_fraction(account, market.market_id)
        return market.default_initial_margin_fraction if chosen is None else chosen

    def account(self, account: int, at_ms: int) -> Account:
        """Value an account."""
        holdings = []
        for position in self._ledger.positions(account):
            market = lighter_by_id()[position.market_id]
            mark = self._quotes.mid(market, at_ms)
            holdings.append(Holding(position, market, mark, self.fraction(account, market)))
        return Account(self._ledger.collateral(account), tuple(holdings))

    def available(self, account: int, at_ms: int) -> Decimal:
        """Give what is bound neither by positions nor by resting orders."""
        worth = self.account(account, at_ms)
        bound = sum((self._reserve(order) for order in self._ledger.live_orders(account)), _ZERO)
        return max(_ZERO, worth.value - worth.initial_margin - bound)

    def affords(
        self, account: int, market: LighterMarket, change: Decimal, price: Decimal, at_ms: int
    ) -> bool:
        """Tell whether free margin covers the part of ``change`` (signed) that increases the position."""
        held = self._ledger.position(account, market.market_id).held
        opposes = held != 0 and (held > 0) != (change > 0)
        increase = max(abs(change) - (2 * abs(held) if opposes else _ZERO), _ZERO)
        needed = increase * price * self.fraction(account, market) / FRACTION_UNIT
        return needed <= self.available(account, at_ms)

    def _reserve(self, order: Order) -> Decimal:
        if order.reduce_only or order.type in TRIGGERS:
            return _ZERO
        fraction = self.fraction(order.account_index, lighter_by_id()[order.market_id])
        return order.remaining * order.price * fraction / FRACTION_UNIT
