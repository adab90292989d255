"""Run a trader over stored candles: what it would have seen, bought and paid.

The rules are those of the simulated venues: market orders take from the book at the mid plus or minus half the spread,
pay the taker's fee on both ways, pay or receive funding at every full hour, stops are triggered by the price and filled
at it (or at the bar's open if that is worse), and an account whose equity falls to the maintenance margin loses all.

**No look-ahead.** A decision at time t sees candles that had closed by t, and nothing else; it is executed at the open
of the bar that begins at t. Within a bar a stop loss is looked at before a take profit, so that doubt counts against
the trader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from agentwhere_core.arena.indicators import INTERVALS, WARM_UP, as_text, seen_at, series_of
from agentwhere_core.arena.tools import leverage_of
from agentwhere_core.arena.values import (
    ClosePositions,
    CreatePosition,
    Decision,
    HeldScene,
    MarketScene,
    Snapshot,
)
from agentwhere_core.domain.enums import Side
from agentwhere_core.domain.market import Candle

BASE = "5m"
MAINTENANCE = Decimal("0.5")
"""Share of the initial margin at which an account is liquidated."""

_BPS = Decimal(10_000)
_ZERO = Decimal(0)

Decide = Callable[[Snapshot], Decision]


@dataclass(frozen=True, slots=True)
class History:
    """One market's candles by interval, oldest first, and what trading it costs; prices in USD per token."""

    token: str
    bars: Mapping[str, Sequence[Candle]]
    taker_fee_bps: Decimal
    half_spread_bps: Decimal
    funding_hourly: Decimal
    leverage: Decimal
    max_leverage: Decimal
    size_step: Decimal


@dataclass(slots=True)
class _Position:
    side: Side
    quantity: Decimal
    entry: Decimal
    leverage: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None

    def pnl(self, price: Decimal) -> Decimal:
        return (price - self.entry) * self.quantity * self.side.sign

    @property
    def margin(self) -> Decimal:
        return self.entry * self.quantity / self.leverage


@dataclass(slots=True)
class _Book:
    """An account under test."""

    cash: Decimal
    positions: dict[str, _Position] = field(default_factory=dict)
    fees: Decimal = _ZERO
    funding: Decimal = _ZERO
    volume: Decimal = _ZERO

    def equity(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Return cash and what the positions are worth."""
        return self.cash + sum(
            (held.pnl(prices[token]) for token, held in self.positions.items()), _ZERO
        )

    @property
    def margin(self) -> Decimal:
        """Margin that the positions hold."""
        return sum((held.margin for held in self.positions.values()), _ZERO)


@dataclass(frozen=True, slots=True)
class Run:
    """What one trader made of the history."""

    name: str
    values: tuple[tuple[datetime, Decimal], ...]
    fees_usd: Decimal
    funding_usd: Decimal
    volume_usd: Decimal
    llm_cost_usd: Decimal
    invocations: int
    failures: int
    trades: int


def run(  # noqa: PLR0917 - a trader, its market, its time and its money
    name: str,
    decide: Decide,
    histories: Sequence[History],
    start: datetime,
    end: datetime,
    capital_usd: Decimal,
    interval: timedelta,
) -> Run:
    """Return how ``decide`` fares from ``start`` to ``end``, invoked every ``interval`` at the open of a bar.

    The grid is that of the 5 m candles: an interval is rounded up to full bars. Moments at which a market has no candle
    are left out for it: it is neither shown nor traded.
    """
    step = INTERVALS[BASE]
    every = max(1, -(-interval // step))
    book = _Book(capital_usd)
    by_open = {h.token: {bar.open_time: bar for bar in h.bars.get(BASE, ())} for h in histories}
    values: list[tuple[datetime, Decimal]] = [(start, capital_usd)]
    prices: dict[str, Decimal] = {}
    cost, invocations, failures, trades = _ZERO, 0, 0, 0
    for number, at in enumerate(_grid(start, end, step)):
        bars = {token: bars[at] for token, bars in by_open.items() if at in bars}
        prices |= {token: bar.open for token, bar in bars.items()}
        # A gap may have ruined the account before it could act.
        _liquidate(book, prices)
        if number % every == 0 and bars and book.cash > 0:
            open_markets = [h for h in histories if h.token in bars]
            shown = _snapshot(book, open_markets, prices, at, invocations, start)
            decision = decide(shown)
            invocations += 1
            failures += decision.reason is not None
            cost += decision.usage.cost_usd or _ZERO
            trades += _execute(book, decision, shown, {h.token: h for h in open_markets}, prices)
        for history in histories:
            if history.token in bars:
                trades += _live_through(book, history, bars[history.token], step)
        prices |= {token: bar.close for token, bar in bars.items()}
        _liquidate(book, prices)
        values.append((at + step, book.equity(prices)))
    return Run(
        name, tuple(values), book.fees, book.funding, book.volume, cost, invocations, failures, trades
    )  # fmt: skip


def _grid(start: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    at = start
    while at < end:
        yield at
        at += step


def _snapshot(  # noqa: PLR0917 - what is seen, of what there is
    book: _Book,
    histories: Sequence[History],
    prices: Mapping[str, Decimal],
    at: datetime,
    invocations: int,
    start: datetime,
) -> Snapshot:
    """Return the moment as a model in the arena would be shown it."""
    equity = book.equity(prices)
    return Snapshot(
        invocation=invocations + 1,
        minutes_since_start=int((at - start).total_seconds() // 60),
        at=at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        account_value_usd=f"{equity:.2f}",
        available_cash_usd=f"{max(_ZERO, equity - book.margin):.2f}",
        capital_usd=f"{max(_ZERO, equity):.2f}",
        positions=tuple(
            _held(token, held, prices[token]) for token, held in sorted(book.positions.items())
        ),
        markets=tuple(_scene(history, prices[history.token], at) for history in histories),
    )


def _scene(history: History, price: Decimal, at: datetime) -> MarketScene:
    return MarketScene(
        token=history.token,
        mid=as_text(price),
        leverage=as_text(min(history.leverage, history.max_leverage)),
        max_leverage=as_text(history.max_leverage),
        series=tuple(
            series_of(visible(history.bars.get(interval, ()), at, interval), interval)
            for interval in INTERVALS
        ),
    )


def visible(bars: Sequence[Candle], at: datetime, interval: str) -> list[Candle]:
    """Return the candles that a decision at ``at`` may use: the last 250 or so that had closed by then."""
    step = INTERVALS[interval]
    low, high = 0, len(bars)
    while low < high:
        middle = (low + high) // 2
        if bars[middle].open_time + step <= at:
            low = middle + 1
        else:
            high = middle
    return seen_at(bars[max(0, low - WARM_UP) : low], at, step)


def _held(token: str, held: _Position, price: Decimal) -> HeldScene:
    return HeldScene(
        position_id=None,
        token=token,
        side=held.side,
        quantity=as_text(held.quantity),
        entry_price=as_text(held.entry),
        mark_price=as_text(price),
        unrealized_pnl_usd=f"{held.pnl(price):.2f}",
        stop_loss=None if held.stop_loss is None else as_text(held.stop_loss),
        take_profit=None if held.take_profit is None else as_text(held.take_profit),
    )


def _execute(
    book: _Book,
    decision: Decision,
    shown: Snapshot,
    histories: Mapping[str, History],
    prices: Mapping[str, Decimal],
) -> int:
    """Execute accepted calls at the prices of now; return how many orders were filled."""
    filled = 0
    for verdict in decision.verdicts:
        wish = verdict.wish
        if isinstance(wish, ClosePositions):
            for token in [token for token in book.positions if token in histories]:
                _close(book, token, prices[token], histories[token])
                filled += 1
        elif isinstance(wish, CreatePosition) and wish.token not in book.positions:
            filled += _open(book, wish, shown, histories[wish.token], prices[wish.token])
    return filled


def _open(
    book: _Book, wish: CreatePosition, shown: Snapshot, history: History, mid: Decimal
) -> int:
    quantity = wish.quantity // history.size_step * history.size_step
    if quantity <= 0:
        return 0
    price = mid * (1 + wish.side.sign * history.half_spread_bps / _BPS)
    _pay(book, quantity * price, history)
    book.positions[wish.token] = _Position(
        side=wish.side,
        quantity=quantity,
        entry=price,
        leverage=leverage_of(wish, shown),
        stop_loss=wish.stop_loss,
        take_profit=wish.take_profit,
    )
    return 1


def _close(book: _Book, token: str, mid: Decimal, history: History) -> None:
    held = book.positions.pop(token)
    price = mid * (1 - held.side.sign * history.half_spread_bps / _BPS)
    book.cash += held.pnl(price)
    _pay(book, held.quantity * price, history)


def _pay(book: _Book, notional: Decimal, history: History) -> None:
    fee = notional * history.taker_fee_bps / _BPS
    book.cash -= fee
    book.fees += fee
    book.volume += notional


def _live_through(book: _Book, history: History, bar: Candle, step: timedelta) -> int:
    """Let one bar pass for the position in its market: stops first, then funding; return how many orders filled."""
    held = book.positions.get(history.token)
    if held is None:
        return 0
    for level, is_loss in ((held.stop_loss, True), (held.take_profit, False)):
        if level is None:
            continue
        worst, best = (bar.low, bar.high) if held.side is Side.LONG else (bar.high, bar.low)
        reached = worst if is_loss else best
        sign = held.side.sign if is_loss else -held.side.sign
        if (reached - level) * sign <= 0:
            # A bar that opens beyond the level fills there, for better or worse.
            beyond = (bar.open - level) * sign <= 0
            _close(book, history.token, bar.open if beyond else level, history)
            return 1
    after = bar.open_time + step
    if after.minute == 0:
        paid = held.quantity * bar.close * history.funding_hourly * held.side.sign
        book.cash -= paid
        book.funding -= paid
    return 0


def _liquidate(book: _Book, prices: Mapping[str, Decimal]) -> None:
    """Take everything from an account whose equity no longer covers its maintenance margin; nobody owes the venue."""
    equity = book.equity(prices)
    if equity < 0 or (book.positions and equity <= book.margin * MAINTENANCE):
        book.positions.clear()
        book.cash = _ZERO
