"""Ordinary markets and agents, for tests to vary with `dataclasses.replace`."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.market import Book, Market

NOW = datetime(2025, 11, 12, 12, 0, tzinfo=UTC)


def market(venue: Venue = Venue.HYPERLIQUID, token: str = "BTC", name: str | None = None) -> Market:
    """Return a liquid, open market that was synced at `NOW`."""
    return Market(
        venue=venue,
        token=token,
        market_name=name or token,
        market_index=0,
        size_multiplier=Decimal(1),
        is_active=True,
        group="CRYPTO",
        size_decimals=5,
        price_decimals=None,
        min_size=Decimal(0),
        min_notional_usd=Decimal(10),
        max_leverage=Decimal(40),
        taker_fee_bps=Decimal("4.5"),
        oracle_fee_usd=Decimal(0),
        price=Decimal(100_000),
        spread_bps=Decimal(1),
        volume_24h_usd=Decimal(3_000_000_000),
        open_interest_usd=Decimal(2_000_000_000),
        funding_hourly=Decimal("0.0000125"),
        change_24h=Decimal("0.01"),
        is_open=True,
        opens_at=None,
        last_synced=NOW,
    )


def book(venue: Venue = Venue.HYPERLIQUID, *, usd: int = 100_000, levels: int = 20) -> Book:
    """Return a book round 100,000 USD: a first level half a basis point from mid, then one every basis point."""
    mid = Decimal(100_000)
    distances = [Decimal(5 + 10 * level) for level in range(levels)]
    size = usd / mid
    return Book(
        venue,
        "BTC",
        bids=tuple((mid - distance, size) for distance in distances),
        asks=tuple((mid + distance, size) for distance in distances),
        at=NOW,
    )
