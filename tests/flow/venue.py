"""The simulated Hyperliquid as a subscriber sees it: what an account holds, and trades made there by hand."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from agentwhere_core.domain.enums import OrderPurpose, OrderSide, OrderState, Venue
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.time import utc_now
from agentwhere_core.domain.trade import OrderSpec, VenueAccount
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from agentwhere_store import deployments as deployment_store
from agentwhere_store import markets as market_store
from agentwhere_store import orders as order_store

WIDE_BPS = Decimal(500)


@dataclass(frozen=True)
class Hand:
    """A subscriber at the venue, with the key of a deployment's account."""

    system: System
    sim: Simulator
    account: VenueAccount

    def ask(self, question: str) -> Any:
        """Return the venue's answer to a question about the account."""
        body = {"type": question, "user": self.account.address}
        return self.sim.http.post("/hyperliquid/info", json=body).raise_for_status().json()

    def position(self, coin: str) -> dict[str, Any] | None:
        """Return the venue's position, or None if it is flat."""
        held = (item["position"] for item in self.ask("clearinghouseState")["assetPositions"])
        return next((position for position in held if position["coin"] == coin), None)

    def size(self, coin: str) -> Decimal:
        """Return the signed size that the venue holds."""
        position = self.position(coin)
        return Decimal(0) if position is None else Decimal(position["szi"])

    def equity(self) -> Decimal:
        """Return what the account is worth to the venue."""
        return Decimal(self.ask("clearinghouseState")["marginSummary"]["accountValue"])

    def resting(self, coin: str) -> list[str]:
        """Return the types of the orders that rest at the venue."""
        orders = self.ask("frontendOpenOrders")
        return sorted(order["orderType"] for order in orders if order["coin"] == coin)

    def accepted(self, coin: str) -> list[dict[str, Any]]:
        """Return every order that the venue ever accepted."""
        query = {"venue": "HYPERLIQUID", "address": self.account.address}
        orders = self.sim.http.get("/control/orders", params=query).json()["orders"]
        return [order for order in orders if order["coin"] == coin]

    def entries(self, coin: str) -> list[dict[str, Any]]:
        """Return the accepted orders that may open a position."""
        return [order for order in self.accepted(coin) if not order["reduce_only"]]

    def trade(self, coin: str, side: OrderSide, size: Decimal) -> None:
        """Buy or sell at the market, past the ledger of Agent Where."""
        system, account = self.system, self.account
        adapter = system.execution(Venue.HYPERLIQUID)
        assert adapter is not None
        now = utc_now()
        with system.engine.begin() as conn:
            market = next(
                market
                for market in market_store.markets(conn, tokens={coin})
                if market.venue is Venue.HYPERLIQUID
            )
            nonce = order_store.next_nonce(conn, Venue.HYPERLIQUID, account.signer_address, now)
        quote = adapter.quotes([market], now)[coin]
        spec = OrderSpec(
            client_id=f"0x{new_id().hex}",
            purpose=OrderPurpose.ENTRY,
            market_name=market.market_name,
            market_index=market.market_index,
            side=side,
            size=size,
            limit_price=adapter.limit_price(market, side, quote.mid, WIDE_BPS),
            trigger_price=None,
            reduce_only=False,
        )
        key = system.secrets.get(account.key_name).get_secret_value()
        deadline = now.replace(year=now.year + 1)
        payload = adapter.sign_orders([spec], account, key, nonce, deadline)
        report = adapter.send(payload, [spec.client_id], now)[0]
        assert report.state is OrderState.FILLED, report


def hand_of(system: System, sim: Simulator, deployment: str) -> Hand:
    """Return the hand that can trade a deployment's Hyperliquid account."""
    with system.engine.begin() as conn:
        found = next(item for item in deployment_store.deployments(conn) if item.name == deployment)
    account = next(item for item in found.accounts if item.venue is Venue.HYPERLIQUID)
    return Hand(system, sim, account)
