"""Markets: what a venue lists, and what it says about the moment.

Prices and sizes are in the venue's own market units (one ``kPEPE`` is 1000 PEPE); ``size_multiplier`` says how many
units of the canonical token one market unit holds, so that notionals agree everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from agentwhere_core.domain.enums import Venue


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
        Cost of taking, per side, in basis points; and a fixed fee per trade in USD.
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
