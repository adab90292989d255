"""Read ``tx_info``: strictly, because its signature cannot be checked here.

Names, types, ranges and the combinations that a transaction may have, as the venue's signing library demands them
(github.com/elliottech/lighter-go, ``types/txtypes``). Prices and amounts are whole numbers, scaled by the market.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentwhere_sim.lighter import refusals
from agentwhere_sim.lighter.refusals import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CREATE_ORDER, CANCEL_ORDER, CANCEL_ALL, UPDATE_LEVERAGE, CREATE_GROUP = 14, 15, 16, 20, 28
LIMIT, MARKET, STOP_LOSS, STOP_LOSS_LIMIT, TAKE_PROFIT, TAKE_PROFIT_LIMIT = range(6)
IMMEDIATE, GOOD_TILL_TIME, POST_ONLY = range(3)
TRIGGERS_ONE, CANCELS_ONE, TRIGGERS_A_PAIR = 1, 2, 3
STOPS = (STOP_LOSS, STOP_LOSS_LIMIT)
TAKE_PROFITS = (TAKE_PROFIT, TAKE_PROFIT_LIMIT)
TRIGGERS = (*STOPS, *TAKE_PROFITS)

MAX_CLIENT_INDEX = 2**48 - 1
_MAX_AMOUNT = 2**48 - 1
_MAX_PRICE = 2**32 - 1
_MAX_TIME = 2**48 - 1
_FIRST_KEY, _LAST_KEY = 4, 254
_SIGNATURE_BYTES = 80

_COMMON = ("AccountIndex", "ApiKeyIndex", "ExpiredAt", "Nonce", "Sig", "L2TxAttributes")
_ORDER = (
    "MarketIndex",
    "ClientOrderIndex",
    "BaseAmount",
    "Price",
    "IsAsk",
    "Type",
    "TimeInForce",
    "ReduceOnly",
    "TriggerPrice",
    "OrderExpiry",
)
_NAMES: Mapping[int, tuple[str, ...]] = {
    CREATE_ORDER: _ORDER,
    CANCEL_ORDER: ("MarketIndex", "Index"),
    CANCEL_ALL: ("TimeInForce", "Time"),
    UPDATE_LEVERAGE: ("MarketIndex", "InitialMarginFraction", "MarginMode"),
    CREATE_GROUP: ("GroupingType", "Orders"),
}


@dataclass(frozen=True, slots=True)
class OrderInfo:
    """One order as a client asked for it, in the market's whole numbers."""

    market_id: int
    client_index: int
    base_amount: int
    price: int
    is_ask: bool
    type: int
    tif: int
    reduce_only: bool
    trigger_price: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class TxInfo:
    """A transaction that is well formed: who asks under which nonce until when, and for what."""

    type: int
    account_index: int
    key_index: int
    nonce: int
    expires_ms: int
    grouping: int
    orders: tuple[OrderInfo, ...]
    details: Mapping[str, int]


def read(tx_type: int, text: str) -> TxInfo:
    """Read the text of a transaction.

    Raises
    ------
    RefusalError
        If anything about it is not as the venue demands.
    """
    if tx_type not in _NAMES:
        raise RefusalError(refusals.INVALID_PARAMETER, f"unsupported tx type {tx_type}")
    try:
        info = json.loads(text)
    except ValueError:
        info = None
    if not isinstance(info, dict):
        raise RefusalError(refusals.INVALID_PARAMETER, "invalid tx info")
    unexpected = info.keys() ^ {*_COMMON, *_NAMES[tx_type]}
    if unexpected - {"L2TxAttributes"}:
        raise RefusalError(
            refusals.INVALID_PARAMETER,
            f"missing or unknown fields: {', '.join(sorted(unexpected))}",
        )
    _check_signature(info["Sig"])
    orders: tuple[OrderInfo, ...] = ()
    grouping = 0
    if tx_type == CREATE_ORDER:
        orders = (_order(info),)
        _check_kind(orders[0])
    elif tx_type == CREATE_GROUP:
        grouping = _whole(info, "GroupingType", 1, TRIGGERS_A_PAIR)
        orders = _group(grouping, info["Orders"])
    return TxInfo(
        type=tx_type,
        account_index=_whole(info, "AccountIndex", 0, 2**48 - 2),
        key_index=_whole(info, "ApiKeyIndex", _FIRST_KEY, _LAST_KEY),
        nonce=_whole(info, "Nonce", 0, 2**48 - 1),
        expires_ms=_whole(info, "ExpiredAt", 0, _MAX_TIME),
        grouping=grouping,
        orders=orders,
        details={
            name: _whole(info, name, 0, 2**60)
            for name in _NAMES[tx_type]
            if tx_type in (CANCEL_ORDER, CANCEL_ALL, UPDATE_LEVERAGE)
        },
    )


def _check_signature(signature: Any) -> None:
    try:
        size = len(base64.b64decode(signature, validate=True))
    except (binascii.Error, TypeError, ValueError):
        size = 0
    if size != _SIGNATURE_BYTES:
        raise RefusalError(refusals.INVALID_SIGNATURE, "invalid signature")


def _order(info: Any) -> OrderInfo:
    if not isinstance(info, dict):
        raise RefusalError(refusals.INVALID_PARAMETER, "invalid order")
    reduce_only = _whole(info, "ReduceOnly", 0, 1) == 1
    return OrderInfo(
        market_id=_whole(info, "MarketIndex", 0, 254),
        client_index=_whole(info, "ClientOrderIndex", 0, MAX_CLIENT_INDEX),
        base_amount=_whole(info, "BaseAmount", 0 if reduce_only else 1, _MAX_AMOUNT),
        price=_whole(info, "Price", 1, _MAX_PRICE),
        is_ask=_whole(info, "IsAsk", 0, 1) == 1,
        type=_whole(info, "Type", LIMIT, TAKE_PROFIT_LIMIT),
        tif=_whole(info, "TimeInForce", IMMEDIATE, POST_ONLY),
        reduce_only=reduce_only,
        trigger_price=_whole(info, "TriggerPrice", 0, _MAX_PRICE),
        expires_ms=_whole(info, "OrderExpiry", 0, 2**62),
    )


def _check_kind(order: OrderInfo) -> None:
    """Check that type, time in force, trigger and expiry go together."""
    is_trigger = order.type in TRIGGERS
    is_immediate = order.tif == IMMEDIATE
    if order.type in (MARKET, STOP_LOSS, TAKE_PROFIT) and not is_immediate:
        raise RefusalError(refusals.INVALID_ORDER, "OrderTimeInForce is invalid")
    if is_trigger != (order.trigger_price != 0):
        raise RefusalError(refusals.INVALID_ORDER, "OrderTriggerPrice is invalid")
    if (is_trigger or not is_immediate) != (order.expires_ms != 0):
        raise RefusalError(refusals.INVALID_ORDER, "OrderExpiry is invalid")


def _group(grouping: int, listed: Any) -> tuple[OrderInfo, ...]:
    """Read grouped orders: 1 is an order and what it triggers, 2 a pair, 3 an order that triggers a pair."""
    size = 3 if grouping == TRIGGERS_A_PAIR else 2
    if not isinstance(listed, list) or len(listed) != size:
        raise RefusalError(refusals.INVALID_ORDER, "order group size is invalid")
    if any(not isinstance(one, dict) or one.keys() != set(_ORDER) for one in listed):
        raise RefusalError(refusals.INVALID_PARAMETER, "missing or unknown fields in an order")
    orders = tuple(_order(one) for one in listed)
    for order in orders:
        _check_kind(order)
    named = [order.client_index for order in orders if order.client_index]
    if len(set(named)) != len(named):
        raise RefusalError(refusals.CLIENT_INDEX_IN_USE, "duplicate client order index")
    if len({order.market_id for order in orders}) != 1:
        raise RefusalError(refusals.INVALID_ORDER, "orders of a group must share a market")
    pair = orders if grouping == CANCELS_ONE else orders[1:]
    _check_pair(pair)
    if grouping != CANCELS_ONE:
        _check_parent(orders[0], pair)
    return orders


def _check_pair(pair: Sequence[OrderInfo]) -> None:
    """Check orders of which one cancels the other: reduce-only triggers, one of each kind, alike in all else."""
    if any(order.type not in TRIGGERS or not order.reduce_only for order in pair):
        raise RefusalError(refusals.INVALID_ORDER, "OrderType is invalid")
    alike = {(order.base_amount, order.is_ask, order.expires_ms) for order in pair}
    if len(alike) != 1 or len({order.type in STOPS for order in pair}) != len(pair):
        raise RefusalError(refusals.INVALID_ORDER, "orders of a pair do not match")


def _check_parent(parent: OrderInfo, children: Sequence[OrderInfo]) -> None:
    if parent.type not in (LIMIT, MARKET):
        raise RefusalError(refusals.INVALID_ORDER, "OrderType is invalid")
    if any(child.base_amount != 0 for child in children):
        raise RefusalError(refusals.INVALID_AMOUNT, "BaseAmount should be nil")
    if any(child.is_ask == parent.is_ask for child in children):
        raise RefusalError(refusals.INVALID_ORDER, "IsAsk is invalid")


def _whole(info: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = info[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise RefusalError(refusals.INVALID_PARAMETER, f"{name} is invalid: {value!r}")
    return value
