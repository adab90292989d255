"""What happens to users while time passes: triggers, resting orders, funding, liquidation, scheduled cancels.

Nothing runs in between requests. When someone asks (or once a second while anything is at stake) the stretch since the
last look is replayed: the price path is sampled, and at each instant the due events happen in the venue's order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentwhere_sim import perps
from agentwhere_sim.hyperliquid import fills, rules
from agentwhere_sim.hyperliquid.engine import crossed
from agentwhere_sim.hyperliquid.ledger import OPEN, Order
from agentwhere_sim.universe import hyperliquid_markets

if TYPE_CHECKING:
    from agentwhere_sim.hyperliquid.book import Quotes
    from agentwhere_sim.hyperliquid.engine import Engine
    from agentwhere_sim.hyperliquid.ledger import Ledger
    from agentwhere_sim.hyperliquid.margin import Holding, Margins
    from agentwhere_sim.world import World

_LAST_LOOK = "hl_last_look_ms"


class Clockwork:
    """Replay time for all users of the venue."""

    def __init__(
        self, world: World, ledger: Ledger, quotes: Quotes, margins: Margins, engine: Engine
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._quotes = quotes
        self._margins = margins
        self._engine = engine

    def catch_up(self, *, note: bool = False) -> None:
        """Let happen what is due by now; ``note`` remembers the look even if nothing was at stake."""
        now_ms = self._world.now_ms()
        at_stake = self._ledger.db.one(
            "SELECT 1 FROM hl_orders WHERE status IN ('open', 'waiting') "
            "UNION ALL SELECT 1 FROM hl_positions WHERE szi != '0' LIMIT 1"
        )
        if at_stake is None and not note:
            return
        with self._ledger.db.transaction():
            if at_stake is not None:
                remembered = self._ledger.db.get(_LAST_LOOK)
                last_ms = now_ms if remembered is None else int(remembered)
                for instant in perps.instants(last_ms, now_ms):
                    self._happen(instant)
            self._ledger.db.put(_LAST_LOOK, str(now_ms))

    def _happen(self, at_ms: int) -> None:
        self._cancel_as_scheduled(at_ms)
        for order in self._ledger.live_orders():
            current = self._ledger.order(order.oid)
            if current is None or current.status != OPEN or current.created_ms > at_ms:
                continue
            if current.is_trigger:
                self._try_trigger(current, at_ms)
            else:
                self._try_resting(current, at_ms)
        last_funded = int(self._ledger.db.get("hl_last_funding_ms") or 0)
        if at_ms % perps.HOUR_MS == 0 and at_ms > last_funded:
            self._pay_funding(at_ms)
            self._ledger.db.put("hl_last_funding_ms", str(at_ms))
        for address in {position.address for position in self._ledger.positions()}:
            self._liquidate_if_bankrupt(address, at_ms)

    def _try_trigger(self, order: Order, at_ms: int) -> None:
        if crossed(order, self._quotes.mid(hyperliquid_markets()[order.asset], at_ms)):
            self._engine.fire(order, at_ms)

    def _try_resting(self, order: Order, at_ms: int) -> None:
        bid, ask = self._quotes.top(hyperliquid_markets()[order.asset], at_ms)
        if (ask > order.limit_px) if order.is_buy else (bid < order.limit_px):
            return
        size = fills.reducible(self._ledger, order)
        if size == 0:
            self._engine.cancel(order, "reduceOnlyCanceled", at_ms)
            return
        self._engine.fill(order, [(order.limit_px, size)], at_ms, crossed=False)
        if order.status == OPEN:
            self._engine.cancel(order, "reduceOnlyCanceled", at_ms)

    def _pay_funding(self, at_ms: int) -> None:
        for position in self._ledger.positions():
            market = hyperliquid_markets()[position.asset]
            rate = self._quotes.funding_rate(market, at_ms)
            paid = rules.usd(position.szi * self._quotes.oracle(market, at_ms) * rate)
            position.funding_all += paid
            position.funding_open += paid
            position.funding_change += paid
            self._ledger.save_position(position)
            self._ledger.credit(position.address, -paid)
            self._ledger.db.execute(
                "INSERT INTO hl_funding (address, time_ms, asset, rate, szi, usdc) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    position.address,
                    at_ms,
                    position.asset,
                    f"{rate:f}",
                    f"{position.szi:f}",
                    f"{-paid:f}",
                ),
            )

    def _liquidate_if_bankrupt(self, address: str, at_ms: int) -> None:
        account = self._margins.account(address, at_ms)
        if not account.is_bankrupt:
            return
        for order in self._ledger.live_orders(address):
            self._ledger.set_status(order, "liquidatedCanceled", at_ms)
        for holding in account.holdings:
            self._close_by_force(holding, at_ms)

    def _close_by_force(self, holding: Holding, at_ms: int) -> None:
        position = holding.position
        order = Order(
            oid=self._ledger.next_oid(),
            address=position.address,
            asset=position.asset,
            is_buy=position.szi < 0,
            limit_px=holding.mark,
            orig_sz=abs(position.szi),
            sz=abs(position.szi),
            reduce_only=True,
            tif="LiquidationMarket",
            trigger_px=None,
            tpsl=None,
            is_market=True,
            grouping="na",
            parent_oid=None,
            cloid=None,
            status="filled",
            status_ms=at_ms,
            created_ms=at_ms,
            signer="venue",
        )
        fills.execute(
            self._ledger,
            order,
            holding.mark,
            abs(position.szi),
            at_ms,
            crossed=True,
            liquidation_mark=holding.mark,
        )
        self._ledger.save_order(order)

    def _cancel_as_scheduled(self, at_ms: int) -> None:
        due = self._ledger.db.query(
            "SELECT address FROM hl_accounts WHERE scheduled_cancel_ms <= ?",
            (at_ms,),
        )
        for row in due:
            for order in self._ledger.live_orders(row["address"]):
                self._ledger.set_status(order, "scheduledCancel", at_ms)
            self._ledger.db.execute(
                "UPDATE hl_accounts SET scheduled_cancel_ms = NULL WHERE address = ?",
                (row["address"],),
            )
