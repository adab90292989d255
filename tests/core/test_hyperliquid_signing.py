"""What we sign for Hyperliquid is byte for byte what the official SDK signs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from eth_account import Account
from hyperliquid.exchange import Exchange
from hyperliquid.utils.signing import recover_agent_or_user_from_l1_action
from hyperliquid.utils.types import Cloid

from agentwhere_core.domain.enums import OrderPurpose, OrderSide, Venue
from agentwhere_core.domain.errors import ConfigurationError, InvariantError
from agentwhere_core.domain.time import to_ms
from agentwhere_core.domain.trade import OrderSpec, VenueAccount
from agentwhere_core.venues.hyperliquid import Hyperliquid
from tests.core.examples import market
from tests.core.wires import client, wire

KEY = "0x" + "42" * 32
ADDRESS = Account.from_key(KEY).address
ACCOUNT = VenueAccount(UUID(int=1), UUID(int=2), Venue.HYPERLIQUID, ADDRESS, ADDRESS, "DESK_KEY")


def sdk_body(send: Any) -> dict[str, Any]:
    """Return the request body that the official SDK, unmodified, posts."""
    meta = {"universe": [{"name": "BTC", "szDecimals": 5}, {"name": "ETH", "szDecimals": 4}]}
    with wire({"status": "ok"}) as served:
        exchange = Exchange(
            Account.from_key(KEY),
            served.url,
            meta=meta,
            spot_meta={"universe": [], "tokens": []},
            timeout=5,
        )
        exchange.set_expires_after(1_800_000_000_000)
        send(exchange)
        exchange.session.close()
        exchange.info.session.close()
        return json.loads(served.received[0])  # type: ignore[no-any-return]


DEADLINE = datetime.fromtimestamp(1_800_000_000, UTC)
CLOID = Cloid.from_int(4711)


def order_spec(**changes: Any) -> OrderSpec:
    return replace(
        OrderSpec(
            client_id=CLOID.to_raw(),
            purpose=OrderPurpose.ENTRY,
            market_name="ETH",
            market_index=1,
            side=OrderSide.BUY,
            size=Decimal("0.0147"),
            limit_price=Decimal("1670.1"),
            trigger_price=None,
            reduce_only=False,
        ),
        **changes,
    )


def offline(*, is_mainnet: bool = False) -> Hyperliquid:
    with client() as http:
        return Hyperliquid(http, data_url="", trade_url="", is_mainnet=is_mainnet)


def test_an_order_is_byte_for_byte_what_the_official_sdk_signs() -> None:
    body = sdk_body(
        lambda sdk: sdk.order("ETH", True, 0.0147, 1670.1, {"limit": {"tif": "Ioc"}}, cloid=CLOID)
    )
    ours = offline().sign_orders([order_spec()], ACCOUNT, KEY, body["nonce"], DEADLINE)
    assert json.dumps(json.loads(ours)) == json.dumps(body)


def test_a_protected_entry_is_byte_for_byte_what_the_official_sdk_signs() -> None:
    requests = [
        {"coin": "ETH", "is_buy": True, "sz": 0.0147, "limit_px": 1670.1, "reduce_only": False}
        | {"order_type": {"limit": {"tif": "Ioc"}}, "cloid": CLOID},
        {"coin": "ETH", "is_buy": False, "sz": 0.0147, "limit_px": 1500.0, "reduce_only": True}
        | {
            "order_type": {"trigger": {"triggerPx": 1600.0, "isMarket": True, "tpsl": "sl"}},
            "cloid": CLOID,
        },
    ]
    body = sdk_body(lambda sdk: sdk.bulk_orders(requests, grouping="normalTpsl"))
    stop = order_spec(
        purpose=OrderPurpose.STOP_LOSS,
        side=OrderSide.SELL,
        limit_price=Decimal("1500.0"),
        trigger_price=Decimal(1600),
        reduce_only=True,
    )
    ours = offline().sign_orders([order_spec(), stop], ACCOUNT, KEY, body["nonce"], DEADLINE)
    assert json.dumps(json.loads(ours)) == json.dumps(body)


def test_cancels_and_leverage_are_byte_for_byte_what_the_official_sdk_signs() -> None:
    cancel = sdk_body(lambda sdk: sdk.cancel_by_cloid("ETH", CLOID))
    ours = offline().sign_cancel([order_spec()], ACCOUNT, KEY, cancel["nonce"], DEADLINE)
    assert json.dumps(json.loads(ours)) == json.dumps(cancel)
    leverage = sdk_body(lambda sdk: sdk.update_leverage(7, "BTC"))
    ours = offline().sign_leverage(market(), 7, ACCOUNT, KEY, leverage["nonce"], DEADLINE)
    assert json.dumps(json.loads(ours)) == json.dumps(leverage)


@pytest.mark.parametrize("is_mainnet", [False, True])
def test_the_signature_is_the_signers_on_its_own_chain_only(is_mainnet: bool) -> None:
    payload = offline(is_mainnet=is_mainnet).sign_orders(
        [order_spec()], ACCOUNT, KEY, 1_700_000_000_000, DEADLINE
    )
    body = json.loads(payload)

    def recovered(chain: bool) -> str:
        return str(
            recover_agent_or_user_from_l1_action(
                body["action"], body["signature"], None, body["nonce"], to_ms(DEADLINE), chain
            )
        )

    assert recovered(is_mainnet) == ADDRESS
    assert recovered(not is_mainnet) != ADDRESS


def test_a_key_of_somebody_else_signs_nothing() -> None:
    other = "0x" + "43" * 32
    with pytest.raises(ConfigurationError, match="DESK_KEY belongs to"):
        offline().sign_orders([order_spec()], ACCOUNT, other, 1, DEADLINE)
    with pytest.raises(ConfigurationError, match="no private key") as caught:
        offline().sign_orders([order_spec()], ACCOUNT, "hunter2", 1, DEADLINE)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "specs",
    [
        [],
        [order_spec(client_id="0x12")],
        [order_spec(size=Decimal("0.0000000001"))],
        [order_spec(trigger_price=Decimal(1600))],
    ],
)
def test_what_cannot_be_a_valid_request_is_never_signed(specs: list[OrderSpec]) -> None:
    with pytest.raises(InvariantError):
        offline().sign_orders(specs, ACCOUNT, KEY, 1, DEADLINE)
