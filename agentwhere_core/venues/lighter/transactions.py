"""What is signed and sent: the exact form that goes to ``sendTx`` or ``sendTxBatch``.

An entry and its protection go as one group: type 28, grouping 1 (the entry and one trigger) or 3 (the entry, and a take
profit and a stop loss of which one cancels the other). Children of a group have no amount of their own: they
close the whole position, whatever it is by then, and go when it goes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from agentwhere_core.domain.enums import OrderPurpose, OrderSide, Venue
from agentwhere_core.domain.errors import ConfigurationError, InvariantError
from agentwhere_core.domain.time import to_ms
from agentwhere_core.domain.trade import OrderSpec, VenueAccount
from agentwhere_core.venues.lighter import rules
from agentwhere_core.venues.lighter.signer import ApiKey, SignedTx, Signer, WireOrder

MARKET_ORDER, STOP_LOSS, TAKE_PROFIT = 1, 2, 4
TRIGGERS_ONE, CANCELS_ONE, TRIGGERS_A_PAIR = 1, 2, 3
IMMEDIATE = 0
MAX_CLIENT_INDEX: Final = 2**48 - 1

_MARGIN_UNIT = 10_000
_WAITS_FOR_ITS_TRIGGER = timedelta(days=28)
_TYPES = {OrderPurpose.TAKE_PROFIT: TAKE_PROFIT, OrderPurpose.STOP_LOSS: STOP_LOSS}


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs a request, under which nonce, and until when the venue may act on it."""

    account: VenueAccount
    key: str = field(repr=False)
    nonce: int
    deadline: datetime


def api_key_of(account: VenueAccount) -> ApiKey:
    """Return account and key index of an account whose signer is called ``<account index>:<API key index>``.

    Raises
    ------
    ConfigurationError
        If it is called anything else.
    """
    owner, _, key = account.signer_address.partition(":")
    if account.venue is not Venue.LIGHTER or not (owner.isdigit() and key.isdigit()):
        raise ConfigurationError(
            f"account {account.id} cannot sign on Lighter: its signer is {account.signer_address!r}, expected "
            "'<account index>:<API key index>', for example 123456:4"
        )
    if owner != account.address:
        raise ConfigurationError(
            f"Lighter account {account.address} cannot be signed for by a key of account {owner}"
        )
    return ApiKey(int(owner), int(key))


def signed_orders(signer: Signer, specs: Sequence[OrderSpec], authority: Authority) -> bytes:
    """Return the form that places ``specs``: one order, an entry with its protection, or a take profit with its stop.

    Raises
    ------
    InvariantError
        If there is nothing to place, or the orders do not belong together.
    """
    if not specs:
        raise InvariantError("an order request needs at least one order")
    key = _learned(signer, authority)
    orders = [wire_order(spec, authority.deadline) for spec in specs]
    grouping = _grouping(orders)
    if grouping == 0:
        return _form([signer.order(key, orders[0], authority.nonce)], authority)
    if grouping != CANCELS_ONE:
        # The venue demands that what an order triggers has no amount: it belongs to the position.
        orders[1:] = [_tied(order) for order in orders[1:]]
    return _form([signer.group(key, grouping, orders, authority.nonce)], authority)


def signed_cancel(signer: Signer, specs: Sequence[OrderSpec], authority: Authority) -> bytes:
    """Return the form that cancels ``specs``, under as many nonces in a row as there are orders."""
    if not specs:
        raise InvariantError("a cancel request needs at least one order")
    key = _learned(signer, authority)
    signed = [
        signer.cancel(key, spec.market_index, client_index(spec.client_id), authority.nonce + place)
        for place, spec in enumerate(specs)
    ]
    return _form(signed, authority)


def signed_leverage(
    signer: Signer, market_index: int, leverage: int, authority: Authority
) -> bytes:
    """Return the form that sets the leverage; where it is no whole fraction, a little less than asked for."""
    fraction = (Decimal(_MARGIN_UNIT) / leverage).to_integral_value(ROUND_CEILING)
    key = _learned(signer, authority)
    return _form([signer.leverage(key, market_index, int(fraction), authority.nonce)], authority)


def wire_order(spec: OrderSpec, deadline: datetime) -> WireOrder:
    """Return an order in the whole numbers of its market; a trigger is waited for until 28 days after ``deadline``.

    Raises
    ------
    InvariantError
        If a number would have to be rounded or does not fit, or the client id is none.
    """
    trigger = spec.trigger_price
    if trigger is not None and spec.purpose not in _TYPES:
        raise InvariantError(f"an order for {spec.purpose} has no trigger at Lighter")
    decimals = spec.price_decimals
    return WireOrder(
        market_index=spec.market_index,
        client_order_index=client_index(spec.client_id),
        base_amount=rules.whole(spec.size, spec.size_decimals, rules.MAX_AMOUNT, "size"),
        price=rules.whole(spec.limit_price, decimals, rules.MAX_PRICE, "limit price"),
        is_ask=spec.side is OrderSide.SELL,
        type=MARKET_ORDER if trigger is None else _TYPES[spec.purpose],
        time_in_force=IMMEDIATE,
        reduce_only=spec.reduce_only,
        trigger_price=0
        if trigger is None
        else rules.whole(trigger, decimals, rules.MAX_PRICE, "trigger price"),
        expires_ms=0 if trigger is None else to_ms(deadline + _WAITS_FOR_ITS_TRIGGER),
    )


def transactions_in(payload: bytes) -> list[Mapping[str, Any]]:
    """Return what the transactions of a form say, in order.

    Raises
    ------
    InvariantError
        If it is no form of ours.
    """
    form = dict(parse_qsl(payload.decode()))
    try:
        texts = json.loads(form["tx_infos"]) if "tx_infos" in form else [form["tx_info"]]
        return [json.loads(text) for text in texts]
    except (KeyError, ValueError, TypeError):
        raise InvariantError("the payload that was stored holds no transaction") from None


def leverage_in(info: str, market_index: int) -> int | None:
    """Return the margin fraction that a transaction sets for a market, None if it is about anything else."""
    try:
        told = json.loads(info)
    except ValueError:
        return None
    if not isinstance(told, dict) or told.get("MarketIndex") != market_index:
        return None
    fraction = told.get("InitialMarginFraction")
    return fraction if isinstance(fraction, int) else None


def is_batch(payload: bytes) -> bool:
    """Tell whether a form holds several transactions."""
    return payload.startswith(b"tx_types=")


def client_index(client_id: str) -> int:
    """Return a client id as the number that it is here.

    Raises
    ------
    InvariantError
        If it is none.
    """
    if not client_id.isdigit() or not 0 < int(client_id) <= MAX_CLIENT_INDEX:
        raise InvariantError(f"client id {client_id!r} is no whole number below 2^48")
    return int(client_id)


def _learned(signer: Signer, authority: Authority) -> ApiKey:
    key = api_key_of(authority.account)
    signer.learn(key, authority.key)
    return key


def _grouping(orders: Sequence[WireOrder]) -> int:
    triggers = [order.trigger_price != 0 for order in orders]
    match triggers:
        case [_]:
            return 0
        case [False, True]:
            return TRIGGERS_ONE
        case [True, True]:
            return CANCELS_ONE
        case [False, True, True]:
            return TRIGGERS_A_PAIR
    raise InvariantError(f"Lighter has no group of {len(orders)} orders with triggers {triggers}")


def _tied(order: WireOrder) -> WireOrder:
    return replace(order, base_amount=0)


def _form(signed: Sequence[SignedTx], authority: Authority) -> bytes:
    latest_ms = max(int(json.loads(one.info)["ExpiredAt"]) for one in signed)
    if latest_ms > to_ms(authority.deadline):
        raise InvariantError(
            f"Lighter's signer lets the request live until {latest_ms} ms, longer than its deadline "
            f"{authority.deadline.isoformat()}: take the deadline from the adapter, and check this machine's clock"
        )
    if len(signed) == 1:
        return urlencode({"tx_type": signed[0].type, "tx_info": signed[0].info}).encode()
    types = json.dumps([one.type for one in signed])
    infos = json.dumps([one.info for one in signed])
    return urlencode({"tx_types": types, "tx_infos": infos}).encode()
