"""What the venue remembers of its users: accounts, agent wallets, orders, positions, fills, funding, nonces.

Rows become frozen or plain values here and nowhere else; decimals are stored as text.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentwhere_sim.database import Database, Row

_FIRST_OID = 91_000_000_000
_FIRST_TID = 410_000_000_000
KEPT_NONCES = 100

_SCHEMA = """
CREATE TABLE IF NOT EXISTS hl_accounts (address TEXT PRIMARY KEY, usdc TEXT NOT NULL, scheduled_cancel_ms INTEGER);
CREATE TABLE IF NOT EXISTS hl_agents (
    agent TEXT PRIMARY KEY, master TEXT NOT NULL, name TEXT NOT NULL, approved_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS hl_nonces (signer TEXT NOT NULL, nonce INTEGER NOT NULL, PRIMARY KEY (signer, nonce));
CREATE TABLE IF NOT EXISTS hl_leverage (
    address TEXT NOT NULL, asset INTEGER NOT NULL, leverage INTEGER NOT NULL, is_cross INTEGER NOT NULL,
    PRIMARY KEY (address, asset));
CREATE TABLE IF NOT EXISTS hl_positions (
    address TEXT NOT NULL, asset INTEGER NOT NULL, szi TEXT NOT NULL, entry_px TEXT NOT NULL,
    funding_all TEXT NOT NULL, funding_open TEXT NOT NULL, funding_change TEXT NOT NULL,
    PRIMARY KEY (address, asset));
CREATE TABLE IF NOT EXISTS hl_orders (
    oid INTEGER PRIMARY KEY, address TEXT NOT NULL, asset INTEGER NOT NULL, is_buy INTEGER NOT NULL,
    limit_px TEXT NOT NULL, orig_sz TEXT NOT NULL, sz TEXT NOT NULL, reduce_only INTEGER NOT NULL,
    tif TEXT NOT NULL, trigger_px TEXT, tpsl TEXT, is_market INTEGER NOT NULL, grouping TEXT NOT NULL,
    parent_oid INTEGER, cloid TEXT, status TEXT NOT NULL, status_ms INTEGER NOT NULL, created_ms INTEGER NOT NULL,
    signer TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS hl_orders_open ON hl_orders (status) WHERE status IN ('open', 'waiting');
CREATE INDEX IF NOT EXISTS hl_orders_cloid ON hl_orders (address, cloid);
CREATE TABLE IF NOT EXISTS hl_fills (
    tid INTEGER PRIMARY KEY, address TEXT NOT NULL, oid INTEGER NOT NULL, asset INTEGER NOT NULL,
    is_buy INTEGER NOT NULL, px TEXT NOT NULL, sz TEXT NOT NULL, time_ms INTEGER NOT NULL,
    start_position TEXT NOT NULL, dir TEXT NOT NULL, closed_pnl TEXT NOT NULL, fee TEXT NOT NULL,
    crossed INTEGER NOT NULL, cloid TEXT, liquidation_mark_px TEXT);
CREATE INDEX IF NOT EXISTS hl_fills_user ON hl_fills (address, time_ms);
CREATE TABLE IF NOT EXISTS hl_funding (
    id INTEGER PRIMARY KEY, address TEXT NOT NULL, time_ms INTEGER NOT NULL, asset INTEGER NOT NULL,
    rate TEXT NOT NULL, szi TEXT NOT NULL, usdc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS hl_deposits (
    id INTEGER PRIMARY KEY, address TEXT NOT NULL, time_ms INTEGER NOT NULL, usdc TEXT NOT NULL);
"""

OPEN = "open"
WAITING = "waiting"
"""A child order whose parent has not filled yet; the venue reports it as open."""


@dataclass(slots=True)
class Order:
    """An order as the venue keeps it; ``sz`` is what remains, ``orig_sz`` 0 means "the whole position"."""

    oid: int
    address: str
    asset: int
    is_buy: bool
    limit_px: Decimal
    orig_sz: Decimal
    sz: Decimal
    reduce_only: bool
    tif: str
    trigger_px: Decimal | None
    tpsl: str | None
    is_market: bool
    grouping: str
    parent_oid: int | None
    cloid: str | None
    status: str
    status_ms: int
    created_ms: int
    signer: str

    @property
    def is_trigger(self) -> bool:
        """Whether it waits for a price before it acts."""
        return self.trigger_px is not None

    @property
    def is_position_tpsl(self) -> bool:
        """Whether it belongs to the position rather than to an order."""
        return self.grouping == "positionTpsl"


@dataclass(slots=True)
class Position:
    """A user's position in one asset; ``szi`` is negative for a short; funding is what the user paid."""

    address: str
    asset: int
    szi: Decimal
    entry_px: Decimal
    funding_all: Decimal
    funding_open: Decimal
    funding_change: Decimal


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution."""

    tid: int
    address: str
    oid: int
    asset: int
    is_buy: bool
    px: Decimal
    sz: Decimal
    time_ms: int
    start_position: Decimal
    dir: str
    closed_pnl: Decimal
    fee: Decimal
    crossed: bool
    cloid: str | None
    liquidation_mark_px: Decimal | None


class Ledger:
    """Read and write the venue's memory."""

    def __init__(self, db: Database) -> None:
        self.db = db
        db.define(_SCHEMA)

    def deposit(self, address: str, amount: Decimal, at_ms: int) -> None:
        """Credit USDC; the first deposit opens the account."""
        address = address.lower()
        with self.db.transaction():
            self.db.execute(
                "INSERT OR IGNORE INTO hl_accounts (address, usdc) VALUES (?, '0')", (address,)
            )
            self.credit(address, amount)
            self.db.execute(
                "INSERT INTO hl_deposits (address, time_ms, usdc) VALUES (?, ?, ?)",
                (address, at_ms, str(amount)),
            )

    def credit(self, address: str, amount: Decimal) -> None:
        """Add to (or take from) an account's cash."""
        cash = self.cash(address) + amount
        self.db.execute("UPDATE hl_accounts SET usdc = ? WHERE address = ?", (str(cash), address))

    def cash(self, address: str) -> Decimal:
        """Give an account's cash: deposits, realised results, fees and funding; 0 for a stranger."""
        row = self.db.one("SELECT usdc FROM hl_accounts WHERE address = ?", (address,))
        return Decimal(0) if row is None else Decimal(row["usdc"])

    def account_of(self, signer: str) -> str | None:
        """Give the account that a signer acts for: its own, or its master's if it is an approved agent."""
        row = self.db.one("SELECT master FROM hl_agents WHERE agent = ?", (signer,))
        if row is not None:
            return str(row["master"])
        known = self.db.one("SELECT 1 FROM hl_accounts WHERE address = ?", (signer,))
        return None if known is None else signer

    def nonces(self, signer: str) -> list[int]:
        """List the nonces kept for a signer, smallest first."""
        return [
            row["nonce"]
            for row in self.db.query("SELECT nonce FROM hl_nonces WHERE signer = ?", (signer,))
        ]

    def use_nonce(self, signer: str, nonce: int) -> None:
        """Remember a nonce; only the highest ones are kept."""
        self.db.execute("INSERT INTO hl_nonces (signer, nonce) VALUES (?, ?)", (signer, nonce))
        self.db.execute(
            "DELETE FROM hl_nonces WHERE signer = ? AND nonce NOT IN "
            "(SELECT nonce FROM hl_nonces WHERE signer = ? ORDER BY nonce DESC LIMIT ?)",
            (signer, signer, KEPT_NONCES),
        )

    def leverage(self, address: str, asset: int) -> tuple[int, bool] | None:
        """Give the leverage that a user chose for an asset and whether it is cross; ``None`` if never chosen."""
        row = self.db.one(
            "SELECT leverage, is_cross FROM hl_leverage WHERE address = ? AND asset = ?",
            (address, asset),
        )
        return None if row is None else (row["leverage"], bool(row["is_cross"]))

    def positions(self, address: str | None = None) -> list[Position]:
        """List open positions, of one user or of all."""
        rows = self.db.query("SELECT * FROM hl_positions WHERE szi != '0' ORDER BY address, asset")
        return [_position(row) for row in rows if address is None or row["address"] == address]

    def position(self, address: str, asset: int) -> Position:
        """Give a user's position in an asset, empty if there is none."""
        row = self.db.one(
            "SELECT * FROM hl_positions WHERE address = ? AND asset = ?", (address, asset)
        )
        zero = Decimal(0)
        return (
            Position(address, asset, zero, zero, zero, zero, zero)
            if row is None
            else _position(row)
        )

    def save_position(self, position: Position) -> None:
        """Write a position."""
        if position.szi == 0:
            position.szi = Decimal(0)
        self._put("hl_positions", position)

    def next_oid(self) -> int:
        """Give the next order id."""
        return self._next("SELECT MAX(oid) AS last FROM hl_orders", _FIRST_OID)

    def next_tid(self) -> int:
        """Give the next trade id."""
        return self._next("SELECT MAX(tid) AS last FROM hl_fills", _FIRST_TID)

    def save_order(self, order: Order) -> None:
        """Write an order."""
        self._put("hl_orders", order)

    def set_status(self, order: Order, status: str, at_ms: int) -> None:
        """Move an order to a status and write it."""
        order.status, order.status_ms = status, at_ms
        self.save_order(order)

    def order(self, oid: int) -> Order | None:
        """Find an order by its id."""
        row = self.db.one("SELECT * FROM hl_orders WHERE oid = ?", (oid,))
        return None if row is None else _order(row)

    def order_of(self, address: str, reference: int | str) -> Order | None:
        """Find a user's order by id or by client id; of several with one client id, the newest."""
        column = "oid" if isinstance(reference, int) else "cloid"
        row = self.db.one(
            f"SELECT * FROM hl_orders WHERE address = ? AND {column} = ? ORDER BY oid DESC LIMIT 1",  # noqa: S608
            (address, reference),
        )
        return None if row is None else _order(row)

    def orders(self, address: str | None = None) -> list[Order]:
        """List every order, of one user or of all, oldest first."""
        rows = self.db.query("SELECT * FROM hl_orders ORDER BY oid")
        return [_order(row) for row in rows if address is None or row["address"] == address]

    def live_orders(self, address: str | None = None) -> list[Order]:
        """List open and waiting orders, of one user or of all, oldest first."""
        rows = self.db.query(
            "SELECT * FROM hl_orders WHERE status IN ('open', 'waiting') ORDER BY oid"
        )
        return [_order(row) for row in rows if address is None or row["address"] == address]

    def children(self, parent_oid: int) -> list[Order]:
        """List the live children of an order."""
        return [order for order in self.live_orders() if order.parent_oid == parent_oid]

    def add_fill(self, fill: Fill) -> None:
        """Write a fill."""
        self._put("hl_fills", fill)

    def fills(self, address: str, start_ms: int = 0, end_ms: int | None = None) -> list[Fill]:
        """List a user's fills in a stretch of time (both ends included), oldest first."""
        end = 2**62 if end_ms is None else end_ms
        rows = self.db.query(
            "SELECT * FROM hl_fills WHERE address = ? AND time_ms BETWEEN ? AND ? ORDER BY tid",
            (address, start_ms, end),
        )
        return [_fill(row) for row in rows]

    def _next(self, sql: str, first: int) -> int:
        row = self.db.one(sql)
        return first if row is None or row["last"] is None else int(row["last"]) + 1

    def _put(self, table: str, value: Any) -> None:
        names = [field.name for field in fields(value)]
        cells = [_cell(getattr(value, name)) for name in names]
        marks = ", ".join("?" * len(names))
        columns = ", ".join(names)
        sql = f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - own names
        self.db.execute(sql, cells)


def digest(*parts: object) -> str:
    """Give the 32-byte hash that the venue would show for an event."""
    return "0x" + sha256(":".join(map(str, parts)).encode()).hexdigest()


def _cell(value: Any) -> Any:
    return f"{value:f}" if isinstance(value, Decimal) else value


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _order(row: Row) -> Order:
    cells: dict[str, Any] = dict(row)
    for name in ("limit_px", "orig_sz", "sz", "trigger_px"):
        cells[name] = _decimal(cells[name])
    for name in ("is_buy", "reduce_only", "is_market"):
        cells[name] = bool(cells[name])
    return Order(**cells)


def _position(row: Row) -> Position:
    cells: dict[str, Any] = dict(row)
    for name in ("szi", "entry_px", "funding_all", "funding_open", "funding_change"):
        cells[name] = Decimal(cells[name])
    return Position(**cells)


def _fill(row: Row) -> Fill:
    cells: dict[str, Any] = dict(row)
    for name in ("px", "sz", "start_position", "closed_pnl", "fee", "liquidation_mark_px"):
        cells[name] = _decimal(cells[name])
    for name in ("is_buy", "crossed"):
        cells[name] = bool(cells[name])
    return Fill(**cells)
