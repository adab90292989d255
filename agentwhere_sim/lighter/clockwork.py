"""What happens to users while time passes: due transactions, triggers, resting orders, funding, liquidation.

Nothing runs in between requests. When someone asks (or once a second while anything is at stake) the stretch since the
last look is replayed: the price path is sampled, and at each instant the due events happen.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_sim import perps
from agentwhere_sim.lighter.engine import AT_MARK
from agentwhere_sim.lighter.ledger import OPEN
from agentwhere_sim.universe import lighter_by_id

if TYPE_CHECKING:
    from agentwhere_sim.lighter.book import Quotes
    from agentwhere_sim.lighter.engine import Engine
    from agentwhere_sim.lighter.ledger import Ledger
    from agentwhere_sim.lighter.margin import Margins
    from agentwhere_sim.lighter.sequencer import Sequencer
    from agentwhere_sim.world import World

_LAST_LOOK = "lt_last_look_ms"
_LAST_FUNDING = "lt_last_funding_ms"
_USDC = Decimal("0.000001")


class Clockwork:
    """Replay time for all users of the venue."""

    def __init__(
        self,
        world: World,
        ledger: Ledger,
        quotes: Quotes,
        margins: Margins,
        *,
        engine: Engine,
        sequencer: Sequencer,
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._quotes = quotes
        self._margins = margins
        self._engine = engine
        self._sequencer = sequencer

    def catch_up(self, *, note: bool = False) -> None:
        """Let happen what is due by now; ``note`` remembers the look even if nothing was at stake."""
        in_market = self._ledger.db.one(
            "SELECT 1 FROM lt_orders WHERE status IN ('pending', 'open') "
            "UNION ALL SELECT 1 FROM lt_positions WHERE held != '0' LIMIT 1"
        )
        queued = self._ledger.db.one("SELECT 1 FROM lt_txs WHERE status = 1 LIMIT 1")
        if in_market is None and queued is None and not note:
            return
        now_ms = self._world.now_ms()
        with self._ledger.db.transaction():
            if in_market is not None:
                remembered = self._ledger.db.get(_LAST_LOOK)
                last_ms = now_ms if remembered is None else int(remembered)
                for instant in perps.instants(last_ms, now_ms):
                    self._happen(instant)
            self._sequencer.execute_due()
            self._ledger.db.put(_LAST_LOOK, str(now_ms))

    def _happen(self, at_ms: int) -> None:
        for waiting in self._ledger.live_orders():
            order = self._ledger.order(waiting.order_index)
            if order is None or order.created_ms > at_ms:
                continue
            if order.expires_ms and order.expires_ms <= at_ms:
                self._engine.cancel(order, "canceled-expired", at_ms)
            elif order.trigger_status == AT_MARK and order.status == "pending":
                self._engine.try_trigger(order, at_ms)
            elif order.status == OPEN:
                self._engine.try_resting(order, at_ms)
        last_funded = int(self._ledger.db.get(_LAST_FUNDING) or 0)
        if at_ms % perps.HOUR_MS == 0 and at_ms > last_funded:
            self._pay_funding(at_ms)
            self._ledger.db.put(_LAST_FUNDING, str(at_ms))
        for account in {position.account_index for position in self._ledger.positions()}:
            self._liquidate_if_bankrupt(account, at_ms)

    def _pay_funding(self, at_ms: int) -> None:
        for position in self._ledger.positions():
            market = lighter_by_id()[position.market_id]
            rate = self._quotes.funding_rate(market, at_ms)
            mark = self._quotes.mid(market, at_ms)
            paid = (position.held * mark * rate).quantize(_USDC)
            position.funding += paid
            self._ledger.save(position)
            self._ledger.credit(position.account_index, -paid)
            self._ledger.db.execute(
                "INSERT INTO lt_fundings (account_index, market_id, time_ms, change, rate, held) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    position.account_index,
                    position.market_id,
                    at_ms,
                    f"{-paid:f}",
                    f"{rate:f}",
                    f"{position.held:f}",
                ),
            )

    def _liquidate_if_bankrupt(self, account: int, at_ms: int) -> None:
        worth = self._margins.account(account, at_ms)
        if not worth.is_bankrupt:
            return
        for order in self._ledger.live_orders(account):
            self._engine.cancel(order, "canceled-liquidation", at_ms)
        for holding in worth.holdings:
            market_id = holding.position.market_id
            self._engine.close_by_force(account, market_id, holding.mark, at_ms)
