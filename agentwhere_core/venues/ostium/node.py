"""JSON-RPC to a node of the chain, over the venue's own `HttpClient`: its hosts, its errors, its live guard.

Reading calls are repeated where that is safe; a signed transaction is broadcast once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter

from agentwhere_core.domain.errors import (
    ConfigurationError,
    MalformedReplyError,
    RateLimitedError,
    RefusedError,
)
from agentwhere_core.http import HttpClient
from agentwhere_core.venues.checked import PlainWire, parse

SERVICE: Final = "ostium"

_LIMIT_EXCEEDED = -32005
# Providers bound the stretch of blocks that one request for logs may cover.
_LOG_BLOCKS = 100_000


@dataclass(frozen=True, slots=True)
class OstiumChain:
    """Where Ostium's contracts live.

    Every other contract is found through the registry that ``trading`` names, so one address has to be right. The
    subgraph is the one that follows this chain; markets may be read from another.
    """

    rpc_url: str
    subgraph_url: str
    chain_id: int
    trading: str


class NodeRefusedError(RefusedError):
    """The node refused a request; ``said`` is its message, ``data`` what a reverting contract returned."""

    def __init__(self, method: str, said: str, data: str) -> None:
        super().__init__(
            SERVICE, f"the node refuses {method}: {said}{f' ({data})' if data else ''}"
        )
        self.said = said
        self.data = data


class _Error(PlainWire):
    code: int
    message: str
    data: Any = None


class _Reply(PlainWire):
    id: int | None = None
    result: Any = None
    error: _Error | None = None


class LogEntry(PlainWire):
    """An event of a contract, still encoded."""

    address: str
    topics: tuple[str, ...]
    data: str
    blockNumber: str  # noqa: N815 - the wire's own name
    transactionHash: str  # noqa: N815
    logIndex: str  # noqa: N815

    @property
    def block(self) -> int:
        """Number of the block that holds it."""
        return int(self.blockNumber, 16)


class Receipt(PlainWire):
    """What became of a transaction that is in a block."""

    status: str
    blockNumber: str  # noqa: N815
    transactionHash: str  # noqa: N815
    logs: tuple[LogEntry, ...]

    @property
    def succeeded(self) -> bool:
        """Whether it took effect; one that reverted only used up its nonce."""
        return int(self.status, 16) == 1

    @property
    def block(self) -> int:
        """Number of the block that holds it."""
        return int(self.blockNumber, 16)


class _Block(PlainWire):
    number: str
    timestamp: str
    baseFeePerGas: str = "0x0"  # noqa: N815


@dataclass(frozen=True, slots=True)
class Block:
    """A block's number, time in seconds since 1970, and price of gas in wei."""

    number: int
    timestamp_s: int
    base_fee: int


_REPLY = TypeAdapter(_Reply)
_BATCH = TypeAdapter(list[_Reply])
_RECEIPT = TypeAdapter(Receipt | None)
_BLOCK = TypeAdapter(_Block)
_LOGS: TypeAdapter[list[LogEntry]] = TypeAdapter(list[LogEntry])
_TEXT = TypeAdapter(str)


class Node:
    """A node that must be of the chain ``chain_id``."""

    def __init__(self, http: HttpClient, url: str, chain_id: int) -> None:
        self._http = http
        self._url = url
        self.chain_id = chain_id
        self._is_checked = False

    def require_chain(self) -> None:
        """Make sure, once, that the node speaks for the chain that was configured.

        Raises
        ------
        ConfigurationError
            If it does not: nothing may be signed for it.
        """
        if self._is_checked:
            return
        found = self._number("eth_chainId")
        if found != self.chain_id:
            raise ConfigurationError(
                f"the node for Ostium serves chain {found}, not {self.chain_id}: correct its address; "
                "nothing was signed"
            )
        self._is_checked = True

    def block(self, number: int | None = None) -> Block:
        """Return a block, or the newest."""
        tag = "latest" if number is None else hex(number)
        reply = self._ask("eth_getBlockByNumber", tag, False)
        found = parse(SERVICE, "a block", _BLOCK, reply)
        return Block(int(found.number, 16), int(found.timestamp, 16), int(found.baseFeePerGas, 16))

    def tip(self) -> int:
        """Return the tip per gas that the node suggests, in wei."""
        return self._number("eth_maxPriorityFeePerGas")

    def nonce(self, address: str, tag: str = "latest") -> int:
        """Return how many transactions of ``address`` are in blocks (``pending``: or wait for one).

        ``tag`` may also be a block's number in hex: how many were in blocks by then.
        """
        return self._number("eth_getTransactionCount", address, tag)

    def gas(self, sender: str, to: str, data: str) -> int:
        """Return the gas that a call will need.

        Raises
        ------
        NodeRefusedError
            If the call would revert.
        """
        return self._number("eth_estimateGas", {"from": sender, "to": to, "data": data})

    def call(self, to: str, data: str) -> bytes:
        """Return what a reading call of a contract answers."""
        answer = self._text("eth_call", {"to": to, "data": data}, "latest")
        return bytes.fromhex(answer.removeprefix("0x"))

    def holds(self, tx_hash: str) -> bool:
        """Return whether the node has a transaction, in a block or waiting for one."""
        return self._ask("eth_getTransactionByHash", tx_hash) is not None

    def receipt(self, tx_hash: str) -> Receipt | None:
        """Return what became of a transaction, or None while it is in no block."""
        reply = self._ask("eth_getTransactionReceipt", tx_hash)
        return parse(SERVICE, "a transaction's receipt", _RECEIPT, reply)

    def receipt_as_of(self, tx_hash: str) -> tuple[Receipt | None, int]:
        """Return a transaction's receipt, and the newest block of the very node that looked for it.

        Behind an address stand many nodes, some of them late. One request is answered by one of them, though its parts
        in any order.

        Raises
        ------
        RefusedError
            If the node takes one question at a time only.
        MalformedReplyError
            If not both questions are answered.
        """
        asked = ("eth_getTransactionReceipt", "eth_blockNumber")
        questions = [_body(asked[0], tx_hash), _body(asked[1]) | {"id": 2}]
        reply = self._http.read(self._url, body=questions)
        if isinstance(reply, dict):
            raise RefusedError(
                SERVICE,
                "the node does not answer several questions in one request, so that an order stays in doubt: set "
                "AGENTWHERE_OSTIUM_RPC_URL to a node that takes JSON-RPC batches",
            )
        answers = parse(SERVICE, "the answers to two questions", _BATCH, reply)
        by_id = {answer.id: answer for answer in answers}
        if by_id.keys() != {1, 2}:
            raise MalformedReplyError(
                SERVICE, f"the node gives {len(answers)} answers to two questions in one request"
            )
        found = _accepted(asked[0], by_id[1])
        newest = parse(SERVICE, "a block number", _TEXT, _accepted(asked[1], by_id[2]))
        return parse(SERVICE, "a transaction's receipt", _RECEIPT, found), _whole(asked[1], newest)

    def logs(
        self, addresses: list[str], topics: list[list[str] | None], first: int, last: int
    ) -> list[LogEntry]:
        """Return the events of ``addresses`` in the blocks ``first`` to ``last``, oldest first."""
        found: list[LogEntry] = []
        for start in range(first, last + 1, _LOG_BLOCKS):
            wish = {
                "address": addresses,
                "topics": topics,
                "fromBlock": hex(start),
                "toBlock": hex(min(last, start + _LOG_BLOCKS - 1)),
            }
            page = parse(SERVICE, "a list of events", _LOGS, self._ask("eth_getLogs", wish))
            found.extend(page)
        return found

    def broadcast(self, raw: str) -> None:
        """Give a signed transaction to the node, once.

        Raises
        ------
        NodeRefusedError
            If the node does not take it.
        RemoteError
            As `HttpClient.write`.
        """
        method = "eth_sendRawTransaction"
        reply = self._http.write(self._url, json.dumps(_body(method, raw)).encode())
        _result(method, reply)

    def _ask(self, method: str, *params: object) -> Any:
        return _result(method, self._http.read(self._url, body=_body(method, *params)))

    def _text(self, method: str, *params: object) -> str:
        return parse(SERVICE, f"the answer to {method}", _TEXT, self._ask(method, *params))

    def _number(self, method: str, *params: object) -> int:
        return _whole(method, self._text(method, *params))


def _whole(method: str, text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise MalformedReplyError(SERVICE, f"{method} answered {text!r}, no number") from None


def _body(method: str, *params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}


def _result(method: str, reply: Any) -> Any:
    return _accepted(method, parse(SERVICE, f"the answer to {method}", _REPLY, reply))


def _accepted(method: str, answer: _Reply) -> Any:
    if answer.error is None:
        return answer.result
    if answer.error.code == _LIMIT_EXCEEDED:
        raise RateLimitedError(
            SERVICE,
            f"the node asks to slow down at {method}: {answer.error.message}; the next tick tries again",
        )
    data = answer.error.data
    raise NodeRefusedError(method, answer.error.message, data if isinstance(data, str) else "")
