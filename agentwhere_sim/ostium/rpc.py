"""The chain's node: JSON-RPC as a client of Arbitrum meets it.

Errors carry the words of common nodes (``nonce too low``, ``already known``, ``replacement transaction underpriced``),
because clients have nothing else to tell them apart by.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agentwhere_sim.ostium import abi
from agentwhere_sim.ostium.abi import RevertError
from agentwhere_sim.ostium.chain import Transaction, block_hash
from agentwhere_sim.ostium.contracts import Context
from agentwhere_sim.ostium.transactions import UnreadableError, read_transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentwhere_sim.ostium.chain import Chain
    from agentwhere_sim.ostium.contracts import Contracts
    from agentwhere_sim.world import World

BASE_FEE_WEI = 10_000_000
TRANSFER_GAS = 21_000
CALL_GAS = 400_000
_BUMP_PCT = 110
_NO_DATA = "0x"


class RpcError(Exception):
    """An error as JSON-RPC shows it."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.body: dict[str, Any] = {"code": code, "message": message}
        if data is not None:
            self.body["data"] = data


class _UndoneError(Exception):
    """Ends a trial so that nothing of it remains."""


class Node:
    """Answer JSON-RPC methods."""

    def __init__(self, world: World, chain: Chain, contracts: Contracts) -> None:
        self._world = world
        self._chain = chain
        self._contracts = contracts
        self._methods: dict[str, Callable[..., Any]] = {
            "eth_chainId": lambda: hex(abi.CHAIN_ID),
            "net_version": lambda: str(abi.CHAIN_ID),
            "eth_blockNumber": lambda: hex(chain.block()),
            "eth_gasPrice": lambda: hex(BASE_FEE_WEI),
            "eth_maxPriorityFeePerGas": lambda: "0x0",
            "eth_feeHistory": self._fee_history,
            "eth_getBalance": lambda address, _tag="latest": hex(chain.wei(address.lower())),
            "eth_getCode": lambda address, _tag="latest": (
                "0xfe" if address.lower() in _CONTRACTS else _NO_DATA
            ),
            "eth_getTransactionCount": self._count,
            "eth_getBlockByNumber": self._block,
            "eth_estimateGas": self._estimate,
            "eth_call": self._call,
            "eth_sendRawTransaction": self._accept,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getTransactionByHash": self._by_hash,
            "eth_getLogs": self._logs,
        }

    def answer(self, method: str, params: list[Any]) -> Any:
        """Answer a method. Raises ``RpcError``."""
        handler = self._methods.get(method)
        if handler is None:
            raise RpcError(-32601, f"the method {method} does not exist/is not available")
        try:
            return handler(*params)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise RpcError(-32602, f"invalid argument: {error}") from None

    def _fee_history(self, count: str | int, _newest: str, rewards: list[float]) -> Any:
        blocks = int(count, 16) if isinstance(count, str) else count
        return {
            "oldestBlock": hex(self._chain.block() - blocks + 1),
            "baseFeePerGas": [hex(BASE_FEE_WEI)] * (blocks + 1),
            "gasUsedRatio": [0.1] * blocks,
            "reward": [["0x0"] * len(rewards)] * blocks,
        }

    def _count(self, address: str, tag: str = "latest") -> str:
        if tag.startswith("0x"):
            return hex(self._chain.nonce_at(address.lower(), int(tag, 16)))
        used = self._chain.nonce(address.lower())
        if tag == "pending":
            waiting = {tx.nonce for tx in self._chain.waiting(address.lower())}
            while used in waiting:
                used += 1
        return hex(used)

    def _block(self, tag: str, _full: bool = False) -> Any:
        newest = self._chain.block()
        number = newest if tag in ("latest", "pending", "safe", "finalized") else int(tag, 16)
        if number > newest:
            return None
        return {
            "number": hex(number),
            "hash": block_hash(number),
            "parentHash": block_hash(number - 1),
            "timestamp": hex(self._chain.block_ms(number) // 1000),
            "baseFeePerGas": hex(BASE_FEE_WEI),
            "gasLimit": hex(10**9),
            "gasUsed": hex(CALL_GAS),
            "transactions": [],
        }

    def _estimate(self, call: dict[str, Any], _tag: str = "latest") -> str:
        sender, data = str(call["from"]).lower(), call.get("data") or call.get("input") or _NO_DATA
        context = Context(sender, self._chain.block() + 1, "0x")
        with suppress(_UndoneError), self._chain.db.transaction():
            try:
                self._execute(str(call["to"]).lower(), data, context)
            except RevertError as revert:
                raise _reverted(revert) from None
            raise _UndoneError
        return hex(CALL_GAS if data != _NO_DATA else TRANSFER_GAS)

    def _call(self, call: dict[str, Any], _tag: str = "latest") -> str:
        data = call.get("data") or call.get("input") or _NO_DATA
        if str(call["to"]).lower() not in _CONTRACTS:
            return _NO_DATA
        try:
            return self._contracts.view(str(call["to"]).lower(), data)
        except RevertError as revert:
            raise _reverted(revert) from None

    def _accept(self, raw: str) -> str:
        """Take in a signed transaction: into a block, or among those that wait."""
        try:
            tx = read_transaction(raw)
        except UnreadableError as error:
            raise RpcError(-32000, str(error)) from None
        with self._chain.db.transaction():
            self._check(tx)
            if self._world.faults.take("ostium", ("stuck",), raw):
                tx = replace(tx, is_stuck=True)
            self._chain.keep(tx)
            self._mine(tx.sender)
        return tx.hash

    def _check(self, tx: Transaction) -> None:
        next_nonce = self._chain.nonce(tx.sender)
        if tx.nonce < next_nonce:
            raise RpcError(
                -32000,
                f"nonce too low: address {tx.sender}, tx: {tx.nonce} state: {next_nonce}",
            )
        if tx.max_fee < BASE_FEE_WEI:
            raise RpcError(
                -32000,
                f"max fee per gas less than block base fee: address {tx.sender}, "
                f"maxFeePerGas: {tx.max_fee}, baseFee: {BASE_FEE_WEI}",
            )
        if tx.gas < TRANSFER_GAS:
            raise RpcError(-32000, f"intrinsic gas too low: have {tx.gas}, want {TRANSFER_GAS}")
        if self._chain.wei(tx.sender) < tx.gas * tx.max_fee + tx.value:
            raise RpcError(
                -32000,
                f"insufficient funds for gas * price + value: address {tx.sender} "
                f"have {self._chain.wei(tx.sender)} want {tx.gas * tx.max_fee + tx.value}",
            )
        rival = next((w for w in self._chain.waiting(tx.sender) if w.nonce == tx.nonce), None)
        if rival is None:
            return
        if rival.hash == tx.hash:
            raise RpcError(-32000, "already known")
        if tx.max_fee * 100 < rival.max_fee * _BUMP_PCT or tx.tip * 100 < rival.tip * _BUMP_PCT:
            raise RpcError(-32000, "replacement transaction underpriced")
        self._chain.forget(rival)

    def _mine(self, sender: str) -> None:
        """Put a sender's transactions into blocks as far as their nonces follow one another."""
        for tx in self._chain.waiting(sender):
            if tx.nonce != self._chain.nonce(sender) or tx.is_stuck:
                return
            block = self._chain.open_block()
            status = 1
            try:
                with self._chain.db.savepoint():
                    logs = self._execute(tx.to, tx.data, Context(sender, block, tx.hash))
            except RevertError:
                status, logs = 0, []
            used = TRANSFER_GAS if tx.data == _NO_DATA else CALL_GAS
            if tx.gas < used:
                status, logs = 0, []
            self._chain.change(
                sender,
                nonce=tx.nonce + 1,
                wei=self._chain.wei(sender) - used * BASE_FEE_WEI,
            )
            self._chain.keep_logs(block, tx.hash, logs)
            now_ms = self._world.now_ms()
            self._chain.keep(replace(tx, block=block, status=status, at_ms=now_ms))

    def _execute(self, to: str, data: str, context: Context) -> list[abi.Log]:
        if to not in _CONTRACTS:
            return []
        return self._contracts.execute(to, data, context)

    def _receipt(self, tx_hash: str) -> Any:
        tx = self._chain.transaction(tx_hash)
        if tx is None or tx.block is None:
            return None
        used = TRANSFER_GAS if tx.data == _NO_DATA else CALL_GAS
        return {
            "transactionHash": tx.hash,
            "blockNumber": hex(tx.block),
            "blockHash": block_hash(tx.block),
            "transactionIndex": "0x0",
            "from": tx.sender,
            "to": tx.to,
            "status": hex(tx.status or 0),
            "gasUsed": hex(used),
            "cumulativeGasUsed": hex(used),
            "effectiveGasPrice": hex(BASE_FEE_WEI),
            "type": hex(tx.kind),
            "contractAddress": None,
            "logsBloom": "0x" + 512 * "0",
            "logs": self._chain.logs(tx.block, tx.block, tx.hash),
        }

    def _by_hash(self, tx_hash: str) -> Any:
        tx = self._chain.transaction(tx_hash)
        if tx is None:
            return None
        return {
            "hash": tx.hash,
            "nonce": hex(tx.nonce),
            "from": tx.sender,
            "to": tx.to,
            "value": hex(tx.value),
            "input": tx.data,
            "gas": hex(tx.gas),
            "maxFeePerGas": hex(tx.max_fee),
            "maxPriorityFeePerGas": hex(tx.tip),
            "type": hex(tx.kind),
            "chainId": hex(abi.CHAIN_ID),
            "blockNumber": None if tx.block is None else hex(tx.block),
            "blockHash": None if tx.block is None else block_hash(tx.block),
        }

    def _logs(self, wish: dict[str, Any]) -> Any:
        def number(tag: str) -> int:
            return self._chain.block() if tag in ("latest", "pending") else int(tag, 16)

        first, last = number(wish.get("fromBlock", "latest")), number(wish.get("toBlock", "latest"))
        asked = wish.get("address")
        addresses = {item.lower() for item in ([asked] if isinstance(asked, str) else asked or [])}
        return [
            item
            for item in self._chain.logs(first, last)
            if (not addresses or item["address"] in addresses)
            and _topics_fit(item["topics"], wish.get("topics") or [])
        ]


_CONTRACTS = frozenset({abi.USDC, abi.TRADING, abi.STORAGE, abi.CALLBACKS, abi.REGISTRY})


def _topics_fit(topics: list[str], wanted: list[Any]) -> bool:
    if len(wanted) > len(topics):
        return False
    for topic, wish in zip(topics, wanted, strict=False):
        options = wish if isinstance(wish, list) else [wish]
        if wish is not None and topic not in [option.lower() for option in options]:
            return False
    return True


def _reverted(revert: RevertError) -> RpcError:
    return RpcError(3, "execution reverted", revert.data)
