"""What the contracts remember: open trades and market orders that wait for the keeper.

Amounts as on chain: USDC x 1e6, prices and sizes in the base x 1e18, leverage and shares x 100.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentwhere_sim.database import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS os_orders (
    id INTEGER PRIMARY KEY, trader TEXT NOT NULL, state TEXT NOT NULL, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS os_trades (
    trade_id INTEGER PRIMARY KEY, trader TEXT NOT NULL, is_open INTEGER NOT NULL, doc TEXT NOT NULL)
"""

PENDING = "pending"
EXECUTED = "executed"
CANCELLED = "cancelled"
TIMED_OUT = "timed out"


@dataclass(slots=True)
class Trade:
    """A position; its id is that of the order that opened it."""

    trade_id: int
    trader: str
    pair: int
    index: int
    buy: bool
    collateral: int
    leverage: int
    open_price: int
    tp: int
    sl: int
    size: int
    opened_ms: int
    opened_block: int
    charged_ms: int
    is_open: bool = True
    close_price: int = 0

    @property
    def notional(self) -> int:
        """Collateral times leverage, in millionths of a dollar."""
        return self.collateral * self.leverage // 100


@dataclass(slots=True)
class Order:
    """A request to open or to close at market, or a close that a trigger brought about."""

    id: int
    trader: str
    action: str
    kind: str
    pair: int
    index: int
    trade_id: int
    buy: bool
    collateral: int
    leverage: int
    wanted_price: int
    slippage: int
    tp: int
    sl: int
    share: int
    block: int
    initiated_ms: int
    due_wall_ms: int
    tx_hash: str
    is_orphan: bool = False
    state: str = PENDING
    reason: int = 0
    price: int = 0
    size: int = 0
    executed_ms: int = 0
    executed_block: int = 0
    executed_tx: str = ""
    dev_fee: int = 0
    oracle_fee: int = 0
    rollover_fee: int = 0
    liquidation_fee: int = 0
    profit_pct: int = 0
    sent: int = 0


class Book:
    """Keep trades and orders."""

    def __init__(self, db: Database) -> None:
        self._db = db
        db.define(_SCHEMA)

    def next_id(self) -> int:
        """Give the next order id."""
        row = self._db.one("SELECT max(id) AS last FROM os_orders")
        return int((row and row["last"]) or 0) + 1

    def order(self, order_id: int) -> Order | None:
        """Find an order."""
        row = self._db.one("SELECT doc FROM os_orders WHERE id = ?", (order_id,))
        return None if row is None else Order(**json.loads(row["doc"]))

    def orders(self, trader: str | None = None, state: str | None = None) -> list[Order]:
        """List orders by id, all or those of a trader or in a state."""
        rows = self._db.query(
            "SELECT doc FROM os_orders WHERE (? IS NULL OR trader = ?) AND (? IS NULL OR state = ?) ORDER BY id",
            (trader, trader, state, state),
        )
        return [Order(**json.loads(row["doc"])) for row in rows]

    def save_order(self, order: Order) -> None:
        """Remember an order."""
        self._db.execute(
            "INSERT OR REPLACE INTO os_orders VALUES (?, ?, ?, ?)",
            (order.id, order.trader, order.state, json.dumps(asdict(order))),
        )

    def trade(self, trader: str, pair: int, index: int) -> Trade | None:
        """Find the open trade at a place."""
        return next(
            (t for t in self.trades(trader) if (t.pair, t.index) == (pair, index)),
            None,
        )

    def trades(self, trader: str | None = None, *, closed_too: bool = False) -> list[Trade]:
        """List trades by id."""
        rows = self._db.query(
            "SELECT doc FROM os_trades WHERE (? IS NULL OR trader = ?) AND (is_open OR ?) ORDER BY trade_id",
            (trader, trader, closed_too),
        )
        return [Trade(**json.loads(row["doc"])) for row in rows]

    def save_trade(self, trade: Trade) -> None:
        """Remember a trade."""
        self._db.execute(
            "INSERT OR REPLACE INTO os_trades VALUES (?, ?, ?, ?)",
            (trade.trade_id, trade.trader, trade.is_open, json.dumps(asdict(trade))),
        )

    def free_index(self, trader: str, pair: int) -> int:
        """Give the lowest index at which a trader has no open trade in a pair."""
        used = {t.index for t in self.trades(trader) if t.pair == pair}
        return next(index for index in range(len(used) + 1) if index not in used)
