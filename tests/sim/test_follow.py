"""Paper prices: a simulator follows another one, which stands for the real venues."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agentwhere_sim.testing import Simulator

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """The venues that are followed; another seed, so that their prices are others."""
    simulator = Simulator(tmp_path_factory.mktemp("real"), seed=99)
    yield simulator
    simulator.stop()


@pytest.fixture
def paper(real: Simulator, tmp_path: Path) -> Iterator[Simulator]:
    """A simulator that follows them."""
    venues = ("hyperliquid", "lighter", "ostium")
    simulator = Simulator(tmp_path / "paper", follow={v: f"{real.url}/{v}" for v in venues})
    yield simulator
    if simulator.process.poll() is None:
        simulator.stop()


def mids(simulator: Simulator) -> dict[str, Decimal]:
    reply = simulator.http.post("/hyperliquid/info", json={"type": "allMids"}).json()
    return {name: Decimal(price) for name, price in reply.items()}


def lighter(simulator: Simulator, symbol: str) -> Decimal:
    reply = simulator.http.get("/lighter/api/v1/orderBookDetails").json()
    found = {one["symbol"]: one["last_trade_price"] for one in reply["order_book_details"]}
    return Decimal(str(found[symbol]))


def ostium(simulator: Simulator, pair: str) -> dict[str, Any]:
    reply: dict[str, Any] = simulator.http.get(
        "/ostium/PricePublish/latest-price", params={"asset": pair}
    ).json()
    return reply


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.1)


def near(one: Decimal, other: Decimal) -> bool:
    """Within a ten-thousandth: a venue's book and rounding lie between."""
    return abs(one - other) < other / 10_000


def test_every_venue_has_the_prices_of_its_own_original(real: Simulator, paper: Simulator) -> None:
    real.control("prices", BTC="91234", XAU="3333", PEPE="0.0000077")

    eventually(lambda: near(mids(paper)["BTC"], Decimal(91234)))
    eventually(lambda: near(lighter(paper, "BTC"), lighter(real, "BTC")))
    eventually(lambda: near(Decimal(str(ostium(paper, "XAUUSD")["mid"])), Decimal(3333)))
    assert near(mids(paper)["kPEPE"], Decimal("0.0077"))

    real.control("prices", BTC="95000")
    eventually(lambda: near(mids(paper)["BTC"], Decimal(95000)))


def test_a_market_closes_with_its_original(real: Simulator, paper: Simulator) -> None:
    eventually(lambda: ostium(paper, "EURUSD")["isMarketOpen"])
    real.control("hours", markets={"EUR": "closed"})
    eventually(lambda: not ostium(paper, "EURUSD")["isMarketOpen"])
    real.control("hours", markets={"EUR": None})
    eventually(lambda: ostium(paper, "EURUSD")["isMarketOpen"])


def test_the_way_to_the_first_observation_has_no_jump(real: Simulator, paper: Simulator) -> None:
    """Candles and the price of a day ago come from the process, led up to what was observed first."""
    real.control("prices", BTC="20000")
    eventually(lambda: near(mids(paper)["BTC"], Decimal(20000)))
    question = {"type": "metaAndAssetCtxs"}
    _, contexts = paper.http.post("/hyperliquid/info", json=question).json()
    assert Decimal(15000) < Decimal(contexts[0]["prevDayPx"]) < Decimal(120_000)
    request = {"coin": "BTC", "interval": "1m", "startTime": int(time.time() - 600) * 1000}
    request |= {"endTime": int(time.time() - 300) * 1000}
    candles = paper.http.post(
        "/hyperliquid/info", json={"type": "candleSnapshot", "req": request}
    ).json()
    closes = [Decimal(candle["c"]) for candle in candles]
    steps = [abs(b / a - 1) for a, b in pairwise(closes)]
    assert max(steps) < Decimal("0.02")


def test_prices_stand_still_while_nobody_answers_and_over_a_restart(
    tmp_path: Path, real: Simulator, paper: Simulator
) -> None:
    real.control("prices", ETH="4321")
    eventually(lambda: near(mids(paper)["ETH"], Decimal(4321)))
    for service in ("hyperliquid.info", "lighter", "ostium"):
        real.fault(service, "down", count=None)
    real.control("prices", ETH="5000")
    paper.kill()
    paper.start()
    assert near(mids(paper)["ETH"], Decimal(4321))
    real.http.delete("/control/faults").raise_for_status()
    eventually(lambda: near(mids(paper)["ETH"], Decimal(5000)))
