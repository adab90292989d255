"""Set-up and demonstration can be run at any time, and say what they did."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from agentwhere_core.domain.errors import ConfigurationError, InvariantError
from agentwhere_flow.demo import create_demo
from agentwhere_flow.settings import Settings
from agentwhere_flow.setup import setup
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.flow.world import contents, open_system, rows, utc_now

DEMO_TABLES = (
    "agents",
    "agent_sources",
    "x_accounts",
    "research_sources",
    "deployments",
    "venue_accounts",
    "policies",
)


def test_setup_writes_the_default_routing_and_says_so(system: System) -> None:
    report = setup(system, utc_now())
    assert report.ok
    assert any("wrote the default: HYPERLIQUID, OSTIUM, LIGHTER" in line for line in report.lines)
    assert rows(
        system,
        """SELECT agent_id, venue_priority, routing_strategy, failover_enabled, version
           FROM agentwhere.venue_routing_config""",
    ) == [(None, ["HYPERLIQUID", "OSTIUM", "LIGHTER"], "FIRST_AVAILABLE", True, 1)]


def test_setup_starts_from_an_empty_database(system: System) -> None:
    with system.engine.begin() as conn:
        conn.execute(text("DROP SCHEMA agentwhere CASCADE"))
    report = setup(system, utc_now())
    assert report.lines[0].startswith("database: migrated from nothing")
    assert report.ok


def test_setup_again_changes_nothing_and_keeps_a_changed_configuration(system: System) -> None:
    setup(system, utc_now())
    with system.engine.begin() as conn:
        conn.execute(text("UPDATE agentwhere.venue_routing_config SET failover_enabled = false"))
    before = contents(system, "venue_routing_config")
    report = setup(system, utc_now())
    assert contents(system, "venue_routing_config") == before
    assert report.lines[0].startswith("database: up to date")
    assert any("kept" in line and "failover off" in line for line in report.lines)


def test_many_setups_at_once_make_one(system: System) -> None:
    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(lambda _: setup(system, utc_now()), range(8)))
    assert sum("wrote the default" in line for report in reports for line in report.lines) == 1
    assert rows(system, "SELECT version FROM agentwhere.venue_routing_config") == [(1,)]


def test_a_lost_table_is_noticed(system: System) -> None:
    with system.engine.begin() as conn:
        conn.execute(text("DROP TABLE agentwhere.alerts CASCADE"))
    with pytest.raises(InvariantError, match=r"lacks alerts.*restore"):
        setup(system, utc_now())


def test_a_missing_key_is_named_with_its_remedy(system: System) -> None:
    create_demo(system, utc_now())
    (system.settings.home / "secrets" / "demo-bold").unlink()
    report = setup(system, utc_now())
    assert not report.ok
    assert report.problems == (
        "no signing key 'demo-bold': write it with `agentwhere secrets put demo-bold`",
    )


def test_other_profiles_are_told_which_tokens_they_need(
    sim: Simulator, database_url: str, tmp_path: Path
) -> None:
    system = open_system(sim, database_url, tmp_path / "home", profile="paper")
    report = setup(system, utc_now())
    assert [problem.split(":")[0] for problem in report.problems] == [
        "no token for X",
        "no key for the language model",
    ]
    system.close()


def test_the_demonstration_is_made_once(system: System) -> None:
    first = create_demo(system, utc_now())
    before = contents(system, *DEMO_TABLES)
    second = create_demo(system, utc_now())
    assert contents(system, *DEMO_TABLES) == before
    assert (first.rows_out, second.rows_out) == (9, 0)
    assert {row[0] for row in rows(system, "SELECT name FROM agentwhere.deployments")} == {
        "bold",
        "careful",
    }


def test_the_demonstrations_accounts_are_funded_once(system: System, sim: Simulator) -> None:
    create_demo(system, utc_now())
    create_demo(system, utc_now())
    addresses = rows(
        system, "SELECT DISTINCT address FROM agentwhere.venue_accounts WHERE venue = 'HYPERLIQUID'"
    )
    assert len(addresses) == 2
    for (address,) in addresses:
        state = sim.http.post(
            "/hyperliquid/info", json={"type": "clearinghouseState", "user": address}
        ).json()
        assert float(state["marginSummary"]["accountValue"]) == 10_000


def test_a_simulator_that_forgot_everything_is_funded_again(system: System, sim: Simulator) -> None:
    create_demo(system, utc_now())
    sim.control("reset")
    report = create_demo(system, utc_now())
    assert [row["made"] for row in report.table] == ["deposit"] * 6


def test_keys_never_reach_the_database_and_are_readable_by_their_owner_only(
    system: System,
) -> None:
    create_demo(system, utc_now())
    key = system.secrets.get("demo-bold").get_secret_value()
    for table in DEMO_TABLES:
        assert key[2:] not in str(rows(system, f"SELECT * FROM agentwhere.{table}"))
    assert (system.settings.home / "secrets" / "demo-bold").stat().st_mode & 0o077 == 0


def test_there_is_no_demonstration_with_real_money(
    sim: Simulator, database_url: str, tmp_path: Path
) -> None:
    system = open_system(sim, database_url, tmp_path / "home", profile="testnet")
    with pytest.raises(ConfigurationError, match="AGENTWHERE_PROFILE=sim"):
        create_demo(system, utc_now())
    assert rows(system, "SELECT count(*) FROM agentwhere.agents") == [(0,)]
    system.close()


def test_a_venue_without_an_adapter_is_refused_by_name(database_url: str, tmp_path: Path) -> None:
    system = System(Settings(DATABASE_URL=database_url, home=tmp_path, venues="hyperliquid,gmx"))
    with pytest.raises(ConfigurationError, match="no adapter for GMX"):
        _ = system.venues
    system.close()
