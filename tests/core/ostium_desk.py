"""A desk at Ostium for tests: a funded account, traded through the adapter on a simulated or a real chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from uuid import UUID

from eth_account import Account

from agentwhere_core.domain.enums import OrderPurpose, OrderSide, Venue
from agentwhere_core.domain.market import Market, Quote
from agentwhere_core.domain.trade import OrderReport, OrderSpec, VenueAccount
from agentwhere_core.venues.ostium import Ostium, OstiumChain

SIM_CHAIN_ID = 412_346
SIM_TRADING = "0x0571000000000000000000000000000000000002"
KEY = "0x" + "42" * 32
DELEGATE_KEY = "0x" + "43" * 32
ADDRESS = Account.from_key(KEY).address
DELEGATE = Account.from_key(DELEGATE_KEY).address
ACCOUNT = VenueAccount(UUID(int=1), UUID(int=2), Venue.OSTIUM, ADDRESS, ADDRESS, "DESK_KEY")
DELEGATED = replace(ACCOUNT, signer_address=DELEGATE, key_name="DELEGATE_KEY")
SLIPPAGE_BPS = Decimal(100)
numbers = count(1)


def client_id() -> str:
    return f"0x{next(numbers):032x}"


def now() -> datetime:
    return datetime.now(UTC)


def sim_chain(url: str) -> OstiumChain:
    return OstiumChain(f"{url}/ostium/rpc", f"{url}/ostium/subgraph", SIM_CHAIN_ID, SIM_TRADING)


@dataclass
class Desk:
    """An account and the adapter that trades it."""

    venue: Ostium
    markets: dict[str, Market]
    account: VenueAccount = ACCOUNT
    key: str = KEY

    def quote(self, token: str) -> Quote:
        return self.venue.quotes([self.markets[token]], now())[token]

    def entry(
        self,
        token: str = "XAU",
        side: OrderSide = OrderSide.BUY,
        margin: str = "100",
        leverage: str = "5",
        slippage_bps: Decimal = SLIPPAGE_BPS,
    ) -> OrderSpec:
        market = self.markets[token]
        notional = Decimal(margin) * Decimal(leverage)
        size, limit = self.venue.entry(market, side, notional, self.quote(token), slippage_bps)
        return OrderSpec(
            client_id=client_id(),
            purpose=OrderPurpose.ENTRY,
            market_name=market.market_name,
            market_index=market.market_index,
            side=side,
            size=size,
            limit_price=limit,
            trigger_price=None,
            reduce_only=False,
            leverage=Decimal(leverage),
        )

    def protected(self, token: str = "XAU", **options: str) -> list[OrderSpec]:
        """A long entry with a take profit 10 % above and a stop loss 5 % below."""
        entry = self.entry(token, **options)  # type: ignore[arg-type]
        return [
            entry,
            self.protection(entry, OrderPurpose.TAKE_PROFIT, "1.10"),
            self.protection(entry, OrderPurpose.STOP_LOSS, "0.95"),
        ]

    def protection(self, entry: OrderSpec, purpose: OrderPurpose, factor: str) -> OrderSpec:
        market = self.markets["XAU"] if entry.market_index == 5 else None
        mid = self.quote(market.token if market else "BTC").mid
        price = self.venue.round_price(self.markets["XAU"], mid * Decimal(factor))
        return replace(
            entry,
            client_id=client_id(),
            purpose=purpose,
            side=OrderSide.SELL if entry.side is OrderSide.BUY else OrderSide.BUY,
            trigger_price=price,
            limit_price=price,
            reduce_only=True,
        )

    def exit(
        self, size: Decimal, token: str = "XAU", side: OrderSide = OrderSide.SELL
    ) -> OrderSpec:
        market, quote = self.markets[token], self.quote(token)
        reference = quote.bid if side is OrderSide.SELL else quote.ask
        return OrderSpec(
            client_id=client_id(),
            purpose=OrderPurpose.EXIT,
            market_name=market.market_name,
            market_index=market.market_index,
            side=side,
            size=size,
            limit_price=self.venue.limit_price(market, side, reference, SLIPPAGE_BPS),
            trigger_price=None,
            reduce_only=True,
        )

    def approve(self) -> None:
        payload = self.venue.sign_leverage(self.markets["XAU"], 1, self.account, self.key, 0, now())
        if payload is not None:
            self.venue.send(payload, [], now())

    def sign(self, *specs: OrderSpec) -> bytes:
        deadline = now() + timedelta(seconds=15)
        return self.venue.sign_orders(specs, self.account, self.key, 0, deadline)

    def send(self, payload: bytes, *specs: OrderSpec) -> list[OrderReport]:
        return self.venue.send(payload, [spec.client_id for spec in specs], now())

    def place(self, *specs: OrderSpec) -> list[OrderReport]:
        return self.send(self.sign(*specs), *specs)

    def look_up(self, payload: bytes, specs: Sequence[OrderSpec]) -> list[OrderReport | None]:
        return [self.venue.look_up(self.account, spec.client_id, payload) for spec in specs]

    def abort(self, payload: bytes) -> bool:
        """End what hangs; tell whether there was anything to end."""
        ending = self.venue.sign_abort(self.account, self.key, payload)
        if ending is not None:
            self.venue.send(ending, [], now())
        return ending is not None
