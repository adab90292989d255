"""Positions are folded from fills: what was bought and sold is the truth, everything else follows from it (X4).

A fill in the direction of a position adds to it at a new average entry price. A fill against it closes at the average
entry price and realizes PnL. A fill that is larger than the position closes it and opens the rest in the other
direction: `episodes` splits it in two.

Amounts are exact: arithmetic runs with 60 digits, and results are rounded to 18 decimal places. ``fee_usd`` and funding
are kept apart from ``realized_pnl_usd``, so that for any fills and any price

    realized + unrealized − fees = cash received − cash paid − fees + inventory × price
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Context, Decimal, localcontext
from typing import Protocol
from uuid import UUID

from agentwhere_core.domain.enums import OrderSide, Side, Venue
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.trade import Fill

_WIDE = Context(prec=60)
_PLACES = Decimal(1).scaleb(-18)
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class PositionState:
    """What a run of fills adds up to.

    Parameters
    ----------
    side
        Direction of the position, or of the last one when flat; None without any fill.
    size
        Open size in market units, never negative; zero when flat.
    peak_size
        Largest size of the last position.
    entry_price, exit_price
        Average price at which the last position was opened and, as far as it was, closed.
    realized_pnl_usd
        Profit of everything that was closed, before fees.
    fees_usd
        Fees paid by all fills; rebates count as negative.
    opened_at, closed_at
        When the last position began, and when it ended; ``closed_at`` is None while it is open.
    is_liquidated
        Whether the venue itself closed some of the last position.
    fills
        How many fills went in.
    """

    side: Side | None = None
    size: Decimal = _ZERO
    peak_size: Decimal = _ZERO
    entry_price: Decimal = _ZERO
    exit_price: Decimal | None = None
    realized_pnl_usd: Decimal = _ZERO
    fees_usd: Decimal = _ZERO
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    is_liquidated: bool = False
    fills: int = 0

    @property
    def is_flat(self) -> bool:
        """Whether nothing is open."""
        return self.size == 0


@dataclass(frozen=True, slots=True)
class Episode:
    """One position from its first fill until it is flat, or until now.

    ``fills`` holds the fills that made it. A fill that closed one position and opened the next stands in both episodes,
    each time with its share of size and fee; the venue's ``closed_pnl_usd`` belongs to the closing share.
    """

    state: PositionState
    fills: tuple[Fill, ...]


class Holding(Protocol):
    """Anything that has a direction, a size and an average entry price."""

    @property
    def side(self) -> Side | None:
        """Direction."""

    @property
    def size(self) -> Decimal:
        """Open size in market units."""

    @property
    def entry_price(self) -> Decimal:
        """Average entry price in USD per market unit."""


def fold(fills: Iterable[Fill]) -> PositionState:
    """Return what the fills of one account in one market add up to, through closes and flips.

    The order of ``fills`` does not matter: they are taken by (time, fill id), and a repeated fill counts once.

    Raises
    ------
    InvariantError
        If the fills are not all of one venue, account and market, or two differ under the same id.
    """
    with localcontext(_WIDE):
        ledger = _Ledger()
        for fill in _in_order(fills):
            ledger.take(fill)
        return ledger.state()


def episodes(fills: Iterable[Fill]) -> tuple[Episode, ...]:
    """Split the fills of one account in one market into positions, oldest first; only the last can be open.

    Raises
    ------
    InvariantError
        As `fold`.
    """
    found: list[Episode] = []
    with localcontext(_WIDE):
        ledger, parts = _Ledger(), list[Fill]()
        for fill in _in_order(fills):
            for part in _split(fill, ledger.room_for(fill)):
                ledger.take(part)
                parts.append(part)
                if ledger.size == 0:
                    found.append(Episode(ledger.state(), tuple(parts)))
                    ledger, parts = _Ledger(), []
        if parts:
            found.append(Episode(ledger.state(), tuple(parts)))
    return tuple(found)


def mark(position: Holding, price: Decimal) -> Decimal:
    """Return the unrealized PnL of a position at ``price`` in USD, before fees."""
    if position.side is None or not position.size:
        return _ZERO
    entry = position.entry_price
    is_long = position.side is Side.LONG
    # Operations of the context itself: entering it for each of many positions takes as long as the arithmetic.
    gain = _WIDE.subtract(price, entry) if is_long else _WIDE.subtract(entry, price)
    return _trim(_WIDE.multiply(gain, position.size))


class _Ledger:
    """Running inventory at average cost."""

    __slots__ = (
        "closed",
        "closed_at",
        "count",
        "entry",
        "fees",
        "liquidated",
        "opened_at",
        "peak",
        "proceeds",
        "realized",
        "side",
        "size",
    )

    def __init__(self) -> None:
        self.side: Side | None = None
        self.size = self.peak = self.entry = _ZERO
        self.closed = self.proceeds = _ZERO
        self.realized = self.fees = _ZERO
        self.opened_at: datetime | None = None
        self.closed_at: datetime | None = None
        self.liquidated = False
        self.count = 0

    def room_for(self, fill: Fill) -> Decimal | None:
        """Return how much of ``fill`` closes what is open; None if it opens or adds."""
        if self.side is None or self.size == 0 or fill.side is self.side.opening:
            return None
        return min(self.size, fill.size)

    def take(self, fill: Fill) -> None:
        """Add one fill."""
        self.count += 1
        self.fees += fill.fee_usd
        closing = self.room_for(fill)
        if closing is None:
            self._add(fill, fill.size)
            return
        self._close(fill, closing)
        if fill.size > closing:
            self._add(fill, fill.size - closing)

    def state(self) -> PositionState:
        """Return the result, rounded."""
        return PositionState(
            side=self.side,
            size=self.size,
            peak_size=self.peak,
            entry_price=_trim(self.entry),
            exit_price=_trim(self.proceeds / self.closed) if self.closed else None,
            realized_pnl_usd=_trim(self.realized),
            fees_usd=_trim(self.fees),
            opened_at=self.opened_at,
            closed_at=self.closed_at,
            is_liquidated=self.liquidated,
            fills=self.count,
        )

    def _add(self, fill: Fill, size: Decimal) -> None:
        if self.size == 0:
            self.side = Side.LONG if fill.side is OrderSide.BUY else Side.SHORT
            self.peak = self.entry = self.closed = self.proceeds = _ZERO
            self.opened_at, self.closed_at, self.liquidated = fill.at, None, False
        total = self.size + size
        self.entry = (self.entry * self.size + fill.price * size) / total
        self.size = total
        self.peak = max(self.peak, total)

    def _close(self, fill: Fill, size: Decimal) -> None:
        sign = 1 if self.side is Side.LONG else -1
        self.realized += (fill.price - self.entry) * size * sign
        self.closed += size
        self.proceeds += fill.price * size
        self.size -= size
        self.liquidated = self.liquidated or fill.is_liquidation
        if self.size == 0:
            self.closed_at = fill.at


def _in_order(fills: Iterable[Fill]) -> list[Fill]:
    """Return each fill once, by time and id; refuse fills that do not belong together."""
    known: dict[str, Fill] = {}
    places: set[tuple[Venue, UUID, str]] = set()
    for fill in fills:
        earlier = known.setdefault(fill.fill_id, fill)
        if earlier is not fill and _substance(earlier) != _substance(fill):
            raise InvariantError(
                f"{fill.venue} fill {fill.fill_id} exists with two contents: {_substance(earlier)} and "
                f"{_substance(fill)}; fetch the account's fills again"
            )
        places.add((fill.venue, fill.account_id, fill.market_name))
        if fill.size <= 0 or fill.price <= 0:
            raise InvariantError(
                f"{fill.venue} fill {fill.fill_id} has size {fill.size} and price {fill.price}: "
                "both must be positive"
            )
    if len(places) > 1:
        raise InvariantError(
            f"a position belongs to one venue, account and market, but its fills come from {sorted(places)}"
        )
    return sorted(known.values(), key=lambda fill: (fill.at, fill.fill_id))


def _substance(fill: Fill) -> tuple[OrderSide, Decimal, Decimal, Decimal, datetime]:
    return fill.side, fill.size, fill.price, fill.fee_usd, fill.at


def _split(fill: Fill, closing: Decimal | None) -> tuple[Fill, ...]:
    """Return a fill whole, or as its closing and its opening share."""
    if closing is None or closing == fill.size:
        return (fill,)
    fee = _trim(fill.fee_usd * closing / fill.size)
    return (
        replace(fill, size=closing, fee_usd=fee),
        replace(
            fill,
            size=fill.size - closing,
            fee_usd=fill.fee_usd - fee,
            closed_pnl_usd=_ZERO,
            is_liquidation=False,
        ),
    )


def _trim(value: Decimal) -> Decimal:
    """Round to 18 decimal places where there are more."""
    exponent = value.as_tuple().exponent
    is_longer = isinstance(exponent, int) and exponent < -18
    return _WIDE.quantize(value, _PLACES) if is_longer else value
