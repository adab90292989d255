"""A process may die anywhere in an invocation: no tool call is executed twice, none is lost without a record.

A death is a `Killed` that is raised at the n-th moment at which the process says something to the outside: a statement
or commit of its database, a request to its venue or its model, before it or after it. Nothing catches it, connections
are torn, and what was not committed is gone: what is left is what a SIGKILL leaves. A few real ones are sent as well.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event

from agentwhere_flow.arena.calls import record_outcomes
from agentwhere_flow.arena.turns import invoke_models
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.arena.scenes import enter, later
from tests.flow.world import rows, utc_now

pytestmark = pytest.mark.timeout(1500)

DEATHS = 200
TURN_MINUTES = 1.1
MODELS = ("sim/erratic", "baseline/macd")

RUN = """
from agentwhere_core.domain.time import utc_now
from agentwhere_flow.arena.turns import invoke_models
from agentwhere_flow.settings import Settings
from agentwhere_flow.system import System
invoke_models(System(Settings()), utc_now())
"""


class Killed(BaseException):
    """The process is dead: no handler of errors sees it."""


@contextmanager
def death_at(system: System, moment: int) -> Iterator[Counter[str]]:
    """Raise `Killed` at the ``moment``-th word to the outside, and count the words."""
    spoken: Counter[str] = Counter()
    dead = False

    def speak(what: str) -> None:
        nonlocal dead
        spoken[what] += 1
        if dead or spoken.total() >= moment:
            dead = True
            raise Killed

    def statement(*_: object) -> None:
        speak("statement")

    def commit(*_: object) -> None:
        speak("commit")

    send = httpx.HTTPTransport.handle_request

    def say(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        speak("before a request")
        answer = send(transport, request)
        try:
            speak("after a request")
        except Killed:
            answer.close()
            raise
        return answer

    event.listen(system.engine, "before_cursor_execute", statement)
    event.listen(system.engine, "commit", commit)
    httpx.HTTPTransport.handle_request = say  # type: ignore[method-assign]
    try:
        yield spoken
    finally:
        event.remove(system.engine, "before_cursor_execute", statement)
        event.remove(system.engine, "commit", commit)
        httpx.HTTPTransport.handle_request = send  # type: ignore[method-assign]


def test_whatever_is_killed_is_neither_doubled_nor_lost(desk: System, sim: Simulator) -> None:
    """200 deaths at random moments of turns, one after another, on the same books."""
    dice = random.Random(7)
    models = [
        enter(desk, sim, f"m{number}", name, markets=("BTC",)) for number, name in enumerate(MODELS)
    ]
    with death_at(desk, 10**9) as spoken:
        invoke_models(desk, utc_now())
    length = spoken.total()
    assert min(spoken["commit"], spoken["after a request"]) > 10
    died = number = 0
    while died < DEATHS:
        number += 1
        at = later(desk, number * TURN_MINUTES)
        with death_at(desk, dice.randrange(1, length)):
            try:
                invoke_models(at, at.clock())
            except Killed:
                died += 1
        if number % 50 == 0:
            require_sound_books(desk, sim, len(models))
    for extra in (1, 2, 3):
        at = later(desk, number * TURN_MINUTES + extra * 3)
        invoke_models(at, at.clock())
    monitor_positions(desk, utc_now())
    last = later(desk, number * TURN_MINUTES + 30)
    record_outcomes(last)
    require_sound_books(desk, sim, len(models))
    assert rows(desk, "SELECT count(*) FROM agentwhere.tool_calls WHERE status = 'ACCEPTED'") == [
        (0,)
    ], "every call has come to its end"


def require_sound_books(desk: System, sim: Simulator, models: int) -> None:
    """No signal without its call or call without its signal; no entry twice; books agree with the venue."""
    assert rows(
        desk,
        "SELECT count(*) FROM agentwhere.signals s LEFT JOIN agentwhere.tool_calls c "
        "ON c.signal_id = s.id WHERE s.batch LIKE 'arena%' AND c.id IS NULL",
    ) == [(0,)]
    twice = rows(
        desk,
        "SELECT signal_id FROM agentwhere.orders WHERE purpose = 'ENTRY' AND filled_size > 0 "
        "GROUP BY signal_id HAVING count(*) > 1",
    )
    assert twice == []
    for (address,) in rows(
        desk, "SELECT address FROM agentwhere.venue_accounts WHERE key_name LIKE 'arena-%'"
    ):
        query = {"venue": "HYPERLIQUID", "address": address}
        accepted = sim.http.get("/control/orders", params=query).json()["orders"]
        at_venue = Counter(order["cloid"] for order in accepted)
        assert all(count == 1 for count in at_venue.values())
        ours = {row[0] for row in rows(desk, "SELECT client_id FROM agentwhere.orders")}
        assert set(at_venue) <= ours, "nothing was sent that is not in the ledger"
    running = rows(
        desk, "SELECT model_id FROM agentwhere.invocations WHERE state IN ('ASKING', 'DECIDED')"
    )
    assert len(running) <= models


@pytest.mark.parametrize("delay", [0.9, 1.2, 1.6, 2.2])
def test_a_real_sigkill_leaves_what_the_next_start_completes(
    desk: System, sim: Simulator, delay: float
) -> None:
    for number, name in enumerate(MODELS):
        enter(desk, sim, f"m{number}", name, markets=("BTC",))
    environment = {
        **os.environ,
        "AGENTWHERE_HOME": str(desk.settings.home),
        "AGENTWHERE_SIM_PORT": str(desk.settings.sim_port),
        "DATABASE_URL": desk.settings.database_url.get_secret_value()
        if desk.settings.database_url
        else "",
    }
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN], env=environment, cwd=root, stdout=subprocess.DEVNULL
    )
    time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=60)

    at = later(desk, 2)
    invoke_models(at, at.clock())
    require_sound_books(desk, sim, len(MODELS))
    assert rows(
        desk, "SELECT count(*) FROM agentwhere.invocations WHERE state IN ('ASKING', 'DECIDED')"
    ) == [(0,)]
    held = rows(
        desk,
        "SELECT account_id, token_symbol, count(*) FROM agentwhere.positions "
        "WHERE status = 'OPEN' GROUP BY 1, 2",
    )
    assert {count for _, _, count in held} <= {1}
