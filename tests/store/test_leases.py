"""One holder at a time, gone when it dies, and never again after another came."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text

from agentwhere_core.domain.errors import LeaseHeldError
from agentwhere_core.domain.sharding import WHOLE, Shard, shards
from agentwhere_store.engine import make_engine
from agentwhere_store.leases import Lease, free_leases, lease
from agentwhere_store.orders import check_lease

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


def hold(engine: Engine, shard: Shard, wait_s: float = 0) -> AbstractContextManager[Lease]:
    return lease(engine, "orders", f"run of {shard}", NOW, wait_s=wait_s, shard=shard)


def test_shards_of_one_count_hold_their_leases_side_by_side(engine: Engine) -> None:
    one, two = shards(2)
    with hold(engine, one), hold(engine, two), pytest.raises(LeaseHeldError, match="run of 1/2"):
        hold(engine, one).__enter__()


@pytest.mark.parametrize("other", [WHOLE, Shard(1, 3), Shard(2, 3), Shard(3, 4)], ids=str)
def test_shards_that_overlap_exclude_each_other_whatever_their_count(
    engine: Engine, other: Shard
) -> None:
    with hold(engine, Shard(1, 2)), pytest.raises(LeaseHeldError):
        hold(engine, other).__enter__()
    with hold(engine, other), pytest.raises(LeaseHeldError):
        hold(engine, Shard(1, 2)).__enter__()


def test_who_cannot_have_all_parts_keeps_none(engine: Engine) -> None:
    with hold(engine, Shard(2, 2)):
        with pytest.raises(LeaseHeldError):
            hold(engine, WHOLE).__enter__()
        with hold(engine, Shard(1, 2)):
            pass


@pytest.mark.parametrize(
    ("asleep", "newer"), [(WHOLE, Shard(2, 2)), (Shard(2, 2), WHOLE), (Shard(1, 2), Shard(1, 3))]
)
def test_a_holder_that_slept_may_not_send_once_any_part_was_taken_over(
    engine: Engine, asleep: Shard, newer: Shard
) -> None:
    with hold(engine, asleep) as old:
        pass
    with engine.begin() as conn:
        check_lease(conn, old)
    with hold(engine, newer) as new, engine.begin() as conn:
        check_lease(conn, new)
        with pytest.raises(LeaseHeldError):
            check_lease(conn, old)


def test_a_holder_whose_connection_was_cut_ends_quietly_and_frees_every_part(
    engine: Engine,
) -> None:
    cut = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with hold(engine, WHOLE), engine.begin() as conn:
        conn.execute(text(cut))
    with free_leases(engine, ["one", "two"], "me", NOW) as held:
        assert "one" in held
        assert "two" in held
        with engine.begin() as conn:
            conn.execute(text(cut))
    with hold(engine, WHOLE):
        assert take(engine, "one").fencing_token == 2


def test_another_shard_takes_nothing_from_a_holder(engine: Engine) -> None:
    one, two = shards(2)
    with hold(engine, one) as held, hold(engine, two), engine.begin() as conn:
        check_lease(conn, held)


def test_waiting_is_not_cut_short_by_the_limit_of_statements(database_url: str) -> None:
    patient = make_engine(database_url, statement_timeout_s=1)
    with patient.connect() as conn:
        limit = conn.execute(text("SHOW statement_timeout")).scalar_one()
    first = lease(patient, "orders", "run 1", NOW)
    first.__enter__()
    # Longer than a statement may take; the waiter can be as late as it likes.
    release = threading.Timer(1.5, first.__exit__, (None, None, None))
    release.start()
    with lease(patient, "orders", "me", NOW, wait_s=60) as held:
        assert held.fencing_token == 2
    release.join()
    with patient.connect() as conn:
        assert conn.execute(text("SHOW statement_timeout")).scalar_one() == limit
    patient.dispose()
