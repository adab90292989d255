"""Every boundary, every venue, both directions, with and without a fault at the same moment.

A worker dies where a transaction would commit, or before or after something is sent, while the venue misbehaves. After
it ticks go on as always: there is one trade, and the venue's position is ours. `test_crashes` does the same to real
processes with SIGKILL, at selected boundaries.

By default a part of the matrix is run, chosen so that each boundary meets some fault; ``MATRIX=whole`` runs all of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from agentwhere_core.domain.enums import Venue
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.positions import monitor_positions
from agentwhere_sim.testing import Simulator
from tests.conftest import Administration, ServerAddress
from tests.flow import books
from tests.flow.scenes import place_signal
from tests.flow.stage import DEPLOYMENT, KilledError, Play, Stage, Worker
from tests.flow.world import rows

ORDERS = {
    Venue.HYPERLIQUID: ("hyperliquid.exchange", '"type":"order"'),
    Venue.OSTIUM: ("ostium", "eth_sendRawTransaction"),
    Venue.LIGHTER: ("lighter", "OrderExpiry"),
}
# How long a request may be under way: past the deadline and its margin, at each venue.
TOO_LATE_S = {Venue.HYPERLIQUID: 30, Venue.OSTIUM: 30, Venue.LIGHTER: 640}
FAULTS = {
    "no fault": (),
    "the reply is dropped": (("drop_after", 1),),
    "the request is duplicated": (("duplicate", 1),),
    "the request is delayed past its deadline": (("late", 1),),
    "5xx after acceptance": (("5xx_after", 1),),
    "the sequencer drops it": (("sequencer_drop", 1),),
    "the keeper is dead": (("keeper_dead", 1),),
    "it gets into no block": (("stuck", 1),),
}
ONLY_AT = {
    "the sequencer drops it": Venue.LIGHTER,
    "the keeper is dead": Venue.OSTIUM,
    "it gets into no block": Venue.OSTIUM,
}
MOST_BOUNDARIES = 200
STRIDE = 1 if os.environ.get("MATRIX") == "whole" else 16
ROUNDS = 14
CASES = [
    pytest.param(venue, fault, id=f"{venue}-{fault}")
    for venue in ORDERS
    for fault in FAULTS
    if ONLY_AT.get(fault, venue) is venue
]


@pytest.fixture(scope="module")
def stage(
    simulator_process: Simulator,
    postgres_server: ServerAddress,
    administration: Administration,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("stage") / "home"
    stage = Stage(simulator_process, postgres_server, administration, template_database, home)
    yield stage
    stage.close()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("venue", "fault"), CASES)
@pytest.mark.parametrize("closes", [False, True], ids=["opening", "closing"])
def test_a_worker_that_dies_anywhere_leaves_one_trade(
    stage: Stage, simulator_process: Simulator, venue: Venue, fault: str, closes: bool
) -> None:
    first = 1 + (list(FAULTS).index(fault) * 3 + closes) % STRIDE
    for boundary in range(first, MOST_BOUNDARIES, STRIDE):
        play = stage.open((venue,))
        try:
            has_died = die(play, simulator_process, venue, fault, boundary, closes=closes)
        finally:
            play.close()
        if not has_died:
            return
    raise AssertionError(f"a tick has more than {MOST_BOUNDARIES} boundaries")


def die(
    play: Play, sim: Simulator, venue: Venue, fault: str, boundary: int, *, closes: bool
) -> bool:
    """Let a worker die at a boundary, and check what its successor makes of it; tell whether it came so far."""
    worker = play.worker()
    place_signal(
        worker.system,
        "BTC",
        deployment=DEPLOYMENT,
        venue=venue,
        max_holding_h="0" if closes else None,
    )
    if closes:
        execute_orders(worker.system, play.clock.now())
    service, match = ORDERS[venue]
    for kind, times in FAULTS[fault]:
        here = "" if kind == "keeper_dead" else match
        sim.fault(service, kind, count=times, seconds=TOO_LATE_S[venue], match=here)
    step = monitor_positions if closes else execute_orders
    has_died = False
    worker.fate.ordain(boundary, None)
    try:
        step(worker.system, play.clock.now())
    except KilledError:
        has_died = True
        worker = play.worker()
    worker.fate.forgive()
    come_to_rest(play, worker, sim, closes=closes)
    check(play, worker, sim, venue, closes=closes)
    return has_died


def come_to_rest(play: Play, worker: Worker, sim: Simulator, *, closes: bool) -> None:
    """Let the ticks go on; the fault stays ordered, for it may be met by a later attempt only."""
    for number in range(ROUNDS):
        play.clock.sleep(8 if number < ROUNDS // 2 else 120)
        execute_orders(worker.system, play.clock.now())
        monitor_positions(worker.system, play.clock.now())
        wanted = "CLOSED" if closes else "OPEN"
        reached = rows(
            worker.system,
            "SELECT 1 FROM agentwhere.positions WHERE status = :status",
            status=wanted,
        )
        if reached and not books.unsettled(worker.system):
            return
    raise AssertionError(f"it never came to rest: {books.unsettled(worker.system)}")


def check(play: Play, worker: Worker, sim: Simulator, venue: Venue, *, closes: bool) -> None:
    """Compare the venue's books with ours: one trade that opened, and at most one that closed it."""
    # A request that was under way arrives now, if it still can.
    play.clock.sleep(TOO_LATE_S[venue])
    monitor_positions(worker.system, play.clock.now())
    adapter: Any = worker.system.venues[venue]
    account = play.accounts[venue]
    books.check(worker.system, sim, adapter, account, outside=())
    filled = [one for one in books.opened_at(sim, account) if one.filled > 0]
    assert len(filled) == 1, filled
    sizes = rows(worker.system, "SELECT status, size FROM agentwhere.positions")
    assert len(sizes) == 1
    assert (sizes[0][0] == "CLOSED") == closes
    assert (sizes[0][1] == Decimal(0)) == closes
