"""What the venue remembers of its users: accounts, API keys, transactions, orders, positions, trades, funding.

Rows become plain values here and nowhere else; decimals are stored as text, in units of the market.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentwhere_sim.database import Database, Row

_FIRST_ACCOUNT = 1_000
_ACCOUNTS = 2**40
_FIRST_ORDER = 281_474_976_710_656
_FIRST_TRADE = 19_000_000_000

PENDING, OPEN, FILLED = "pending", "open", "filled"
LIVE = (PENDING, OPEN)

TX_PENDING, TX_EXECUTED = 1, 2

_SCHEMA = """
CREATE TABLE IF NOT EXISTS lt_accounts (
    account_index INTEGER PRIMARY KEY, l1_address TEXT NOT NULL UNIQUE, collateral TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS lt_keys (
    account_index INTEGER NOT NULL, key_index INTEGER NOT NULL, public_key TEXT NOT NULL, nonce INTEGER NOT NULL,
    PRIMARY KEY (account_index, key_index));
CREATE TABLE IF NOT EXISTS lt_txs (
    sequence INTEGER PRIMARY KEY, hash TEXT NOT NULL, account_index INTEGER NOT NULL, key_index INTEGER NOT NULL,
    nonce INTEGER NOT NULL, type INTEGER NOT NULL, info TEXT NOT NULL, status INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL, queued_ms INTEGER NOT NULL, executed_ms INTEGER NOT NULL,
    will_be_dropped INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS lt_leverage (
    account_index INTEGER NOT NULL, market_id INTEGER NOT NULL, margin_fraction INTEGER NOT NULL,
    margin_mode INTEGER NOT NULL, PRIMARY KEY (account_index, market_id));
CREATE TABLE IF NOT EXISTS lt_positions (
    account_index INTEGER NOT NULL, market_id INTEGER NOT NULL, held TEXT NOT NULL, entry_px TEXT NOT NULL,
    realized TEXT NOT NULL, funding TEXT NOT NULL, PRIMARY KEY (account_index, market_id));
CREATE TABLE IF NOT EXISTS lt_orders (
    order_index INTEGER PRIMARY KEY, account_index INTEGER NOT NULL, market_id INTEGER NOT NULL,
    client_index INTEGER NOT NULL, is_ask INTEGER NOT NULL, type INTEGER NOT NULL, tif INTEGER NOT NULL,
    reduce_only INTEGER NOT NULL, price TEXT NOT NULL, initial TEXT NOT NULL, remaining TEXT NOT NULL,
    filled_base TEXT NOT NULL, filled_quote TEXT NOT NULL, trigger_price TEXT, expires_ms INTEGER NOT NULL,
    status TEXT NOT NULL, trigger_status TEXT NOT NULL, parent_index INTEGER NOT NULL, nonce INTEGER NOT NULL,
    created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, tx_hash TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS lt_orders_live ON lt_orders (status) WHERE status IN ('pending', 'open');
CREATE INDEX IF NOT EXISTS lt_orders_client ON lt_orders (account_index, client_index);
CREATE TABLE IF NOT EXISTS lt_trades (
    trade_id INTEGER PRIMARY KEY, account_index INTEGER NOT NULL, order_index INTEGER NOT NULL,
    client_index INTEGER NOT NULL, market_id INTEGER NOT NULL, is_ask INTEGER NOT NULL, is_maker INTEGER NOT NULL,
    price TEXT NOT NULL, size TEXT NOT NULL, fee TEXT NOT NULL, pnl TEXT NOT NULL, held_before TEXT NOT NULL,
    type TEXT NOT NULL, time_ms INTEGER NOT NULL, tx_hash TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS lt_trades_user ON lt_trades (account_index, time_ms);
CREATE TABLE IF NOT EXISTS lt_fundings (
    id INTEGER PRIMARY KEY, account_index INTEGER NOT NULL, market_id INTEGER NOT NULL, time_ms INTEGER NOT NULL,
    change TEXT NOT NULL, rate TEXT NOT NULL, held TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS lt_deposits (
    id INTEGER PRIMARY KEY, account_index INTEGER NOT NULL, time_ms INTEGER NOT NULL, usdc TEXT NOT NULL);
"""


@dataclass(slots=True)
class Transaction:
    """A transaction that the API accepted: executed, waiting for its turn, or about to be lost by the sequencer."""

    sequence: int
    hash: str
    account_index: int
    key_index: int
    nonce: int
    type: int
    info: str
    status: int
    expires_ms: int
    due_ms: int
    queued_ms: int
    executed_ms: int
    will_be_dropped: bool


@dataclass(slots=True)
class Order:
    """An order as the venue keeps it; ``initial`` 0 means "the whole position, whatever it is then"."""

    order_index: int
    account_index: int
    market_id: int
    client_index: int
    is_ask: bool
    type: int
    tif: int
    reduce_only: bool
    price: Decimal
    initial: Decimal
    remaining: Decimal
    filled_base: Decimal
    filled_quote: Decimal
    trigger_price: Decimal | None
    expires_ms: int
    status: str
    trigger_status: str
    parent_index: int
    nonce: int
    created_ms: int
    updated_ms: int
    tx_hash: str

    @property
    def is_tied(self) -> bool:
        """Whether it belongs to the position: it closes whatever is held, and goes when nothing is."""
        return self.initial == 0


@dataclass(slots=True)
class Position:
    """An account's position in a market; ``held`` is negative for a short; ``funding`` is what was paid."""

    account_index: int
    market_id: int
    held: Decimal
    entry_px: Decimal
    realized: Decimal
    funding: Decimal


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution of an account's order."""

    trade_id: int
    account_index: int
    order_index: int
    client_index: int
    market_id: int
    is_ask: bool
    is_maker: bool
    price: Decimal
    size: Decimal
    fee: Decimal
    pnl: Decimal
    held_before: Decimal
    type: str
    time_ms: int
    tx_hash: str


class Ledger:
    """Read and write the venue's memory."""

    def __init__(self, db: Database) -> None:
        self.db = db
        db.define(_SCHEMA)

    def deposit(self, l1_address: str, amount: Decimal, at_ms: int) -> int:
        """Credit USDC; the first deposit opens the account, even of nothing. Give the account's index.

        The index follows from the address, so that a venue whose memory was wiped knows its users by the same numbers.
        """
        index = _FIRST_ACCOUNT + int.from_bytes(sha256(l1_address.encode()).digest()) % _ACCOUNTS
        with self.db.transaction():
            self.db.execute(
                "INSERT OR IGNORE INTO lt_accounts (account_index, l1_address, collateral) VALUES (?, ?, '0')",
                (index, l1_address),
            )
            if amount == 0:
                return index
            self.credit(index, amount)
            self.db.execute(
                "INSERT INTO lt_deposits (account_index, time_ms, usdc) VALUES (?, ?, ?)",
                (index, at_ms, f"{amount:f}"),
            )
        return index

    def register_key(self, account: int, key: int, public_key: str) -> None:
        """Give an account an API key; registering a public key anew keeps its nonce."""
        self.db.execute(
            "INSERT INTO lt_keys (account_index, key_index, public_key, nonce) VALUES (?, ?, ?, 0) "
            "ON CONFLICT (account_index, key_index) DO UPDATE SET public_key = excluded.public_key",
            (account, key, public_key),
        )

    def l1_address(self, account: int) -> str | None:
        """Give the address that an account belongs to; ``None`` if there is no such account."""
        row = self.db.one("SELECT l1_address FROM lt_accounts WHERE account_index = ?", (account,))
        return None if row is None else str(row["l1_address"])

    def account_of(self, l1_address: str) -> int | None:
        """Give the account of an address."""
        row = self.db.one(
            "SELECT account_index FROM lt_accounts WHERE l1_address = ?", (l1_address,)
        )
        return None if row is None else int(row["account_index"])

    def collateral(self, account: int) -> Decimal:
        """Give an account's cash: deposits, realised results, fees and funding."""
        row = self.db.one("SELECT collateral FROM lt_accounts WHERE account_index = ?", (account,))
        return Decimal(0) if row is None else Decimal(row["collateral"])

    def credit(self, account: int, amount: Decimal) -> None:
        """Add to (or take from) an account's cash."""
        self.db.execute(
            "UPDATE lt_accounts SET collateral = ? WHERE account_index = ?",
            (f"{self.collateral(account) + amount:f}", account),
        )

    def keys(self, account: int) -> list[Row]:
        """List an account's API keys with their next nonces."""
        return self.db.query(
            "SELECT * FROM lt_keys WHERE account_index = ? ORDER BY key_index", (account,)
        )

    def next_nonce(self, account: int, key: int) -> int | None:
        """Give the nonce that must come next under a key; ``None`` if the key is unknown."""
        row = self.db.one(
            "SELECT nonce FROM lt_keys WHERE account_index = ? AND key_index = ?", (account, key)
        )
        return None if row is None else int(row["nonce"])

    def set_nonce(self, account: int, key: int, nonce: int) -> None:
        """Say which nonce must come next."""
        self.db.execute(
            "UPDATE lt_keys SET nonce = ? WHERE account_index = ? AND key_index = ?",
            (nonce, account, key),
        )

    def margin_fraction(self, account: int, market: int) -> int | None:
        """Give the initial margin fraction (1/10000) that an account chose; ``None`` if it never did."""
        row = self.db.one(
            "SELECT margin_fraction FROM lt_leverage WHERE account_index = ? AND market_id = ?",
            (account, market),
        )
        return None if row is None else int(row["margin_fraction"])

    def next_sequence(self) -> int:
        """Give the place of the next transaction."""
        return self._next("SELECT MAX(sequence) AS last FROM lt_txs", 1)

    def next_order_index(self) -> int:
        """Give the next order's index."""
        return self._next("SELECT MAX(order_index) AS last FROM lt_orders", _FIRST_ORDER)

    def next_trade_id(self) -> int:
        """Give the next trade's id."""
        return self._next("SELECT MAX(trade_id) AS last FROM lt_trades", _FIRST_TRADE)

    def save(self, value: Transaction | Order | Position | Trade) -> None:
        """Write a row."""
        names = [field.name for field in fields(value)]
        cells = [_cell(getattr(value, name)) for name in names]
        marks, columns = ", ".join("?" * len(names)), ", ".join(names)
        table = _TABLES[type(value)]
        self.db.execute(
            f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608 - own names
            cells,
        )

    def forget(self, tx: Transaction) -> None:
        """Lose a transaction as if it had never come."""
        self.db.execute("DELETE FROM lt_txs WHERE sequence = ?", (tx.sequence,))

    def transactions(self, condition: str, *parameters: Any) -> list[Transaction]:
        """List transactions in the order in which they were accepted."""
        sql = f"SELECT * FROM lt_txs WHERE {condition} ORDER BY sequence"  # noqa: S608 - own conditions
        return [_transaction(row) for row in self.db.query(sql, parameters)]

    def orders(self, condition: str, *parameters: Any) -> list[Order]:
        """List orders, oldest first."""
        sql = f"SELECT * FROM lt_orders WHERE {condition} ORDER BY order_index"  # noqa: S608 - own conditions
        return [_order(row) for row in self.db.query(sql, parameters)]

    def live_orders(self, account: int | None = None) -> list[Order]:
        """List orders that rest or wait, of one account or of all, oldest first."""
        live = self.orders("status IN ('pending', 'open')")
        return [order for order in live if account is None or order.account_index == account]

    def order(self, order_index: int) -> Order | None:
        """Find an order by the venue's index."""
        return next(iter(self.orders("order_index = ?", order_index)), None)

    def positions(self, account: int | None = None) -> list[Position]:
        """List open positions, of one account or of all."""
        rows = self.db.query("SELECT * FROM lt_positions WHERE held != '0' ORDER BY market_id")
        return [
            _position(row) for row in rows if account is None or row["account_index"] == account
        ]

    def position(self, account: int, market: int) -> Position:
        """Give an account's position in a market, empty if there is none."""
        row = self.db.one(
            "SELECT * FROM lt_positions WHERE account_index = ? AND market_id = ?",
            (account, market),
        )
        zero = Decimal(0)
        return Position(account, market, zero, zero, zero, zero) if row is None else _position(row)

    def trades(self, account: int) -> list[Trade]:
        """List an account's executions, oldest first."""
        rows = self.db.query(
            "SELECT * FROM lt_trades WHERE account_index = ? ORDER BY trade_id", (account,)
        )
        return [_trade(row) for row in rows]

    def _next(self, sql: str, first: int) -> int:
        row = self.db.one(sql)
        return first if row is None or row["last"] is None else int(row["last"]) + 1


_TABLES = {
    Transaction: "lt_txs",
    Order: "lt_orders",
    Position: "lt_positions",
    Trade: "lt_trades",
}


def _cell(value: Any) -> Any:
    return f"{value:f}" if isinstance(value, Decimal) else value


def _cells(row: Row, decimals: tuple[str, ...], flags: tuple[str, ...]) -> dict[str, Any]:
    cells: dict[str, Any] = dict(row)
    cells |= {name: None if cells[name] is None else Decimal(cells[name]) for name in decimals}
    return cells | {name: bool(cells[name]) for name in flags}


def _transaction(row: Row) -> Transaction:
    return Transaction(**_cells(row, (), ("will_be_dropped",)))


def _order(row: Row) -> Order:
    decimals = ("price", "initial", "remaining", "filled_base", "filled_quote", "trigger_price")
    return Order(**_cells(row, decimals, ("is_ask", "reduce_only")))


def _position(row: Row) -> Position:
    return Position(**_cells(row, ("held", "entry_px", "realized", "funding"), ()))


def _trade(row: Row) -> Trade:
    decimals = ("price", "size", "fee", "pnl", "held_before")
    return Trade(**_cells(row, decimals, ("is_ask", "is_maker")))
