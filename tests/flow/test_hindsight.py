"""What closed trades say of the sources and the routing behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, insert, select

from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.trade import Position
from agentwhere_flow.regret import compute_regret
from agentwhere_flow.scores import update_source_scores
from agentwhere_flow.settings import Settings
from agentwhere_flow.system import System
from agentwhere_store.tables.ideas import posts, signals, x_accounts
from agentwhere_store.tables.operations import routing_regret, source_scores
from agentwhere_store.tables.trading import orders, submissions, venue_routing_history
from tests.flow.money import Desk, deploy, open_agent, trade

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)


@pytest.fixture
def system(database_url: str, tmp_path: Path) -> Iterator[System]:
    system = System(Settings(DATABASE_URL=database_url, home=tmp_path))
    yield system
    system.close()


@pytest.fixture
def conn(system: System) -> Iterator[Connection]:
    """A connection that commits every statement, so that steps see what a test wrote."""
    with system.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        yield conn


def follow(conn: Connection, handle: str) -> UUID:
    source_id = new_id()
    conn.execute(insert(x_accounts).values(id=source_id, handle=handle, created_at=NOW))
    return source_id


def signal(conn: Connection, agent_id: UUID, authors: Sequence[UUID]) -> UUID:
    """Write a signal with one post of each author."""
    signal_id, post_ids = new_id(), [new_id() for _ in authors]
    for post_id, author in zip(post_ids, authors, strict=True):
        conn.execute(
            insert(posts).values(
                id=post_id,
                source_kind="X",
                source_id=author,
                external_id=post_id.hex,
                text="long",
                content_hash=post_id.hex,
                published_at=NOW,
                ingested_at=NOW,
            )
        )
    conn.execute(
        insert(signals).values(
            id=signal_id,
            agent_id=agent_id,
            batch=signal_id.hex,
            token="BTC",
            side="LONG",
            venue="MULTI",
            fund_percentage=Decimal(5),
            confidence=Decimal("0.5"),
            leverage=Decimal(1),
            reasoning="",
            source_post_ids=post_ids,
            created_at=NOW,
            expires_at=NOW + timedelta(hours=6),
        )
    )
    return signal_id


def close(conn: Connection, desk: Desk, signal_id: UUID, price: str, **more: Any) -> Position:
    """Close a trade that was opened at 100."""
    return trade(conn, desk, (NOW, "100"), (NOW, price), signal_id=signal_id, **more)


def score(conn: Connection, source_id: UUID) -> Any:
    return conn.execute(select(source_scores).where(source_scores.c.source_id == source_id)).one()


def test_a_source_is_judged_by_signals_net_of_costs(system: System, conn: Connection) -> None:
    olga, newcomer = follow(conn, "olga"), follow(conn, "newcomer")
    agent = open_agent(conn, "a", NOW)
    desks = [deploy(conn, agent, 1_000, NOW, name) for name in ("first", "second")]
    for price, fee in (("110", "1"), ("101", "1"), ("90", "0")):
        signal_id = signal(conn, agent, [olga])
        for desk in desks:
            close(conn, desk, signal_id, price, fee=fee)
    report = update_source_scores(system, NOW)
    assert (report.rows_in, report.rows_out) == (3, 2)
    found = score(conn, olga)
    # One hit of three: the gain of 1 did not cover its fees of 2, and two deployments are one opinion.
    assert (found.signals, found.closed, found.hits) == (3, 3, 1)
    assert found.hit_rate == Decimal("0.333333")
    assert found.hit_rate_low == Decimal("0.061492")
    assert found.hit_rate_high == Decimal("0.792340")
    assert found.pnl_usd == 2 * (8 - 1 - 10)
    assert found.weight == Decimal("0.461538")
    assert (score(conn, newcomer).signals, score(conn, newcomer).weight) == (0, Decimal("0.5"))


def test_authors_of_one_signal_share_its_profit(system: System, conn: Connection) -> None:
    olga, pete = follow(conn, "olga"), follow(conn, "pete")
    agent = open_agent(conn, "a", NOW)
    desk = deploy(conn, agent, 1_000, NOW)
    close(conn, desk, signal(conn, agent, [olga, pete, pete]), "130")
    update_source_scores(system, NOW)
    for source_id in (olga, pete):
        assert (score(conn, source_id).hits, score(conn, source_id).pnl_usd) == (1, 15)


def test_a_signal_counts_when_all_its_positions_are_closed(
    system: System, conn: Connection
) -> None:
    olga = follow(conn, "olga")
    agent = open_agent(conn, "a", NOW)
    desks = [deploy(conn, agent, 1_000, NOW, name) for name in ("first", "second")]
    signal_id = signal(conn, agent, [olga])
    close(conn, desks[0], signal_id, "130")
    trade(conn, desks[1], (NOW, "100"), signal_id=signal_id)
    signal(conn, agent, [olga])
    update_source_scores(system, NOW)
    found = score(conn, olga)
    assert (found.signals, found.closed, found.pnl_usd, found.weight) == (2, 0, 0, Decimal("0.5"))


def told(venue: str, *, spread: str, taker: str = "9", available: bool = True) -> dict[str, Any]:
    """Return a venue's answer as the routing history keeps it."""
    total = Decimal(taker) + Decimal(spread)
    cost = {"taker_fee": taker, "spread": spread, "impact": "0", "funding": "0", "fixed": "0"}
    return {
        "venue": venue,
        "available": available,
        "reason": "AVAILABLE" if available else "MARKET_CLOSED",
        "detail": "",
        "cost_bps": {**cost, "total": str(total)},
    }


def routed(conn: Connection, desk: Desk, position: Position, answers: list[Any]) -> None:
    """Write the decision and the entry order that led to a position."""
    routing_id, submission_id = new_id(), new_id()
    conn.execute(
        insert(venue_routing_history).values(
            id=routing_id,
            signal_id=position.signal_id,
            deployment_id=desk.deployment.id,
            token_symbol=position.token,
            requested_venue="MULTI",
            selected_venue=position.venue.value,
            routing_reason="FIRST_AVAILABLE",
            story="",
            checked_venues=[answer["venue"] for answer in answers],
            venue_availability=answers,
            routing_strategy="FIRST_AVAILABLE",
            config_version=1,
            inputs={},
            routing_duration_ms=1,
            created_at=NOW,
        )
    )
    conn.execute(
        insert(submissions).values(
            id=submission_id,
            account_id=position.account_id,
            venue=position.venue.value,
            signer_address="0xsigner",
            nonce=1,
            deadline=NOW,
            payload=b"{}",
            fencing_token=1,
            created_at=NOW,
        )
    )
    conn.execute(
        insert(orders).values(
            id=new_id(),
            submission_id=submission_id,
            deployment_id=desk.deployment.id,
            account_id=position.account_id,
            signal_id=position.signal_id,
            position_id=position.id,
            routing_id=routing_id,
            purpose="ENTRY",
            venue=position.venue.value,
            token_symbol=position.token,
            market_name=position.token,
            side="BUY",
            reduce_only=False,
            size=1,
            limit_price=100,
            leverage=1,
            client_id=new_id().hex,
            state="FILLED",
            filled_size=1,
            average_price=100,
            created_at=NOW,
            updated_at=NOW,
        )
    )


def test_regret_compares_real_costs_with_the_venues_that_were_available(
    system: System, conn: Connection
) -> None:
    agent = open_agent(conn, "a", NOW)
    desk = deploy(conn, agent, 1_000, NOW)
    # 100 USD of notional: fees of 0.20 are 20 bps, funding paid of 0.05 is 5 bps; 2 bps of spread were expected.
    position = close(conn, desk, signal(conn, agent, []), "110", fee="0.10", funding="-0.05")
    answers = [
        told("HYPERLIQUID", spread="2"),
        told("LIGHTER", spread="5", taker="0"),
        told("OSTIUM", spread="1", available=False),
    ]
    routed(conn, desk, position, answers)
    report = compute_regret(system, NOW)
    rows = conn.execute(select(routing_regret).order_by(routing_regret.c.venue)).all()
    assert [(row.venue, row.was_selected, row.cost_bps, row.regret_bps) for row in rows] == [
        ("HYPERLIQUID", True, 27, 0),
        ("LIGHTER", False, 5, 22),
    ]
    assert rows[1].regret_usd == Decimal("0.22")
    assert report.details == {"trades_with_a_cheaper_venue": 1, "average_model_error_bps": 16.0}


def test_regret_is_computed_once(system: System, conn: Connection) -> None:
    agent = open_agent(conn, "a", NOW)
    desk = deploy(conn, agent, 1_000, NOW)
    position = close(conn, desk, signal(conn, agent, []), "110")
    routed(conn, desk, position, [told("HYPERLIQUID", spread="2")])
    assert compute_regret(system, NOW).rows_in == 1
    assert compute_regret(system, NOW).rows_in == 0


def test_open_positions_and_those_from_outside_have_no_regret(
    system: System, conn: Connection
) -> None:
    agent = open_agent(conn, "a", NOW)
    desk = deploy(conn, agent, 1_000, NOW)
    trade(conn, desk, (NOW, "100"), (NOW, "110"))
    held = trade(conn, desk, (NOW, "100"), signal_id=signal(conn, agent, []))
    routed(conn, desk, held, [told("HYPERLIQUID", spread="2")])
    assert compute_regret(system, NOW).rows_in == 0
