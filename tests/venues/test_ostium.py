"""Ostium's adapter keeps the promises of every adapter, on the simulated chain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from eth_account import Account

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.trade import OrderSpec, VenueAccount
from agentwhere_core.venues.ostium import Ostium
from agentwhere_core.venues.ostium.signing import entry_call
from agentwhere_sim.ostium import abi
from agentwhere_sim.ostium.book import Book
from agentwhere_sim.ostium.chain import Chain
from agentwhere_sim.ostium.contracts import Context, Contracts
from agentwhere_sim.testing import Simulator
from agentwhere_sim.world import World
from tests.core.ostium_desk import sim_chain
from tests.core.wires import client
from tests.venues.bench import DEPOSIT, Bench, Holding, Sized, now
from tests.venues.conformance import Conformance

KEY = "0x" + "51" * 32
ADDRESS = Account.from_key(KEY).address


@dataclass
class OstiumBench(Bench):
    """An account at the contracts, simulated or compiled."""

    def entries_at_venue(self) -> list[dict[str, Any]]:
        query = {"venue": "OSTIUM", "address": self.account.address}
        accepted = self.sim.http.get("/control/orders", params=query).json()["orders"]
        return [order for order in accepted if order["action"] == "Open"]


def expired(bench: Bench, specs: Sequence[OrderSpec]) -> bytes:
    """Bytes whose nonce something else has used: the only end that a transaction has."""
    payload = bench.sign(specs)
    ending = bench.venue.sign_abort(bench.account, bench.key, payload)
    assert ending is not None
    bench.venue.send(ending, [], now())
    return payload


@dataclass
class Referee:
    """The simulated contracts alone, asked whether they would take this very call."""

    world: World

    def __post_init__(self) -> None:
        self.chain = Chain(self.world)
        self.contracts = Contracts(self.world, self.chain, Book(self.world.db))
        self.trader = ADDRESS.lower()
        self.chain.change(self.trader, usdc=10**15, allowance=10**15)

    def refusal(self, specs: Sequence[OrderSpec]) -> str | None:
        data, _ = entry_call(specs[0], specs[1:], ADDRESS)
        context = Context(self.trader, self.chain.block() + 1, "0x")
        with suppress(UndoneError), self.world.db.transaction():
            try:
                self.contracts.execute(abi.TRADING, data, context)
            except abi.RevertError as revert:
                return str(revert)
            raise UndoneError
        return None


class UndoneError(Exception):
    """Ends a trial so that nothing of it remains."""


@pytest.fixture(scope="module")
def referee(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Referee]:
    world = World(tmp_path_factory.mktemp("referee"), seed=7)
    yield Referee(world)
    world.close()


@pytest.fixture
def bench(sim: Simulator, referee: Referee) -> Iterator[Bench]:
    sim.control("accounts", venue="OSTIUM", address=ADDRESS, usdc=str(DEPOSIT))
    account = VenueAccount(UUID(int=1), UUID(int=2), Venue.OSTIUM, ADDRESS, ADDRESS, "key")
    with client("ostium") as http:
        bench = OstiumBench(
            sim=sim,
            venue=Ostium(
                http,
                data_url=f"{sim.url}/ostium",
                subgraph_url=f"{sim.url}/ostium/subgraph",
                chain=sim_chain(sim.url),
                receipt_wait_s=4.0,
            ),
            account=account,
            key=KEY,
            writes="ostium",
            reads="ostium",
            order="eth_sendRawTransaction",
            token="XAU",
            expired=expired,
            refusal=referee.refusal,
            sized=Sized.IN_DOLLARS,
            holding=Holding.AT_CLOSE,
        )
        bench.set_leverage(1)
        yield bench


class TestOstium(Conformance):
    """All promises, at Ostium."""
