"""What is signed and sent: the exact bytes of a request to ``/exchange``.

The order of keys is part of what is hashed, and so is the way a number is written. Hashing and signing are the official
SDK's; only its conversion of floats is replaced by `rules.wire_number`. Nothing here sends anything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from agentwhere_core.domain.enums import OrderPurpose, OrderSide, Venue
from agentwhere_core.domain.errors import ConfigurationError, InvariantError
from agentwhere_core.domain.time import to_ms
from agentwhere_core.domain.trade import OrderSpec, VenueAccount
from agentwhere_core.venues.hyperliquid.rules import wire_number

Action = dict[str, Any]

_CLIENT_ID_LENGTH = len("0x") + 32


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs a request, for which account, under which nonce, and until when the venue may act on it."""

    account: VenueAccount
    key: str = field(repr=False)
    nonce: int
    deadline: datetime


def order_action(specs: Sequence[OrderSpec]) -> Action:
    """Return the action that places ``specs``.

    An entry followed by triggers is grouped so that the venue arms them when the entry fills (``normalTpsl``). All else
    is not grouped: protection of a position that exists has the size that the ledger says, not whatever the
    position becomes (``positionTpsl``).

    Raises
    ------
    InvariantError
        If there is nothing to place, a client id is malformed, or a number would have to be rounded.
    """
    if not specs:
        raise InvariantError("an order request needs at least one order")
    protects = [spec.trigger_price is not None for spec in specs]
    is_protected_entry = len(specs) > 1 and not protects[0] and all(protects[1:])
    grouping = "normalTpsl" if is_protected_entry else "na"
    return {"type": "order", "orders": [_order(spec) for spec in specs], "grouping": grouping}


def cancel_action(specs: Sequence[OrderSpec]) -> Action:
    """Return the action that cancels ``specs`` by client id."""
    if not specs:
        raise InvariantError("a cancel request needs at least one order")
    cancels = [{"asset": s.market_index, "cloid": _client_id(s.client_id)} for s in specs]
    return {"type": "cancelByCloid", "cancels": cancels}


def leverage_action(asset: int, leverage: int, *, is_cross: bool) -> Action:
    """Return the action that sets the leverage of an asset."""
    return {"type": "updateLeverage", "asset": asset, "isCross": is_cross, "leverage": leverage}


def noop_action() -> Action:
    """Return the action that does nothing but use up its nonce: proof that no other request under it can land."""
    return {"type": "noop"}


def signed(action: Action, authority: Authority, *, is_mainnet: bool) -> bytes:
    """Return the request body for ``action``, signed.

    Raises
    ------
    ConfigurationError
        If the key is no private key, or not that of the account's signer; the message never holds the key.
    """
    from eth_account import Account
    from hyperliquid.utils.signing import sign_l1_action

    account, expires_after = authority.account, to_ms(authority.deadline)
    if account.venue is not Venue.HYPERLIQUID:
        raise ConfigurationError(f"account {account.id} is on {account.venue}, not on Hyperliquid")
    try:
        wallet = Account.from_key(authority.key)
    except (ValueError, TypeError):
        raise ConfigurationError(
            f"the key {account.key_name} is no private key; store 32 bytes in hex under that name"
        ) from None
    if wallet.address.lower() != account.signer_address.lower():
        raise ConfigurationError(
            f"the key {account.key_name} belongs to {wallet.address}, but the account's signer is "
            f"{account.signer_address}; correct the one or the other"
        )
    signature = sign_l1_action(wallet, action, None, authority.nonce, expires_after, is_mainnet)
    body = {
        "action": action,
        "nonce": authority.nonce,
        "signature": signature,
        "vaultAddress": None,
        "expiresAfter": expires_after,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def sizes_in(payload: bytes) -> dict[str, Decimal]:
    """Return the size asked for by client id, in the order of a signed request for orders; empty for other actions."""
    action = json.loads(payload)["action"]
    return {order["c"]: Decimal(order["s"]) for order in action.get("orders", ())}


def _order(spec: OrderSpec) -> Action:
    return {
        "a": spec.market_index,
        "b": spec.side is OrderSide.BUY,
        "p": wire_number(spec.limit_price),
        "s": wire_number(spec.size),
        "r": spec.reduce_only,
        "t": _kind(spec),
        "c": _client_id(spec.client_id),
    }


def _kind(spec: OrderSpec) -> Action:
    if spec.trigger_price is None:
        return {"limit": {"tif": "Ioc"}}
    if spec.purpose not in (OrderPurpose.TAKE_PROFIT, OrderPurpose.STOP_LOSS):
        raise InvariantError(
            f"order {spec.client_id} has a trigger, but its purpose is {spec.purpose}"
        )
    return {
        "trigger": {
            "isMarket": True,
            "triggerPx": wire_number(spec.trigger_price),
            "tpsl": "tp" if spec.purpose is OrderPurpose.TAKE_PROFIT else "sl",
        }
    }


def _client_id(value: str) -> str:
    try:
        is_valid = (
            len(value) == _CLIENT_ID_LENGTH and value.startswith("0x") and int(value, 16) >= 0
        )
    except ValueError:
        is_valid = False
    if not is_valid:
        raise InvariantError(f"{value!r} is no Hyperliquid client id: 0x and 32 hex digits")
    return value
