"""Ostium's adapter keeps the promises of every adapter on a real EVM, where the test is the keeper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from eth_account import Account

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.trade import OrderSpec, VenueAccount
from agentwhere_core.venues.ostium import Ostium, OstiumChain
from agentwhere_core.venues.ostium.signing import entry_call
from agentwhere_sim.testing import Simulator
from tests.core.wires import client, relay
from tests.venues import anvil
from tests.venues.anvil import Evm
from tests.venues.bench import DEPOSIT, Bench, Holding, Sized
from tests.venues.conformance import Conformance
from tests.venues.evm_desk import EvmDesk
from tests.venues.test_ostium import expired

KEY = "0x" + "61" * 32
ADDRESS = Account.from_key(KEY).address
RICH_KEY = "0x" + "62" * 32
RICH = Account.from_key(RICH_KEY).address
FORTUNE = 10**9


@dataclass
class EvmBench(Bench):
    """An account at the compiled contracts; faults happen on the wire to the node."""

    desk: EvmDesk = field(kw_only=True)

    def entries_at_venue(self) -> list[dict[str, Any]]:
        return [{"id": order_id} for order_id in self.desk.history().opened]

    def fault_at_orders(self, kind: str) -> None:
        self.desk.fault(kind)

    def spoil_reads(self) -> None:
        super().spoil_reads()
        self.desk.is_spoilt = True


@dataclass
class EvmReferee:
    """The compiled contract, asked whether it would take this very call."""

    evm: Evm

    def refusal(self, specs: Sequence[OrderSpec]) -> str | None:
        data, _ = entry_call(specs[0], specs[1:], RICH)
        call = {"from": RICH, "to": self.evm.ostium, "data": data}
        try:
            self.evm.ask("eth_call", call, "latest")
        except RuntimeError as error:
            return str(error)
        return None


@pytest.fixture(scope="module")
def chain() -> Iterator[Evm]:
    """A chain with the contracts deployed; skipped, and said so, where the tools are not."""
    anvil.require_tools()
    with anvil.running() as evm:
        evm.fund(RICH, FORTUNE)
        evm.call("Dollar", "approve", evm.ostium, FORTUNE * 10**6, key=RICH_KEY)
        yield evm


@pytest.fixture
def bench(sim: Simulator, chain: Evm) -> Iterator[Bench]:
    snapshot = chain.ask("evm_snapshot")
    chain.fund(ADDRESS, int(DEPOSIT))
    desk = EvmDesk(chain, sim)
    account = VenueAccount(UUID(int=1), UUID(int=2), Venue.OSTIUM, ADDRESS, ADDRESS, "key")
    with ExitStack() as stack:
        url = stack.enter_context(relay(desk.answer))
        at = OstiumChain(f"{url}/rpc", f"{url}/subgraph", 31_337, chain.ostium)
        venue = Ostium(
            stack.enter_context(client("ostium")),
            data_url=f"{sim.url}/ostium",
            subgraph_url=f"{sim.url}/ostium/subgraph",
            chain=at,
            receipt_wait_s=4.0,
        )
        bench = EvmBench(
            sim=sim,
            venue=venue,
            account=account,
            key=KEY,
            writes="ostium",
            reads="ostium",
            order="eth_sendRawTransaction",
            token="XAU",
            expired=expired,
            refusal=EvmReferee(chain).refusal,
            sized=Sized.IN_DOLLARS,
            holding=Holding.AT_CLOSE,
            desk=desk,
        )
        bench.move_price(Decimal(1))
        bench.set_leverage(1)
        yield bench
    chain.ask("evm_revert", snapshot)


class TestOstiumOnAnEvm(Conformance):
    """All promises but one, at Ostium's double."""

    triples = 500

    @pytest.mark.skip(reason="the double of the contracts charges nothing for holding a position")
    def test_what_holding_costs_and_deposits_are_cash_flows(self, bench: Bench) -> None:
        """Kept by the simulated chain only."""
