"""The drill of docs/backup.md: a backup older than the newest trade is restored, and nothing is traded twice."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import make_url

from agentwhere_core.domain.enums import KillScope, OrderSide, Venue
from agentwhere_flow import kill_switches
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator, sim, simulator_process
from agentwhere_store.embedded.binaries import find_binaries
from tests.conftest import Administration
from tests.flow.conftest import desk, system
from tests.flow.scenes import place_signal
from tests.flow.venue import hand_of
from tests.flow.world import open_system, rows, utc_now

__all__ = ["desk", "sim", "simulator_process", "system"]

EXPIRE = "UPDATE agentwhere.signals SET expires_at = now() WHERE expires_at > now()"


@pytest.fixture
def restored_url(database_url: str, administration: Administration) -> Iterator[str]:
    """URL of a database that does not exist yet."""
    name = f"{make_url(database_url).database}_restored"
    administration.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield make_url(database_url).set(database=name).render_as_string(hide_password=False)
    administration.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def client(program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL's own."""
    done = subprocess.run(
        [find_binaries().folder / program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_after_an_old_backup_is_restored_what_is_open_is_found_and_nothing_is_sent_again(
    desk: System,
    sim: Simulator,
    database_url: str,
    restored_url: str,
    tmp_path: Path,
) -> None:
    place_signal(desk, "BTC", deployment="bold", venue=Venue.HYPERLIQUID)
    execute_orders(desk, utc_now())
    place_signal(desk, "ETH", deployment="bold", venue=Venue.HYPERLIQUID)
    place_signal(desk, "SOL", deployment="bold", venue=Venue.MULTI)
    backup = tmp_path / "agentwhere.dump"
    client("pg_dump", "--format=custom", f"--file={backup}", libpq(database_url))
    # No backup has these trades: one is open, the other is over. A venue would refuse to hear its client id again,
    # and a MULTI signal that one venue refuses goes to the next.
    execute_orders(desk, utc_now())
    hand = hand_of(desk, sim, "bold")
    hand.trade("SOL", OrderSide.SELL, hand.size("SOL"))
    held = {coin: hand.size(coin) for coin in ("BTC", "ETH")}
    accepted = {coin: len(hand.accepted(coin)) for coin in ("BTC", "ETH", "SOL")}
    assert all(size > 0 for size in held.values())

    client(
        "pg_restore",
        "--no-owner",
        "--exit-on-error",
        f"--dbname={libpq(restored_url)}",
        str(backup),
    )
    again = open_system(sim, restored_url, tmp_path / "home")
    kill_switches.engage(
        again, utc_now(), KillScope.GLOBAL, reason="restored a backup", by="a test"
    )
    execute_orders(again, utc_now())
    monitor_positions(again, utc_now())
    found = rows(
        again,
        "SELECT token_symbol, size FROM agentwhere.positions WHERE status = 'OPEN' ORDER BY 1",
    )
    assert dict(found) == held
    differences = "SELECT count(*) FROM agentwhere.alerts WHERE closed_at IS NULL AND incident LIKE 'reconciliation:%'"
    assert rows(again, differences) == [(0,)]
    with again.engine.begin() as conn:
        conn.exec_driver_sql(EXPIRE)
    kill_switches.release(again, utc_now(), KillScope.GLOBAL, reason="compared", by="a test")
    execute_orders(again, utc_now())
    monitor_positions(again, utc_now())
    elsewhere = rows(
        again, "SELECT venue, token_symbol FROM agentwhere.orders WHERE venue <> 'HYPERLIQUID'"
    )
    again.close()

    assert elsewhere == []
    assert {coin: len(hand.accepted(coin)) for coin in accepted} == accepted
    assert {coin: hand.size(coin) for coin in held} == held
    assert hand.size("SOL") == 0
