"""An account at a venue, and the adapter that trades it: what `conformance` works with.

Where venues differ by their nature, a bench says which way its venue goes; everything else is the same for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from itertools import count
from typing import Any

from agentwhere_core.domain.enums import OrderPurpose, OrderSide, OrderState
from agentwhere_core.domain.errors import RefusedError, TimedOutError
from agentwhere_core.domain.market import Market, Quote
from agentwhere_core.domain.trade import Fill, OrderReport, OrderSpec, VenueAccount
from agentwhere_core.execution.client_ids import client_id
from agentwhere_core.venues.protocol import Execution
from agentwhere_sim.testing import Simulator

DEPOSIT = Decimal(10_000)
SLIPPAGE_BPS = Decimal(50)
WIDE_BPS = Decimal(1000)
USUAL = timedelta(seconds=15)
PATIENCE_S = 10.0
MOST_FEES = Decimal("0.01")

numbers = count(1)


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Sized(Enum):
    """What an order is for: so many units of the base, or a stake in dollars whose fees come out of it."""

    IN_BASE = 0
    IN_DOLLARS = 1


class Holding(Enum):
    """When the cost of holding a position is paid."""

    HOURLY = 0
    AT_CLOSE = 1


@dataclass
class Bench:
    """An account with 10,000 USDC at a venue, and the adapter that trades it.

    ``writes`` and ``reads`` are the simulated services, ``order`` occurs in requests that place orders and in no other;
    ``expired`` makes bytes whose time is over; ``refusal`` says why the simulated venue would not take orders.
    ``sized`` and ``holding`` declare how the venue does what venues do differently.
    """

    sim: Simulator
    venue: Execution
    account: VenueAccount
    key: str
    writes: str
    reads: str
    order: str
    token: str
    expired: Callable[[Bench, Sequence[OrderSpec]], bytes]
    refusal: Callable[[Sequence[OrderSpec]], str | None]
    sized: Sized = Sized.IN_BASE
    holding: Holding = Holding.HOURLY
    leverage: Decimal = Decimal(1)
    markets: dict[str, Market] = field(default_factory=dict)
    payloads: dict[str, bytes] = field(default_factory=dict)
    nonce: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def __post_init__(self) -> None:
        self.markets = {market.token: market for market in self.venue.list_markets(now())}

    @property
    def market(self) -> Market:
        return self.markets[self.token]

    def quote(self) -> Quote:
        return self.venue.quotes([self.market], now())[self.token]

    def id(self) -> str:
        return client_id(self.venue.venue, f"conformance:{next(numbers)}:{time.time_ns()}", 1)

    def next_nonce(self) -> int:
        counted = self.venue.next_nonce(self.account)
        self.nonce += 1
        return self.nonce if counted is None else counted

    def deadline(self) -> datetime:
        return self.venue.deadline(now(), USUAL)

    def entry(self, side: OrderSide = OrderSide.BUY, notional: str = "1000") -> OrderSpec:
        size, limit = self.venue.entry(
            self.market, side, Decimal(notional), self.quote(), SLIPPAGE_BPS
        )
        return self.spec(self.market, OrderPurpose.ENTRY, side, size, limit)

    def spec(  # noqa: PLR0917 - an order has that many parts
        self,
        market: Market,
        purpose: OrderPurpose,
        side: OrderSide,
        size: Decimal,
        limit: Decimal,
        trigger: Decimal | None = None,
    ) -> OrderSpec:
        return OrderSpec(
            client_id=self.id(),
            purpose=purpose,
            market_name=market.market_name,
            market_index=market.market_index,
            side=side,
            size=size,
            limit_price=limit,
            trigger_price=trigger,
            reduce_only=purpose is not OrderPurpose.ENTRY,
            size_decimals=market.size_decimals,
            price_decimals=market.price_decimals,
            leverage=self.leverage,
        )

    def protected(self) -> list[OrderSpec]:
        """An entry with a take profit 5 % above and a stop loss 5 % below."""
        entry, mid = self.entry(), self.quote().mid
        specs = [entry]
        for purpose, factor in (
            (OrderPurpose.TAKE_PROFIT, Decimal("1.05")),
            (OrderPurpose.STOP_LOSS, Decimal("0.95")),
        ):
            trigger = self.venue.round_price(self.market, mid * factor)
            limit = self.venue.limit_price(self.market, OrderSide.SELL, trigger, WIDE_BPS)
            specs.append(
                self.spec(self.market, purpose, OrderSide.SELL, entry.size, limit, trigger)
            )
        return specs

    def rounded(self, size: Decimal) -> Decimal:
        """Return a size in whole lots of the market."""
        decimals = self.market.size_decimals
        return size if decimals is None else size.quantize(Decimal(1).scaleb(-decimals))

    def exit(self, size: Decimal) -> OrderSpec:
        limit = self.venue.limit_price(self.market, OrderSide.SELL, self.quote().bid, SLIPPAGE_BPS)
        return self.spec(self.market, OrderPurpose.EXIT, OrderSide.SELL, size, limit)

    def sign(self, specs: Sequence[OrderSpec], deadline: datetime | None = None) -> bytes:
        """Sign orders, and remember the bytes as the ledger does: some venues know an order by nothing else."""
        payload = self.venue.sign_orders(
            specs, self.account, self.key, self.next_nonce(), deadline or self.deadline()
        )
        self.payloads |= {spec.client_id: payload for spec in specs}
        return payload

    def send(self, payload: bytes, specs: Sequence[OrderSpec]) -> list[OrderReport]:
        return self.venue.send(payload, [spec.client_id for spec in specs], now())

    def look_up(self, spec: OrderSpec) -> OrderReport | None:
        return self.venue.look_up(self.account, spec.client_id, self.payloads[spec.client_id])

    def place(self, *specs: OrderSpec) -> list[OrderReport]:
        """Send orders, and return what became of them once the venue knows."""
        payload = self.sign(specs)
        # An answer that is late is looked up, as in production.
        with suppress(TimedOutError):
            self.send(payload, specs)
        return self.outcome(*specs)

    def filled_by_another(self, *specs: OrderSpec) -> Decimal:
        """Send orders that the venue may refuse, before or after they are signed; return what they filled."""
        try:
            reports = self.send(self.sign(specs), specs)
        except RefusedError:
            return Decimal(0)
        if any(report.state is not OrderState.REJECTED for report in reports):
            reports = self.outcome(*specs)
        return sum((report.filled_size for report in reports), Decimal(0))

    def cancel(self, *specs: OrderSpec) -> None:
        payload = self.venue.sign_cancel(
            specs, self.account, self.key, self.next_nonce(), self.deadline()
        )
        assert self.venue.send(payload, [], now()) == []

    def set_leverage(self, leverage: int) -> None:
        """Do what must stand before an entry; where leverage belongs to the order, the next ones carry it."""
        self.leverage = Decimal(leverage)
        payload = self.venue.sign_leverage(
            self.market, leverage, self.account, self.key, self.next_nonce(), self.deadline()
        )
        if payload is not None:
            assert self.venue.send(payload, [], now()) == []

    def outcome(self, *specs: OrderSpec) -> list[OrderReport]:
        """Look orders up until all are known, and those that must execute have ended."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            reports = [self.look_up(spec) for spec in specs]
            known = [report for report in reports if report is not None]
            settled = len(known) == len(specs) and all(
                spec.trigger_price is not None or report.state is not OrderState.ACKED
                for spec, report in zip(specs, known, strict=True)
            )
            if settled:
                return known
            if time.monotonic() > deadline:
                raise AssertionError(f"the venue never settled {reports}")
            time.sleep(0.1)

    def held(self) -> Decimal:
        state = self.venue.account_state(self.account, now())
        sizes = {one.token: one.size * one.side.sign for one in state.positions}
        return sizes.get(self.token, Decimal(0))

    def fills_of(self, report: OrderReport, since: datetime) -> list[Fill]:
        """Return the fills of an order: each names it, by our client id or by the venue's own number."""
        return [
            fill
            for fill in self.venue.fills(self.account, since)
            if fill.client_id == report.client_id or fill.venue_order_id == report.venue_order_id
        ]

    def assert_holds(self, spec: OrderSpec) -> None:
        """What is held is what was asked for, neither half nor double of it."""
        held = self.held()
        if self.sized is Sized.IN_BASE:
            assert held == spec.size
            return
        # Never worth more than was meant, at the price at which it was opened; less only by fees and by the bound.
        [position] = self.venue.account_state(self.account, now()).positions
        assert held * position.entry_price <= spec.size * spec.limit_price
        assert held >= spec.size * (1 - MOST_FEES)

    def entries_at_venue(self) -> list[dict[str, Any]]:
        """Orders that open, as the venue itself remembers them."""
        query = {"venue": self.venue.venue.value, "address": self.account.address}
        accepted = self.sim.http.get("/control/orders", params=query).json()["orders"]
        return [order for order in accepted if not order["reduce_only"]]

    def fault_at_orders(self, kind: str) -> None:
        """Let the next request that places an order meet a fault."""
        self.sim.fault(self.writes, kind, match=self.order)

    def spoil_reads(self) -> None:
        """Let every answer be cut in the middle from now on."""
        self.sim.fault(self.reads, "malformed", count=None)

    def move_price(self, factor: Decimal) -> None:
        """Move the venue's price of the token."""
        price = self.quote().mid / self.market.size_multiplier * factor
        self.sim.control("prices", **{self.token: f"{price:.8f}"})
