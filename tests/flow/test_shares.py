"""How trades are spread over venues is drawn day by day: decisions and notional, legs and failovers counted rightly."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from agentwhere_core.domain.enums import Side, Venue
from agentwhere_core.domain.ids import new_id
from agentwhere_core.where.record import tell_trade
from agentwhere_core.where.scene import RouteRequest
from agentwhere_flow.regret import compute_regret
from agentwhere_flow.settings import Settings
from agentwhere_flow.shares import venue_share_plots
from agentwhere_flow.system import System
from agentwhere_store.tables.routing import routing_legs, venue_routing_history
from tests.flow.money import Desk, deploy, open_agent
from tests.flow.test_hindsight import signal

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
TODAY, YESTERDAY = date(2026, 11, 20), date(2026, 11, 19)
DECISIONS, NOTIONAL = "Venue share of decisions", "Venue share of notional"


@pytest.fixture
def system(database_url: str, tmp_path: Path) -> Iterator[System]:
    system = System(Settings(DATABASE_URL=database_url, home=tmp_path))
    yield system
    system.close()


@pytest.fixture
def conn(system: System) -> Iterator[Connection]:
    with system.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        yield conn


@pytest.fixture
def desk(conn: Connection) -> Desk:
    return deploy(conn, open_agent(conn, "a", NOW), 1_000, NOW)


def decide(
    conn: Connection,
    desk: Desk,
    venue: Venue | None,
    margin: int = 100,
    *,
    at: datetime = NOW,
    instead: Venue | None = None,
    legs: dict[Venue, str] | None = None,
) -> None:
    """Write a decision at leverage 2: to a venue, after a failover to another, or split over legs."""
    request = RouteRequest("BTC", Side.LONG, Decimal(margin), Decimal(2))
    routing_id = new_id()
    conn.execute(
        insert(venue_routing_history).values(
            id=routing_id,
            signal_id=signal(conn, desk.agent_id, []),
            deployment_id=desk.deployment.id,
            token_symbol="BTC",
            requested_venue="MULTI",
            selected_venue=venue and venue.value,
            routing_reason="NO_VENUE_AVAILABLE" if venue is None else "FIRST_AVAILABLE",
            story="",
            checked_venues=[],
            routing_strategy="FIRST_AVAILABLE",
            config_version=1,
            inputs=tell_trade(request, {}),
            routing_duration_ms=1,
            attempts=[{"venue": venue}] if instead else [],
            failover_venue=instead and instead.value,
            created_at=at,
        )
    )
    for number, (where, share) in enumerate((legs or {}).items()):
        conn.execute(
            insert(routing_legs).values(
                routing_id=routing_id, leg=number, venue=where.value, share=Decimal(share)
            )
        )


def drawn(conn: Connection, now: datetime = NOW) -> dict[str, dict[str, dict[date, float]]]:
    """Return each plot's lines as percent by day."""
    return {
        plot.title: {name: dict(line) for name, line in plot.lines.items()}
        for plot in venue_share_plots(conn, now)
    }


def test_shares_count_decisions_and_weigh_notional_by_day(conn: Connection, desk: Desk) -> None:
    decide(conn, desk, Venue.HYPERLIQUID, at=NOW - timedelta(days=1))
    decide(conn, desk, Venue.HYPERLIQUID, 300)
    decide(conn, desk, Venue.OSTIUM, 100)
    decide(conn, desk, None, 900)
    decide(conn, desk, Venue.OSTIUM, 400)
    assert drawn(conn) == {
        DECISIONS: {
            "HYPERLIQUID": {YESTERDAY: 100, TODAY: 25},
            "OSTIUM": {YESTERDAY: 0, TODAY: 50},
            "no venue": {YESTERDAY: 0, TODAY: 25},
        },
        NOTIONAL: {
            "HYPERLIQUID": {YESTERDAY: 100, TODAY: 37.5},
            "OSTIUM": {YESTERDAY: 0, TODAY: 62.5},
        },
    }


def test_a_split_trade_counts_by_its_legs_and_a_failover_where_it_went(
    conn: Connection, desk: Desk
) -> None:
    decide(conn, desk, Venue.OSTIUM, legs={Venue.OSTIUM: "0.75", Venue.LIGHTER: "0.25"})
    decide(conn, desk, Venue.HYPERLIQUID, 300, instead=Venue.LIGHTER)
    assert drawn(conn) == {
        DECISIONS: {"LIGHTER": {TODAY: 62.5}, "OSTIUM": {TODAY: 37.5}},
        NOTIONAL: {"LIGHTER": {TODAY: 81.25}, "OSTIUM": {TODAY: 18.75}},
    }


def test_days_are_utc_and_a_month_is_shown(conn: Connection, desk: Desk) -> None:
    conn.exec_driver_sql("SET TIME ZONE 'Asia/Tokyo'")
    decide(conn, desk, Venue.LIGHTER, at=NOW - timedelta(days=31))
    decide(conn, desk, Venue.OSTIUM, at=NOW.replace(hour=23))
    late = NOW.replace(hour=23, minute=30)
    assert drawn(conn, late)[DECISIONS] == {"OSTIUM": {TODAY: 100}}


def test_without_decisions_nothing_is_drawn(conn: Connection, desk: Desk) -> None:
    assert desk
    assert drawn(conn) == {}
    decide(conn, desk, None)
    assert list(drawn(conn)) == [DECISIONS]


def test_the_step_reports_the_shares(system: System, conn: Connection, desk: Desk) -> None:
    decide(conn, desk, Venue.LIGHTER)
    assert [plot.title for plot in compute_regret(system, NOW).plots] == [DECISIONS, NOTIONAL]
