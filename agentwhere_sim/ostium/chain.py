"""The chain: accounts, blocks, transactions and logs, in the world's memory.

A transaction that is accepted is in a block at once, as on a chain with a sequencer; one whose nonce lies ahead waits.
Block numbers follow the simulated time at 300 ms each, and every transaction opens one of its own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from agentwhere_sim.ostium import abi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentwhere_sim.ostium.abi import Log
    from agentwhere_sim.world import World

BLOCK_MS = 300
GAS_FOR_A_DEPOSIT_WEI = 10**17

_FIRST_BLOCK = 1_000
_LAST_BLOCK = "os_last_block"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS os_accounts (
    address TEXT PRIMARY KEY, usdc TEXT NOT NULL DEFAULT '0', wei TEXT NOT NULL DEFAULT '0',
    nonce INTEGER NOT NULL DEFAULT 0, allowance TEXT NOT NULL DEFAULT '0', delegate TEXT);
CREATE TABLE IF NOT EXISTS os_transactions (
    hash TEXT PRIMARY KEY, sender TEXT NOT NULL, nonce INTEGER NOT NULL, doc TEXT NOT NULL, block INTEGER,
    status INTEGER, at_ms INTEGER);
CREATE TABLE IF NOT EXISTS os_logs (
    id INTEGER PRIMARY KEY, block INTEGER NOT NULL, at_ms INTEGER NOT NULL, tx_hash TEXT NOT NULL,
    address TEXT NOT NULL, topics TEXT NOT NULL, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS os_logs_by_block ON os_logs (block);
CREATE INDEX IF NOT EXISTS os_transactions_by_sender ON os_transactions (sender, nonce)
"""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A signed transaction; amounts in wei, ``to`` and ``data`` as text, ``sender`` recovered from its signature."""

    hash: str
    sender: str
    nonce: int
    to: str
    value: int
    data: str
    gas: int
    max_fee: int
    tip: int
    kind: int
    is_stuck: bool = False
    block: int | None = None
    status: int | None = None
    at_ms: int | None = None


class Chain:
    """Keep accounts, transactions and logs."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.db = world.db
        self.db.define(_SCHEMA)

    def block(self) -> int:
        """Tell the number of the newest block."""
        passed_ms = self._world.now_ms() - int(self._world.genesis.timestamp() * 1000)
        return max(self._last(), _FIRST_BLOCK + max(0, passed_ms) // BLOCK_MS)

    def open_block(self) -> int:
        """Begin a block, and tell its number."""
        number = max(self.block(), self._last() + 1)
        self.db.put(_LAST_BLOCK, str(number))
        return number

    def block_ms(self, number: int) -> int:
        """Tell when a block was made; blocks with transactions remember it."""
        row = self.db.one(
            "SELECT at_ms FROM os_logs WHERE block = ? "
            "UNION ALL SELECT at_ms FROM os_transactions WHERE block = ? LIMIT 1",
            (number, number),
        )
        if row is not None:
            return int(row["at_ms"])
        genesis_ms = int(self._world.genesis.timestamp() * 1000)
        return min(self._world.now_ms(), genesis_ms + (number - _FIRST_BLOCK) * BLOCK_MS)

    def usdc(self, address: str) -> int:
        """Tell a balance in millionths of a dollar."""
        return int(self._account(address)["usdc"])

    def wei(self, address: str) -> int:
        """Tell what is there to pay gas with."""
        return int(self._account(address)["wei"])

    def nonce(self, address: str) -> int:
        """Tell the nonce that the account's next transaction must have."""
        return int(self._account(address)["nonce"])

    def nonce_at(self, address: str, block: int) -> int:
        """Tell how many of an account's transactions were in blocks by then."""
        row = self.db.one(
            "SELECT count(*) AS used FROM os_transactions WHERE sender = ? AND block <= ?",
            (address, block),
        )
        return 0 if row is None else int(row["used"])

    def allowance(self, address: str) -> int:
        """Tell how much the trading storage may still take."""
        return int(self._account(address)["allowance"])

    def delegate(self, address: str) -> str | None:
        """Tell who may act for an account."""
        found = self._account(address)["delegate"]
        return None if found is None else str(found)

    def change(self, address: str, **values: int | str | None) -> None:
        """Set columns of an account."""
        self._account(address)
        for name, value in values.items():
            kept = value if value is None or name == "nonce" else str(value)
            self.db.execute(f"UPDATE os_accounts SET {name} = ? WHERE address = ?", (kept, address))  # noqa: S608

    def move(self, source: str, target: str, amount: int) -> Log:
        """Move USDC between accounts. Raises ``RevertError`` if there is too little."""
        held = self.usdc(source)
        if source != abi.NOBODY:
            if held < amount:
                raise abi.RevertError(
                    "ERC20InsufficientBalance(address,uint256,uint256)", source, held, amount
                )
            self.change(source, usdc=held - amount)
        self.change(target, usdc=self.usdc(target) + amount)
        return abi.log(abi.USDC, "Transfer", source, target, amount)

    def deposit(self, address: str, amount: int) -> None:
        """Give an account USDC, and something to pay gas with."""
        with self.db.transaction():
            self.change(address, wei=self.wei(address) + GAS_FOR_A_DEPOSIT_WEI)
            if amount:
                block = self.open_block()
                seal = f"deposit:{address}:{block}"
                self.keep_logs(
                    block,
                    "0x" + sha256(seal.encode()).hexdigest(),
                    [self.move(abi.NOBODY, address, amount)],
                )

    def transaction(self, tx_hash: str) -> Transaction | None:
        """Find a transaction."""
        row = self.db.one("SELECT * FROM os_transactions WHERE hash = ?", (tx_hash,))
        return None if row is None else _transaction(row)

    def waiting(self, sender: str) -> list[Transaction]:
        """List a sender's transactions that are in no block yet, by nonce."""
        rows = self.db.query(
            "SELECT * FROM os_transactions WHERE sender = ? AND block IS NULL ORDER BY nonce",
            (sender,),
        )
        return [_transaction(row) for row in rows]

    def keep(self, tx: Transaction) -> None:
        """Remember a transaction, and what became of it."""
        doc = {
            name: getattr(tx, name)
            for name in ("to", "value", "data", "gas", "max_fee", "tip", "kind", "is_stuck")
        }
        self.db.execute(
            "INSERT OR REPLACE INTO os_transactions VALUES (?, ?, ?, ?, ?, ?, ?)",
            (tx.hash, tx.sender, tx.nonce, json.dumps(doc), tx.block, tx.status, tx.at_ms),
        )

    def forget(self, tx: Transaction) -> None:
        """Drop a transaction that another one replaces."""
        self.db.execute("DELETE FROM os_transactions WHERE hash = ?", (tx.hash,))

    def keep_logs(self, block: int, tx_hash: str, logs: Sequence[Log]) -> None:
        """Remember the events of a transaction."""
        now_ms = self._world.now_ms()
        for item in logs:
            self.db.execute(
                "INSERT INTO os_logs (block, at_ms, tx_hash, address, topics, data) VALUES (?, ?, ?, ?, ?, ?)",
                (block, now_ms, tx_hash, item.address, json.dumps(item.topics), item.data),
            )

    def logs(self, first: int, last: int, tx_hash: str | None = None) -> list[dict[str, Any]]:
        """List the events of a stretch of blocks, or of one transaction, as JSON-RPC shows them."""
        rows = self.db.query(
            "SELECT * FROM os_logs WHERE block BETWEEN ? AND ? AND (? IS NULL OR tx_hash = ?) ORDER BY id",
            (first, last, tx_hash, tx_hash),
        )
        return [
            {
                "address": row["address"],
                "topics": json.loads(row["topics"]),
                "data": row["data"],
                "blockNumber": hex(row["block"]),
                "blockHash": block_hash(row["block"]),
                "transactionHash": row["tx_hash"],
                "transactionIndex": "0x0",
                "logIndex": hex(row["id"]),
                "removed": False,
            }
            for row in rows
        ]

    def _account(self, address: str) -> Any:
        self.db.execute("INSERT OR IGNORE INTO os_accounts (address) VALUES (?)", (address,))
        return self.db.one("SELECT * FROM os_accounts WHERE address = ?", (address,))

    def _last(self) -> int:
        return int(self.db.get(_LAST_BLOCK) or _FIRST_BLOCK)


def block_hash(number: int) -> str:
    """Give a block's hash."""
    return "0x" + sha256(f"block:{number}".encode()).hexdigest()


def _transaction(row: Any) -> Transaction:
    return Transaction(
        hash=row["hash"],
        sender=row["sender"],
        nonce=row["nonce"],
        block=row["block"],
        status=row["status"],
        at_ms=row["at_ms"],
        **json.loads(row["doc"]),
    )
