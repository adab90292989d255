"""Hyperliquid's adapter keeps the promises of every adapter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from eth_account import Account

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.trade import OrderSpec, VenueAccount
from agentwhere_core.venues.hyperliquid import Hyperliquid
from agentwhere_sim.hyperliquid import rules
from agentwhere_sim.testing import Simulator
from agentwhere_sim.universe import hyperliquid_markets
from tests.core.wires import client
from tests.venues.bench import DEPOSIT, Bench, now
from tests.venues.conformance import Conformance

KEY = "0x" + "51" * 32
ADDRESS = Account.from_key(KEY).address


def expired(bench: Bench, specs: Sequence[OrderSpec]) -> bytes:
    return bench.sign(specs, now() - timedelta(seconds=30))


def refusal(specs: Sequence[OrderSpec]) -> str | None:
    return next((why for why in map(refusal_of_one, specs) if why), None)


def refusal_of_one(spec: OrderSpec) -> str | None:
    decimals = hyperliquid_markets()[spec.market_index].sz_decimals
    for price in (spec.limit_price, spec.trigger_price):
        if price is not None and not (price > 0 and rules.on_tick(price, decimals)):
            return f"{price} is not on the tick"
    if not (spec.size > 0 and rules.on_lot(spec.size, decimals)):
        return f"{spec.size} is not on the lot"
    too_small = spec.size * spec.limit_price < Decimal(rules.MIN_NOTIONAL_USD)
    return "too small" if too_small and not spec.reduce_only else None


@pytest.fixture
def bench(sim: Simulator) -> Iterator[Bench]:
    sim.control("accounts", venue="HYPERLIQUID", address=ADDRESS, usdc=str(DEPOSIT))
    url = f"{sim.url}/hyperliquid"
    account = VenueAccount(UUID(int=1), UUID(int=2), Venue.HYPERLIQUID, ADDRESS, ADDRESS, "key")
    with client() as http:
        yield Bench(
            sim=sim,
            venue=Hyperliquid(http, data_url=url, trade_url=url, is_mainnet=False),
            account=account,
            key=KEY,
            writes="hyperliquid.exchange",
            reads="hyperliquid.info",
            order='"type":"order"',
            token="BTC",
            expired=expired,
            refusal=refusal,
        )


class TestHyperliquid(Conformance):
    """All promises, at Hyperliquid."""
