"""A hand at any venue: what somebody does with an account's own key, past the ledger of Agent Where."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from agentwhere_core.domain.enums import OrderPurpose, OrderSide, Venue
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.market import Market
from agentwhere_core.domain.trade import OrderSpec, RestingOrder, VenueAccount
from agentwhere_core.execution.client_ids import client_id
from agentwhere_core.venues.protocol import Execution
from agentwhere_flow.system import System
from agentwhere_store import deployments as deployment_store
from agentwhere_store import markets as market_store
from agentwhere_store import open_orders
from agentwhere_store import orders as order_store
from agentwhere_store import positions as position_store
from tests.flow.world import utc_now

WIDE_BPS = Decimal(300)
PATIENCE_S = 60.0
_LIFE = timedelta(seconds=15)


@dataclass(frozen=True)
class Outsider:
    """Somebody who trades one token on a deployment's account at one venue."""

    system: System
    account: VenueAccount
    adapter: Execution
    market: Market

    def held(self) -> Decimal:
        """Return the signed size that the venue holds."""
        state = self.adapter.account_state(self.account, utc_now())
        return sum(
            (p.size * p.side.sign for p in state.positions if p.token == self.market.token),
            Decimal(0),
        )

    def resting(self) -> dict[OrderPurpose | None, RestingOrder]:
        """Return what rests in the token, by purpose; there must be one of each at most."""
        found = [
            order
            for order in self.adapter.resting_orders(self.account)
            if order.token == self.market.token
        ]
        by_purpose = {order.purpose: order for order in found}
        assert len(by_purpose) == len(found), found
        return by_purpose

    def prepare(self) -> None:
        """Do what the venue wants of an account before its first trade."""
        deadline = self.adapter.deadline(utc_now(), _LIFE)
        payload = self.adapter.sign_leverage(
            self.market, 2, self.account, self._key, self._nonce(), deadline
        )
        if payload is not None:
            self.adapter.send(payload, [], utc_now())

    def trade(self, size: Decimal, *, closes: bool) -> None:
        """Buy or sell (negative) at the market, and wait until the venue's position has changed."""
        before = self.held()
        side = OrderSide.BUY if size > 0 else OrderSide.SELL
        quote = self.adapter.quotes([self.market], utc_now())[self.market.token]
        reference = quote.ask if side is OrderSide.BUY else quote.bid
        purpose = OrderPurpose.EXIT if closes else OrderPurpose.ENTRY
        limit = self.adapter.limit_price(self.market, side, reference, WIDE_BPS)
        spec = self._spec(purpose, side, abs(size), limit, None)
        self._send([spec])
        self.wait_until(lambda: self.held() != before)

    def stop(self, size: Decimal, price: Decimal) -> None:
        """Rest a stop loss of one's own that sells."""
        trigger = self.adapter.round_price(self.market, price)
        limit = self.adapter.limit_price(self.market, OrderSide.SELL, trigger, WIDE_BPS)
        self._send([self._spec(OrderPurpose.STOP_LOSS, OrderSide.SELL, size, limit, trigger)])

    def cancel(self, *purposes: OrderPurpose) -> None:
        """Cancel protective orders of the open position."""
        with self.system.engine.begin() as conn:
            [position] = position_store.open_positions(conn, account_ids=[self.account.id])
            placed = open_orders.protection_of(conn, [position.id])[position.id]
        resting = self.resting()
        for purpose in purposes:
            order = next(
                one
                for one in reversed(placed)
                if one.purpose is purpose and resting[purpose].client_id in {None, one.client_id}
            )
            assert order.trigger_price is not None
            spec = self._spec(
                purpose, order.side, order.size, order.limit_price, order.trigger_price
            )
            nonce, deadline = self._nonce(), self.adapter.deadline(utc_now(), _LIFE)
            named = replace(spec, client_id=order.client_id)
            payload = self.adapter.sign_cancel([named], self.account, self._key, nonce, deadline)
            self.adapter.send(payload, [], utc_now())
        self.wait_until(lambda: not set(purposes) & self.resting().keys())

    def _send(self, specs: list[OrderSpec]) -> None:
        deadline = self.adapter.deadline(utc_now(), _LIFE)
        payload = self.adapter.sign_orders(specs, self.account, self._key, self._nonce(), deadline)
        self.adapter.send(payload, [spec.client_id for spec in specs], utc_now())

    def _spec(
        self,
        purpose: OrderPurpose,
        side: OrderSide,
        size: Decimal,
        limit: Decimal,
        trigger: Decimal | None,
    ) -> OrderSpec:
        return OrderSpec(
            client_id=client_id(self.account.venue, f"outside:{new_id()}", 1),
            purpose=purpose,
            market_name=self.market.market_name,
            market_index=self.market.market_index,
            side=side,
            size=size,
            limit_price=limit,
            trigger_price=trigger,
            reduce_only=purpose is not OrderPurpose.ENTRY,
            size_decimals=self.market.size_decimals,
            price_decimals=self.market.price_decimals,
            leverage=Decimal(2),
        )

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
                utc_now(),
                expected=expected,
            )

    def wait_until(self, is_done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_done():
            assert time.monotonic() < deadline, "the venue did not act"
            time.sleep(0.1)


def outsider(system: System, venue: Venue, token: str, deployment: str = "bold") -> Outsider:
    """Return the hand that trades a token on a deployment's account."""
    with system.engine.begin() as conn:
        found = next(item for item in deployment_store.deployments(conn) if item.name == deployment)
        markets = market_store.markets(conn, tokens={token})
    adapter = system.execution(venue)
    assert adapter is not None
    return Outsider(
        system,
        next(account for account in found.accounts if account.venue is venue),
        adapter,
        next(market for market in markets if market.venue is venue),
    )
