"""Lighter's adapter keeps the promises of every adapter."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.time import to_ms
from agentwhere_core.domain.trade import OrderSpec, VenueAccount
from agentwhere_core.venues.lighter import TESTNET_CHAIN_ID, Lighter
from agentwhere_core.venues.lighter.signer import new_api_key
from agentwhere_core.venues.lighter.transactions import wire_order
from agentwhere_sim.lighter import transactions as sim_transactions
from agentwhere_sim.lighter.refusals import RefusalError
from agentwhere_sim.lighter.sequencer import check_amounts
from agentwhere_sim.testing import Simulator
from agentwhere_sim.universe import lighter_by_id
from tests.core.wires import client
from tests.venues.bench import DEPOSIT, Bench, now
from tests.venues.conformance import Conformance

WALLET = "0x" + "51" * 20
NO_SIGNATURE = base64.b64encode(bytes(80)).decode()
PRIVATE_KEY, PUBLIC_KEY = new_api_key()


def expired(bench: Bench, specs: Sequence[OrderSpec]) -> bytes:
    """The signer gives every transaction ten minutes, so its text is changed; signatures are not checked here."""
    past = str(to_ms(now() - timedelta(seconds=30))).encode()
    return re.sub(rb"(ExpiredAt%22%3A)\d+", rb"\g<1>" + past, bench.sign(specs))


def refusal(specs: Sequence[OrderSpec]) -> str | None:
    return next((why for why in map(refusal_of_one, specs) if why), None)


def refusal_of_one(spec: OrderSpec) -> str | None:
    """Ask the simulated venue's own reading of a transaction and its checks of amounts."""
    order = wire_order(spec, now())
    info = {
        "AccountIndex": 7,
        "ApiKeyIndex": 4,
        "MarketIndex": order.market_index,
        "ClientOrderIndex": order.client_order_index,
        "BaseAmount": order.base_amount,
        "Price": order.price,
        "IsAsk": int(order.is_ask),
        "Type": order.type,
        "TimeInForce": order.time_in_force,
        "ReduceOnly": int(order.reduce_only),
        "TriggerPrice": order.trigger_price,
        "OrderExpiry": order.expires_ms,
        "ExpiredAt": to_ms(now()),
        "Nonce": 1,
        "Sig": NO_SIGNATURE,
    }
    try:
        read = sim_transactions.read(sim_transactions.CREATE_ORDER, json.dumps(info))
        check_amounts(read.orders[0], lighter_by_id()[order.market_index])
    except RefusalError as error:
        return str(error)
    return None


@pytest.fixture
def bench(sim: Simulator) -> Iterator[Bench]:
    wish = {"venue": "LIGHTER", "address": WALLET, "usdc": str(DEPOSIT)}
    funded = sim.control("accounts", **wish, api_key_index=4, public_key=PUBLIC_KEY)
    index = funded["account_index"]
    account = VenueAccount(UUID(int=1), UUID(int=2), Venue.LIGHTER, str(index), f"{index}:4", "key")
    url = f"{sim.url}/lighter"
    with client("lighter") as http:
        yield Bench(
            sim=sim,
            venue=Lighter(
                http,
                data_url=url,
                trade_url=url,
                chain_id=TESTNET_CHAIN_ID,
                keys=lambda _account: PRIVATE_KEY,
            ),
            account=account,
            key=PRIVATE_KEY,
            writes="lighter",
            reads="lighter",
            order="OrderExpiry",
            token="BTC",
            expired=expired,
            refusal=refusal,
        )


class TestLighter(Conformance):
    """All promises, at Lighter."""

    def test_leverage_that_stands_is_not_set_again(self, bench: Bench) -> None:
        """The venue takes few such transactions a minute; one that is lost is sent again."""

        def sign(leverage: int) -> bytes | None:
            return bench.venue.sign_leverage(
                bench.market,
                leverage,
                bench.account,
                bench.key,
                bench.next_nonce(),
                bench.deadline(),
            )

        bench.set_leverage(7)
        assert sign(7) is None
        assert sign(5) is not None
        bench.sim.fault("lighter", "sequencer_drop", match="InitialMarginFraction")
        bench.set_leverage(5)
        assert sign(5) is not None
        assert sign(7) is None
