"""What somebody does on the stage with an account's own key, past the ledger of Agent Where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count

from agentwhere_core.domain.enums import OrderPurpose, OrderSide, Side, Venue
from agentwhere_core.domain.market import Market
from agentwhere_core.domain.trade import OrderSpec, VenueAccount, VenuePosition
from agentwhere_core.execution.client_ids import client_id
from agentwhere_core.venues.protocol import Execution
from agentwhere_flow.system import System
from agentwhere_store import markets as market_store
from agentwhere_store import orders as order_store
from tests.flow import books

WIDE_BPS = Decimal(800)
NOTIONAL_USD = Decimal(500)
LEVERAGE = 2
USUAL = timedelta(seconds=15)

numbers = count(1)


@dataclass(frozen=True)
class SignedByHand:
    """A request that is ready to be sent, and by what the venue will know its order."""

    key: str
    client_id: str
    payload: bytes


@dataclass(frozen=True)
class Hand:
    """Somebody who trades on one account at one venue."""

    system: System
    account: VenueAccount
    adapter: Execution

    def signed_open(self, token: str) -> SignedByHand | None:
        """Sign a purchase; None if the token is held."""
        now, market = self.system.clock(), self._market(token)
        if self._held(token) is not None:
            return None
        quote = self.adapter.quotes([market], now)[token]
        size, limit = self.adapter.entry(market, OrderSide.BUY, NOTIONAL_USD, quote, WIDE_BPS)
        needed = self.adapter.sign_leverage(
            market, LEVERAGE, self.account, self._key, self._nonce(), self._deadline
        )
        if needed is not None:
            self.adapter.send(needed, [], now)
        return self._signed(market, OrderPurpose.ENTRY, OrderSide.BUY, size, limit)

    def signed_reduction(self, token: str, part: Decimal) -> SignedByHand | None:
        """Sign the closing of a part of what is held; None if that is nothing."""
        held, market = self._held(token), self._market(token)
        if held is None:
            return None
        quote = self.adapter.quotes([market], self.system.clock())[token]
        side = held.side.closing
        reference = quote.ask if held.side is Side.SHORT else quote.bid
        limit = self.adapter.limit_price(market, side, reference, WIDE_BPS)
        size = held.size * part
        if market.size_decimals is not None and self.account.venue is not Venue.OSTIUM:
            size = size.quantize(Decimal(1).scaleb(-market.size_decimals))
        return self._signed(market, OrderPurpose.EXIT, side, size, limit)

    def send(self, signed: SignedByHand) -> None:
        """Send what was signed."""
        self.adapter.send(signed.payload, [signed.client_id], self.system.clock())

    def _signed(
        self, market: Market, purpose: OrderPurpose, side: OrderSide, size: Decimal, limit: Decimal
    ) -> SignedByHand:
        spec = OrderSpec(
            client_id=client_id(self.account.venue, f"by hand {next(numbers)}", 1),
            purpose=purpose,
            market_name=market.market_name,
            market_index=market.market_index,
            side=side,
            size=size,
            limit_price=limit,
            trigger_price=None,
            reduce_only=purpose is OrderPurpose.EXIT,
            size_decimals=market.size_decimals,
            price_decimals=market.price_decimals,
            leverage=Decimal(LEVERAGE),
        )
        payload = self.adapter.sign_orders(
            [spec], self.account, self._key, self._nonce(), self._deadline
        )
        key = books.key_of(self.account.venue, spec.client_id, payload)
        return SignedByHand(key, spec.client_id, payload)

    def _held(self, token: str) -> VenuePosition | None:
        state = self.adapter.account_state(self.account, self.system.clock())
        return next((one for one in state.positions if one.token == token), None)

    def _market(self, token: str) -> Market:
        with self.system.engine.begin() as conn:
            listed = market_store.markets(conn, tokens={token})
        return next(market for market in listed if market.venue is self.account.venue)

    @property
    def _key(self) -> str:
        return self.system.secrets.get(self.account.key_name).get_secret_value()

    def _nonce(self) -> int:
        expected = self.adapter.next_nonce(self.account)
        with self.system.engine.begin() as conn:
            return order_store.next_nonce(
                conn,
                self.account.venue,
                self.account.signer_address,
                self.system.clock(),
                expected=expected,
            )

    @property
    def _deadline(self) -> datetime:
        return self.adapter.deadline(self.system.clock(), USUAL)
