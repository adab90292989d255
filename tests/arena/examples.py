"""A moment as a model sees it, to be varied."""

from __future__ import annotations

from typing import Any

from agentwhere_core.arena.values import HeldScene, MarketScene, RawCall, Series, Snapshot
from agentwhere_core.domain.enums import Side


def series(interval: str = "5m", macd: str = "1.5", signal: str = "1.2") -> Series:
    """Return indicators of one market at one interval."""
    return Series(
        interval=interval,
        closed_at="2026-01-01T10:00Z",
        mids=("99", "100"),
        ema20=("98", "99"),
        macd=("1.1", macd),
        macd_signal=("1", signal),
        rsi14=("50", "60"),
        atr14=("2", "2.1"),
    )


def market(token: str = "BTC", mid: str = "100", **options: Any) -> MarketScene:
    """Return a market."""
    given: dict[str, Any] = {
        "leverage": "2",
        "max_leverage": "20",
        "series": (series(), series("4h")),
        **options,
    }
    return MarketScene(token=token, mid=mid, **given)


def held(token: str = "ETH", side: Side = Side.LONG) -> HeldScene:
    """Return an open position."""
    return HeldScene(
        position_id="01900000-0000-7000-8000-000000000001",
        token=token,
        side=side,
        quantity="2",
        entry_price="50",
        mark_price="51",
        unrealized_pnl_usd="2.00",
        stop_loss="45",
        take_profit=None,
    )


def snapshot(**options: Any) -> Snapshot:
    """Return a moment: 10,000 USD, BTC at 100 and ETH at 50, twofold leverage, nothing held."""
    given: dict[str, Any] = {
        "invocation": 3,
        "minutes_since_start": 10,
        "at": "2026-01-01T10:01:00Z",
        "account_value_usd": "10000.00",
        "available_cash_usd": "9000.00",
        "capital_usd": "10000.00",
        "positions": (),
        "markets": (market(), market("ETH", "50")),
        **options,
    }
    return Snapshot(**given)


def call(name: str = "createPosition", arguments: str = "{}", call_id: str = "c1") -> RawCall:
    """Return a raw call."""
    return RawCall(call_id, name, arguments)
