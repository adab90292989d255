"""The contracts' binary interface, by web3's codec: calls to encode, events and answers to decode.

Signatures are those of the deployed contracts. web3 loads when the first call is made, not with this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from agentwhere_core.domain.errors import MalformedReplyError
from agentwhere_core.venues.ostium.node import SERVICE, LogEntry

if TYPE_CHECKING:
    from web3 import Web3
    from web3.contract import Contract

NOBODY: Final = "0x" + 40 * "0"
TRADE: Final = "(uint256,uint192,uint192,uint192,address,uint32,uint16,uint8,bool,bool)"
TRADE_INFO: Final = "(uint256,uint256,uint32,uint32,uint32,uint32,bool)"

_TRADE_FIELDS = (
    "uint256 collateral,uint192 openPrice,uint192 tp,uint192 sl,address trader,uint32 leverage,uint16 pairIndex,"
    "uint8 index,bool buy,bool isDayTrade"
)
_FUNCTIONS = (
    "openTrade(trade t,builder bf,uint8 orderType,uint256 slippageP)",
    "closeTradeMarket(uint16 pairIndex,uint8 index,uint16 closePercentage,uint192 marketPrice,uint32 slippageP)",
    "openTradeMarketTimeout(uint256 order)",
    "closeTradeMarketTimeout(uint256 order,bool retry)",
    "updateTp(uint16 pairIndex,uint8 index,uint192 newTp)",
    "updateSl(uint16 pairIndex,uint8 index,uint192 newSl)",
    "delegatedAction(address trader,bytes data)",
    "setDelegate(address delegate)",
    "approve(address spender,uint256 amount)",
    "allowance(address owner,address spender)",
    "balanceOf(address account)",
    "delegations(address delegator)",
    "marketOrdersTimeout()",
    "maxTradesPerPair()",
    "registry()",
    "usdc()",
    "getContractAddress(bytes32 name)",
    "getOpenTrade(address trader,uint16 pairIndex,uint8 index)",
    "getOpenTradeInfo(address trader,uint16 pairIndex,uint8 index)",
    "getPendingOrderIds(address trader)",
    "reqID_pendingMarketOrder(uint256 orderId)",
)
# An exclamation mark stands for "indexed".
_EVENTS = (
    "MarketOpenOrderInitiated(uint256 !orderId,address !trader,uint16 !pairIndex)",
    "MarketCloseOrderInitiatedV2(uint256 !orderId,uint256 !tradeId,address !trader,uint16 pairIndex,uint16 share)",
    "MarketOpenTimeoutExecutedV2(uint256 !orderId,pending order)",
    "MarketCloseTimeoutExecutedV2(uint256 !orderId,uint256 !tradeId,pending order)",
    "MarketOpenExecuted(uint256 !orderId,trade t,uint256 priceImpactP,uint256 tradeNotional)",
    "MarketOpenCanceled(uint256 !orderId,address !trader,uint256 !pairIndex,uint8 cancelReason)",
    (
        "MarketCloseExecutedV2(uint256 !orderId,uint256 !tradeId,uint256 price,uint256 priceImpactP,"
        "int256 percentProfit,uint256 usdcSentToTrader,uint256 percentageClosed)"
    ),
    (
        "MarketCloseCanceled(uint256 !orderId,uint256 !tradeId,address !trader,uint256 pairIndex,uint256 index,"
        "uint8 cancelReason)"
    ),
    (
        "LimitCloseExecuted(uint256 !orderId,uint256 !tradeId,uint8 orderType,uint256 price,uint256 priceImpactP,"
        "int256 percentProfit,uint256 usdcSentToTrader)"
    ),
    "TpUpdated(uint256 !tradeId,address !trader,uint16 !pairIndex,uint8 index,uint192 newTp)",
    "SlUpdated(uint256 !tradeId,address !trader,uint16 !pairIndex,uint8 index,uint192 newSl)",
    "Transfer(address !from,address !to,uint256 value)",
)
# Ways to revert, for the reader of a refusal: what follows from it does not depend on them.
_REVERTS = (
    "BelowMinLevPos()",
    "WrongLeverage(uint32)",
    "WrongTP()",
    "WrongSL()",
    "WrongParams()",
    "IsPaused()",
    "IsDone()",
    "AboveMaxAllowedCollateral()",
    "PairNotListed(uint16)",
    "NoTradeFound(address,uint16,uint8)",
    "WaitTimeout(uint256)",
    "NoTradeToTimeoutFound(uint256)",
    "MaxTradesPerPairReached(address,uint16)",
    "MaxPendingMarketOrdersReached(address)",
    "TriggerPending(address,uint16,uint8)",
    "ERC20InsufficientBalance(address,uint256,uint256)",
    "ERC20InsufficientAllowance(address,uint256,uint256)",
)


def encode(function: str, *arguments: Any) -> str:
    """Return the call data of a function."""
    selector, types = _calls()[function]
    return selector + _web3().codec.encode(types, arguments).hex()


def decode(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Return the values that a call answered.

    Raises
    ------
    MalformedReplyError
        If the answer is not of these types: the address is not the contract's.
    """
    from eth_abi.exceptions import DecodingError

    try:
        return tuple(_web3().codec.decode(types, data))
    except DecodingError as error:
        raise MalformedReplyError(
            SERVICE,
            f"a contract answered {len(data)} bytes that are no {', '.join(types)} ({error}); "
            "check the chain's addresses",
        ) from error


def topic(event: str) -> str:
    """Return the topic by which an event is found."""
    return _topics()[event]


def name_of(entry: LogEntry) -> str | None:
    """Return which event an entry is, or None if it is none of ours."""
    return _names().get(entry.topics[0]) if entry.topics else None


def read(entry: LogEntry) -> Mapping[str, Any]:
    """Return the arguments of an event by name."""
    from hexbytes import HexBytes

    name = _names()[entry.topics[0]]
    zero = HexBytes(32 * b"\0")
    event = (
        _interface()
        .events[name]()
        .process_log(
            {
                "address": entry.address,
                "topics": [HexBytes(item) for item in entry.topics],
                "data": HexBytes(entry.data),
                "blockNumber": entry.block,
                "blockHash": zero,
                "transactionHash": HexBytes(entry.transactionHash),
                "transactionIndex": 0,
                "logIndex": int(entry.logIndex, 16),
                "removed": False,
            }
        )
    )
    arguments: Mapping[str, Any] = event["args"]
    return arguments


def number_topic(number: int) -> str:
    """Return a whole number as a topic."""
    return f"0x{number:064x}"


def address_topic(address: str) -> str:
    """Return an address as a topic."""
    return "0x" + address.lower().removeprefix("0x").zfill(64)


def checksummed(address: str) -> str:
    """Return an address as web3 wants it."""
    return str(_web3().to_checksum_address(address))


def revert_name(data: str) -> str | None:
    """Return the name of the error that a contract reverted with, if it is known."""
    return _reverts().get(data[:10].lower())


@cache
def _web3() -> Web3:
    from web3 import Web3
    from web3.providers.base import BaseProvider

    # The codec needs no node; ours talks through `Node`, which knows what may leave this machine.
    return Web3(BaseProvider())


@cache
def _interface() -> type[Contract]:
    return _web3().eth.contract(abi=[_parsed("event", text) for text in _EVENTS])


@cache
def _calls() -> dict[str, tuple[str, list[str]]]:
    """Return, by function, its selector and the types of its arguments: found once, as web3 takes milliseconds."""
    from eth_utils.abi import function_abi_to_4byte_selector, get_abi_input_types

    entries = [_parsed("function", text) for text in _FUNCTIONS]
    return {
        entry["name"]: (
            "0x" + function_abi_to_4byte_selector(entry).hex(),
            get_abi_input_types(entry),
        )
        for entry in entries
    }


@cache
def _topics() -> dict[str, str]:
    from eth_utils.abi import event_abi_to_log_topic

    entries = [_parsed("event", text) for text in _EVENTS]
    return {entry["name"]: "0x" + event_abi_to_log_topic(entry).hex() for entry in entries}


@cache
def _names() -> dict[str, str]:
    return {value: name for name, value in _topics().items()}


@cache
def _reverts() -> dict[str, str]:
    from eth_utils.crypto import keccak

    return {"0x" + keccak(text=text)[:4].hex(): text.partition("(")[0] for text in _REVERTS}


def _parsed(kind: str, text: str) -> Any:
    """Return a signature as an entry of a JSON interface."""
    name, _, arguments = text.removesuffix(")").partition("(")
    inputs = [_argument(part) for part in arguments.split(",") if part]
    if kind == "event":
        inputs = [{"indexed": False} | argument for argument in inputs]
        return {"type": kind, "name": name, "inputs": inputs, "anonymous": False}
    return {
        "type": kind,
        "name": name,
        "inputs": inputs,
        "outputs": [],
        "stateMutability": "nonpayable",
    }


def _argument(text: str) -> dict[str, Any]:
    kind, _, name = text.partition(" ")
    known = {
        "trade": _TRADE_FIELDS,
        "builder": "address builder,uint32 builderFee",
        "pending": "uint256 block,uint192 wantedPrice,uint32 slippageP,trade trade,uint16 percentage",
    }
    argument: dict[str, Any] = {"name": name.lstrip("!"), "type": kind}
    if kind in known:
        parts = [_argument(part) for part in known[kind].split(",")]
        argument |= {"type": "tuple", "components": parts}
    if name.startswith("!"):
        argument["indexed"] = True
    return argument
