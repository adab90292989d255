"""Markets: what a venue lists, and what it says about the moment.

Prices and sizes are in the venue's own market units (one ``kPEPE`` is 1000 PEPE); ``size_multiplier`` says how many
units of the canonical token one market unit holds, so that notionals agree everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from agentwhere_core.domain.enums import Side, Venue


@dataclass(frozen=True, slots=True)
class OracleImpact:
    """How a venue that fills at an oracle's price charges for flow to one side.

    Recent volume is counted per side. What it exceeds the threshold by moves the price of the next trade to that side.

    Parameters
    ----------
    per_usd
        Fraction of the price that each dollar beyond the threshold costs.
    threshold_usd
        Volume of one side that costs nothing.
    buy_volume_usd, sell_volume_usd
        Recent volume of each side, as far as it has not decayed.
    """

    per_usd: Decimal
    threshold_usd: Decimal
    buy_volume_usd: Decimal
    sell_volume_usd: Decimal


@dataclass(frozen=True, slots=True)
class Market:
    """One market of one venue, as the venue lists it.

    Parameters
    ----------
    venue, token
        The venue, and the canonical symbol; unique together.
    market_name, market_index
        The venue's own name and number for the market.
    size_multiplier
        Canonical units in one market unit, e.g. 1000 for ``kPEPE``.
    is_active
        Whether the venue trades it now (not delisted, not halted).
    group
        ``CRYPTO``, ``FX``, ``COMMODITY``, ``INDEX`` or ``STOCK``.
    size_decimals, price_decimals
        Decimal places that the venue accepts; ``price_decimals`` is None where another rule holds.
    min_size, min_notional_usd
        Smallest order in market units and in USD; zero where the venue names none.
    max_leverage
        Largest leverage the venue allows here.
    taker_fee_bps, oracle_fee_usd
        Fee of an entry in basis points; and a fixed fee in USD for the oracle's report, per position.
    price
        Mid price in USD when synced, or None.
    spread_bps
        Width between bid and ask in basis points of mid, if known.
    volume_24h_usd, open_interest_usd, funding_hourly, change_24h
        Activity; ``funding_hourly`` and ``change_24h`` are fractions.
    is_open, opens_at
        Trading hours: whether it trades at ``last_synced``, and when it next opens if not.
    last_synced
        When the venue said all this.
    metadata
        Whatever else the venue said, kept for the audit.
    close_fee_bps
        Fee of an exit in basis points; the entry's again if None.
    gas_fee_usd
        What one transaction costs its sender in USD; zero where the venue takes orders off chain.
    rollover_hourly
        Cost of holding as a fraction of notional per hour, to be paid by both sides, or None.
    long_headroom_usd, short_headroom_usd
        How much open interest the venue still takes on a side; None where it has no limit.
    oracle_impact
        How size moves the price where an oracle makes it, or None.
    """

    venue: Venue
    token: str
    market_name: str
    market_index: int
    size_multiplier: Decimal
    is_active: bool
    group: str
    size_decimals: int
    price_decimals: int | None
    min_size: Decimal
    min_notional_usd: Decimal
    max_leverage: Decimal
    taker_fee_bps: Decimal
    oracle_fee_usd: Decimal
    price: Decimal | None
    spread_bps: Decimal | None
    volume_24h_usd: Decimal | None
    open_interest_usd: Decimal | None
    funding_hourly: Decimal | None
    change_24h: Decimal | None
    is_open: bool
    opens_at: datetime | None
    last_synced: datetime
    metadata: dict[str, Any] = field(default_factory=dict)
    close_fee_bps: Decimal | None = None
    gas_fee_usd: Decimal = Decimal(0)
    rollover_hourly: Decimal | None = None
    long_headroom_usd: Decimal | None = None
    short_headroom_usd: Decimal | None = None
    oracle_impact: OracleImpact | None = None

    def headroom_usd(self, side: Side) -> Decimal | None:
        """Return how much more open interest the venue takes on ``side``; None where it has no limit."""
        return self.long_headroom_usd if side is Side.LONG else self.short_headroom_usd


@dataclass(frozen=True, slots=True)
class Book:
    """An order book at one moment: (price, size) levels of each side, best first, sizes in market units."""

    venue: Venue
    token: str
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    at: datetime

    @property
    def mid(self) -> Decimal:
        """Middle between the best prices; both sides must have one."""
        return (self.bids[0][0] + self.asks[0][0]) / 2


@dataclass(frozen=True, slots=True)
class Quote:
    """Best prices of one market at one moment, in USD per market unit."""

    venue: Venue
    token: str
    bid: Decimal
    mid: Decimal
    ask: Decimal
    at: datetime
    is_open: bool = True

    @property
    def spread_bps(self) -> Decimal:
        """Ask minus bid in basis points of mid."""
        return (self.ask - self.bid) / self.mid * 10_000


@dataclass(frozen=True, slots=True)
class MarketContext:
    """What the market looked like when a decision was made (W5); unknown figures are None."""

    venue: Venue
    token: str
    at: datetime
    price: Decimal | None
    change_24h: Decimal | None
    volume_24h_usd: Decimal | None
    open_interest_usd: Decimal | None
    funding_hourly: Decimal | None
    spread_bps: Decimal | None
    volatility_24h: Decimal | None


@dataclass(frozen=True, slots=True)
class Candle:
    """One bar; ``is_closed`` is False while it is still forming."""

    venue: Venue
    token: str
    interval: str
    open_time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    is_closed: bool
