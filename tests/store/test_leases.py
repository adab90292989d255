"""One holder at a time, gone when it dies, and never again after another came."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from agentwhere_core.domain.errors import LeaseHeldError
from agentwhere_store.engine import make_engine
from agentwhere_store.leases import Lease, lease

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
HOLDER = """
import sys, time
from datetime import UTC, datetime
from agentwhere_store.engine import make_engine
from agentwhere_store.leases import lease
with lease(make_engine(sys.argv[1]), "orders", "the other", datetime.now(UTC)) as held:
    print(held.fencing_token, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


def take(engine: Engine, name: str = "orders", wait_s: float = 0) -> Lease:
    with lease(engine, name, "me", NOW, wait_s=wait_s) as held:
        return held


def test_a_second_holder_is_told_who_has_it(engine: Engine) -> None:
    with (
        lease(engine, "orders", "run 1", NOW),
        pytest.raises(LeaseHeldError, match="run 1, since 18:00:00 UTC"),
    ):
        take(engine)
    take(engine)


def test_leases_of_different_steps_do_not_meet(engine: Engine) -> None:
    with lease(engine, "orders", "run 1", NOW):
        take(engine, "positions")


def test_each_holder_gets_a_larger_token(engine: Engine) -> None:
    assert [take(engine).fencing_token for _ in range(3)] == [1, 2, 3]


def test_a_lease_is_given_back_when_the_step_fails(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), lease(engine, "orders", "run 1", NOW):
        raise ZeroDivisionError
    assert take(engine).fencing_token == 2


def test_who_waits_gets_it_when_the_holder_ends(engine: Engine) -> None:
    first = lease(engine, "orders", "run 1", NOW)
    held = first.__enter__()
    tokens: list[int] = []
    waiter = threading.Thread(target=lambda: tokens.append(take(engine, wait_s=60).fencing_token))
    waiter.start()
    first.__exit__(None, None, None)
    waiter.join()
    assert tokens == [held.fencing_token + 1]


def test_waiting_ends(engine: Engine) -> None:
    with lease(engine, "orders", "run 1", NOW), pytest.raises(LeaseHeldError):
        take(engine, wait_s=0.05)


def test_a_killed_holder_frees_its_lease_at_once(engine: Engine, database_url: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, database_url], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    token = int(process.stdout.readline())
    with pytest.raises(LeaseHeldError):
        take(engine)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert take(engine, wait_s=30).fencing_token == token + 1
