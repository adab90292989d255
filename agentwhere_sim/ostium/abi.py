"""The contracts' binary interface: addresses, calls, events and the ways to revert.

Everything is told apart by hashes of signatures, as on chain; the signatures are those of the deployed contracts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

CHAIN_ID = 412_346
USDC = "0x0571000000000000000000000000000000000001"
TRADING = "0x0571000000000000000000000000000000000002"
STORAGE = "0x0571000000000000000000000000000000000003"
CALLBACKS = "0x0571000000000000000000000000000000000004"
REGISTRY = "0x0571000000000000000000000000000000000005"
NAMES = {"trading": TRADING, "tradingStorage": STORAGE, "callbacks": CALLBACKS}
NOBODY = "0x" + 40 * "0"

TRADE = "(uint256,uint192,uint192,uint192,address,uint32,uint16,uint8,bool,bool)"
PENDING = f"(uint256,uint192,uint32,{TRADE},uint16)"

_FUNCTIONS = {
    USDC: (
        "approve(address,uint256)",
        "transfer(address,uint256)",
        "allowance(address,address)",
        "balanceOf(address)",
    ),
    TRADING: (
        f"openTrade({TRADE},(address,uint32),uint8,uint256)",
        "closeTradeMarket(uint16,uint8,uint16,uint192,uint32)",
        "openTradeMarketTimeout(uint256)",
        "closeTradeMarketTimeout(uint256,bool)",
        "updateTp(uint16,uint8,uint192)",
        "updateSl(uint16,uint8,uint192)",
        "delegatedAction(address,bytes)",
        "setDelegate(address)",
        "removeDelegate()",
        "delegations(address)",
        "marketOrdersTimeout()",
        "maxAllowedCollateral()",
        "registry()",
        "isPaused()",
    ),
    STORAGE: (
        "usdc()",
        "maxTradesPerPair()",
        "maxPendingMarketOrders()",
        "getOpenTrade(address,uint16,uint8)",
        "getOpenTradeInfo(address,uint16,uint8)",
        "openTradesCount(address,uint16)",
        "getPendingOrderIds(address)",
        "reqID_pendingMarketOrder(uint256)",
    ),
    REGISTRY: ("getContractAddress(bytes32)",),
}

# Types of an event's indexed arguments, then of the rest.
_EVENTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Transfer": (("address", "address"), ("uint256",)),
    "Approval": (("address", "address"), ("uint256",)),
    "DelegateAdded": (("address", "address"), ()),
    "DelegateRemoved": (("address", "address"), ()),
    "MarketOpenOrderInitiated": (("uint256", "address", "uint16"), ()),
    "MarketCloseOrderInitiatedV2": (("uint256", "uint256", "address"), ("uint16", "uint16")),
    "MarketOpenTimeoutExecutedV2": (("uint256",), (PENDING,)),
    "MarketCloseTimeoutExecutedV2": (("uint256", "uint256"), (PENDING,)),
    "TpUpdated": (("uint256", "address", "uint16"), ("uint8", "uint192")),
    "SlUpdated": (("uint256", "address", "uint16"), ("uint8", "uint192")),
    "MarketOpenExecuted": (("uint256",), (TRADE, "uint256", "uint256")),
    "MarketOpenCanceled": (("uint256", "address", "uint256"), ("uint8",)),
    "MarketCloseExecutedV2": (
        ("uint256", "uint256"),
        ("uint256", "uint256", "int256", "uint256", "uint256"),
    ),
    "MarketCloseCanceled": (("uint256", "uint256", "address"), ("uint256", "uint256", "uint8")),
    "LimitCloseExecuted": (
        ("uint256", "uint256"),
        ("uint8", "uint256", "uint256", "int256", "uint256"),
    ),
}


class RevertError(Exception):
    """A contract refuses: ``signature`` names its error, ``values`` are the error's arguments."""

    def __init__(self, signature: str, *values: Any) -> None:
        super().__init__(signature)
        self.signature = signature
        types = signature[signature.index("(") + 1 : -1]
        arguments = encode(types.split(","), values) if types else b""
        self.data = "0x" + (keccak(text=signature)[:4] + arguments).hex()


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a contract's function, with its arguments."""

    function: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Log:
    """An event as a contract emits it."""

    address: str
    topics: tuple[str, ...]
    data: str


def read_call(contract: str, data: bytes) -> Call:
    """Decode call data. Raises ``RevertError`` where the contract has no such function."""
    signature = _selectors(contract).get(data[:4])
    if signature is None:
        raise RevertError("FunctionDoesNotExist()")
    name, types = signature.split("(", 1)
    try:
        return Call(name, decode(_split(types[:-1]), data[4:]))
    except DecodingError:
        raise RevertError("BadArguments()") from None


def log(address: str, event: str, *values: Any) -> Log:
    """Encode an event; indexed arguments come first."""
    indexed, rest = _EVENTS[event]
    kept, told = values[: len(indexed)], values[len(indexed) :]
    topics = [
        "0x" + encode([kind], [value]).hex() for kind, value in zip(indexed, kept, strict=True)
    ]
    return Log(address, (_topic(event), *topics), "0x" + encode(rest, told).hex())


def answer(types: list[str], *values: Any) -> str:
    """Encode what a function returns."""
    return "0x" + encode(types, values).hex()


@cache
def _selectors(contract: str) -> dict[bytes, str]:
    return {keccak(text=signature)[:4]: signature for signature in _FUNCTIONS.get(contract, ())}


@cache
def _topic(event: str) -> str:
    indexed, rest = _EVENTS[event]
    return "0x" + keccak(text=f"{event}({','.join(indexed + rest)})").hex()


def _split(types: str) -> list[str]:
    """Split a list of types at its outermost commas."""
    parts, depth, start = [], 0, 0
    for position, letter in enumerate(types):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(types[start:position])
            start = position + 1
    return [*parts, types[start:]] if types else []
