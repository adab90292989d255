"""What a model is told: rules once, then the moment. The same snapshot gives the same bytes, always.

Markets and positions come in the order of the snapshot, numbers as its text. Nothing else of the outside world is let
in: no post, no headline, no venue's wording. So a prompt cannot be made to carry somebody else's instructions; symbols
that are more than letters, digits and a few marks are not shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from agentwhere_core.arena.values import HeldScene, MarketScene, Series, Snapshot
from agentwhere_core.domain.enums import Side
from agentwhere_core.domain.errors import InvariantError

PROMPT_VERSION: Final = "arena-1"

INSTRUCTIONS: Final = """\
You trade perpetual futures on your own account. You are invoked again and again; each time you see the moment and may \
act through tools, or do nothing.

Rules
- createPosition opens a position of `quantity` tokens on the side that you name. One position per symbol: to change \
one, close first.
- closeAllPosition closes every open position. To turn round, call it before createPosition in the same answer.
- The margin of one position (quantity x price / leverage) may be at most 25 % of the account value, and not more \
than the available cash.
- stop_loss and take_profit are prices, on the right side of the current price. A position without a stop loss can \
lose everything.
- A call that breaks a rule is refused; you are told why, and may correct it once.
- Trading costs fees, and your own cost is counted against your result. Doing nothing is a decision too.

All prices are in USD per token, all quantities in tokens, all times in UTC. Series are oldest first, of closed \
candles only; n/a means that history is too short.
"""

_SYMBOL = re.compile(r"^[A-Z0-9][A-Z0-9._/-]{0,19}$")


def messages(snapshot: Snapshot) -> list[dict[str, str]]:
    """Return the conversation's beginning: the rules, and the moment."""
    return [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": build_prompt(snapshot)},
    ]


def full_prompt(snapshot: Snapshot) -> str:
    """Return everything that a model reads, as it is stored and compared."""
    return "\n\n".join(
        f"[{message['role']}]\n{message['content']}" for message in messages(snapshot)
    )


def is_presentable(symbol: str) -> bool:
    """Tell whether a symbol may stand in a prompt: it is a word, and cannot be a sentence."""
    return _SYMBOL.match(symbol) is not None


def build_prompt(snapshot: Snapshot) -> str:
    """Return the moment in words.

    Raises
    ------
    InvariantError
        If a symbol of the snapshot is more than a symbol.
    """
    for token in (*(m.token for m in snapshot.markets), *(p.token for p in snapshot.positions)):
        if not is_presentable(token):
            raise InvariantError(f"{token!r} is no symbol, and is kept out of the prompt")
    held = [_position(item) for item in snapshot.positions] or ["none"]
    return "\n".join(
        [
            f"Invocation {snapshot.invocation}, {snapshot.minutes_since_start} minutes since the start.",
            f"Time: {snapshot.at}",
            f"Account value: {snapshot.account_value_usd} USD",
            f"Available cash: {snapshot.available_cash_usd} USD",
            "",
            "Open positions:",
            *held,
            "",
            "Markets:",
            *(_market(item) for item in snapshot.markets),
        ]
    )


def snapshot_to_json(snapshot: Snapshot) -> dict[str, Any]:
    """Return the snapshot as JSON-ready values; `snapshot_from_json` reads it back."""
    return asdict(snapshot)


def snapshot_from_json(data: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot that was stored."""
    return Snapshot(
        **{
            **data,
            "positions": tuple(
                HeldScene(**{**item, "side": Side(item["side"])}) for item in data["positions"]
            ),
            "markets": tuple(
                MarketScene(**{**item, "series": tuple(_series_from(s) for s in item["series"])})
                for item in data["markets"]
            ),
        }
    )


def _series_from(data: Mapping[str, Any]) -> Series:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list | tuple) else value
        for name, value in data.items()
    }
    return Series(**values)


def _position(held: HeldScene) -> str:
    return (
        f"- {held.token} {held.side} {held.quantity}: entry {held.entry_price}, mark {held.mark_price}, "
        f"unrealized PnL {held.unrealized_pnl_usd} USD, stop loss {held.stop_loss or 'none'}, "
        f"take profit {held.take_profit or 'none'}"
    )


def _market(market: MarketScene) -> str:
    lines = [
        f"{market.token}: mid {market.mid}, leverage {market.leverage} (at most {market.max_leverage})"
    ]
    for series in market.series:
        lines.append(f"  {series.interval} candles, the last closed at {series.closed_at}")
        for name, values in (
            ("mid prices", series.mids),
            ("EMA(20)", series.ema20),
            ("MACD(12,26)", series.macd),
            ("MACD signal(9)", series.macd_signal),
            ("RSI(14)", series.rsi14),
            ("ATR(14)", series.atr14),
        ):
            lines.append(f"    {name}: {' '.join(values) or 'n/a'}")
    return "\n".join(lines)
