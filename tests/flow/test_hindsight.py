"""What closed trades say of the sources and the routing behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, insert, select, update

from agentwhere_core.domain.enums import RoutingStrategy, Side, Venue
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.market import MarketContext
from agentwhere_core.domain.routing import FundsAt, RoutingConfig
from agentwhere_core.domain.trade import Position
from agentwhere_core.where.router import route
from agentwhere_core.where.scene import RouteRequest, Scene, Site, Standing
from agentwhere_flow.regret import compute_regret, regret_by_venue
from agentwhere_flow.scores import update_source_scores
from agentwhere_flow.settings import Settings
from agentwhere_flow.system import System
from agentwhere_store import markets as market_store
from agentwhere_store.decisions import RoutedSignal, save_decisions
from agentwhere_store.routing import signal_from_row
from agentwhere_store.tables.ideas import posts, signals, x_accounts
from agentwhere_store.tables.operations import routing_regret, source_scores
from agentwhere_store.tables.routing import venue_routing_history
from agentwhere_store.tables.trading import fills, orders, submissions
from tests.core.examples import NOW as SEEN
from tests.core.examples import market
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


def test_an_old_result_weighs_less_and_a_second_run_changes_nothing(
    system: System, conn: Connection
) -> None:
    olga = follow(conn, "olga")
    agent = open_agent(conn, "a", NOW)
    desk = deploy(conn, agent, 1_000, NOW)
    for _ in range(2):
        close(conn, desk, signal(conn, agent, [olga]), "130")
    weights = []
    for days in (0, 90, 180):
        update_source_scores(system, NOW + timedelta(days=days))
        first = score(conn, olga)
        assert (first.closed, first.hits, first.pnl_usd) == (2, 2, 60)
        update_source_scores(system, NOW + timedelta(days=days))
        assert score(conn, olga) == first
        weights.append(first.weight)
    # Seven of twelve, then six of eleven, then five and a half of ten and a half.
    assert weights == [Decimal("0.583333"), Decimal("0.545455"), Decimal("0.523810")]


def sites(token: str) -> dict[Venue, Site]:
    """Three venues without impact: Hyperliquid, a cheaper Lighter, and Ostium, which is closed."""
    flat = replace(market(token=token), funding_hourly=None, volume_24h_usd=Decimal(10) ** 18)
    return {
        Venue.HYPERLIQUID: Site(replace(flat, spread_bps=Decimal(2), price=Decimal(100))),
        Venue.LIGHTER: Site(
            replace(
                flat,
                venue=Venue.LIGHTER,
                spread_bps=Decimal(5),
                taker_fee_bps=Decimal(0),
                price=Decimal(100),
            )
        ),
        Venue.OSTIUM: Site(replace(flat, venue=Venue.OSTIUM, is_open=False)),
    }


def routed(
    conn: Connection, desk: Desk, position: Position, *, mids: tuple[str, str] | None = None
) -> None:
    """Write the decision and the orders that led to a position, with the mids at which they were made if given."""
    config = RoutingConfig(tuple(Venue), RoutingStrategy.FIRST_AVAILABLE, True)
    scene = Scene(position.token, config, sites(position.token), SEEN)
    rich = Standing(FundsAt(Decimal(10**6), Decimal(10**6)))
    request = RouteRequest(position.token, Side.LONG, Decimal(100), Decimal(1))
    decision = route(request, scene, dict.fromkeys(scene.sites, rich))
    assert position.signal_id is not None
    found = conn.execute(select(signals).where(signals.c.id == position.signal_id)).one()
    scene_id = new_id()
    item = RoutedSignal(
        signal_from_row(found),
        desk.deployment.id,
        decision,
        scene_id,
        Decimal(100),
        Decimal(1),
    )
    save_decisions(conn, {scene_id: scene}, [item], NOW)
    history = venue_routing_history.c
    routing_id = conn.execute(
        select(history.id).where(history.signal_id == position.signal_id)
    ).scalar_one()
    for number, way in enumerate((("ENTRY", "BUY"), ("EXIT", "SELL"))):
        mid = None if mids is None else Decimal(mids[number])
        order_id = put_order(conn, position, routing_id, way, mid)
        conn.execute(
            update(fills)
            .where(fills.c.position_id == position.id, fills.c.side == way[1])
            .values(order_id=order_id)
        )


def put_order(
    conn: Connection,
    position: Position,
    routing_id: UUID,
    way: tuple[str, str],
    mid: Decimal | None,
) -> UUID:
    """Write an order that filled; ``way`` is its purpose and side."""
    purpose, side = way
    order_id, submission_id = new_id(), new_id()
    conn.execute(
        insert(submissions).values(
            id=submission_id,
            account_id=position.account_id,
            venue=position.venue.value,
            signer_address=f"0x{position.id.hex}",
            nonce=1 if purpose == "ENTRY" else 2,
            deadline=NOW,
            payload=b"{}",
            fencing_token=1,
            created_at=NOW,
        )
    )
    conn.execute(
        insert(orders).values(
            id=order_id,
            submission_id=submission_id,
            deployment_id=position.deployment_id,
            account_id=position.account_id,
            signal_id=position.signal_id if purpose == "ENTRY" else None,
            position_id=position.id,
            routing_id=routing_id if purpose == "ENTRY" else None,
            purpose=purpose,
            mid_price=mid,
            venue=position.venue.value,
            token_symbol=position.token,
            market_name=position.token,
            side=side,
            reduce_only=purpose == "EXIT",
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
    return order_id


def compared(conn: Connection) -> list[tuple[Any, ...]]:
    """Return every comparison: venue, whether it was used, and its cost by parts and regret in basis points."""
    kept = routing_regret.c
    rows = conn.execute(select(routing_regret).order_by(kept.computed_at, kept.venue)).all()
    return [
        (
            row.venue,
            row.was_selected,
            row.fees_bps,
            row.slippage_bps,
            row.funding_bps,
            row.cost_bps,
            row.regret_bps,
        )
        for row in rows
    ]


def test_regret_compares_real_costs_with_the_venues_that_were_available(
    system: System, conn: Connection
) -> None:
    agent = open_agent(conn, "a", NOW)
    desk = deploy(conn, agent, 1_000, NOW)
    # 100 USD of notional: fees of 0.20 are 20 bps, funding paid of 0.05 is 5 bps. The mids are not known, so that
    # the expected spread of 2 bps counts: half of it on 100 USD in, half of it on 110 USD out.
    position = close(conn, desk, signal(conn, agent, []), "110", fee="0.10", funding="-0.05")
    routed(conn, desk, position)
    report = compute_regret(system, NOW)
    own = Decimal("2.1")
    assert compared(conn) == [
        ("HYPERLIQUID", True, 20, own, 5, 25 + own, 0),
        ("LIGHTER", False, 0, 5, 0, 5, 20 + own),
    ], (
        "Lighter was not looked at by FIRST_AVAILABLE, but could have taken the trade; Ostium could not"
    )
    assert report.details == {
        "trades_with_a_cheaper_venue": 1,
        # Fees of 9 bps and 2 of spread were expected.
        "average_model_error_bps": pytest.approx(16.1),
    }


def test_slippage_is_measured_against_the_mids_at_which_orders_were_made(
    system: System, conn: Connection
) -> None:
    agent = open_agent(conn, "a", NOW)
    desk = deploy(conn, agent, 1_000, NOW)
    position = close(conn, desk, signal(conn, agent, []), "110")
    # Bought at 100 where the mid was 99.9, sold at 110 where it was 110.2: 0.3 USD lost on 100.
    routed(conn, desk, position, mids=("99.9", "110.2"))
    compute_regret(system, NOW)
    assert compared(conn)[0] == ("HYPERLIQUID", True, 0, 30, 0, 30, 0)


def test_other_venues_funding_counts_as_it_turned_out(system: System, conn: Connection) -> None:
    agent = open_agent(conn, "a", NOW)
    desk = deploy(conn, agent, 1_000, NOW)
    later = NOW + timedelta(hours=10)
    position = trade(conn, desk, (NOW, "100"), (later, "110"), signal_id=signal(conn, agent, []))
    for hours, rate in ((-1, "0.9"), (1, "0.0001"), (9, "0.0003"), (11, "0.9")):
        seen = MarketContext(
            Venue.LIGHTER,
            position.token,
            NOW + timedelta(hours=hours),
            *(None,) * 3,
            None,
            Decimal(rate),
            None,
            None,
        )
        market_store.save_context(conn, [seen])
    routed(conn, desk, position)
    compute_regret(system, later)
    # 0.0002 on average, for ten hours, is 20 bps.
    assert compared(conn)[1] == ("LIGHTER", False, 0, 5, 20, 25, Decimal("2.1") - 25)


def test_regret_is_told_by_strategy_and_venue(system: System, conn: Connection) -> None:
    agent = open_agent(conn, "a", NOW)
    desk = deploy(conn, agent, 1_000, NOW)
    for fee in ("0.10", "0"):
        position = close(conn, desk, signal(conn, agent, []), "100", fee=fee)
        routed(conn, desk, position)
    compute_regret(system, NOW)
    told = regret_by_venue(system)
    assert len(told) == 1
    assert (told[0]["strategy"], told[0]["venue"], told[0]["trades"]) == (
        "FIRST_AVAILABLE",
        "HYPERLIQUID",
        2,
    )
    # 22 and 2 bps against 5 at Lighter: 17 in one case, and nothing to regret in the other.
    assert (told[0]["cost_bps"], told[0]["regret_bps"], told[0]["cheapest"]) == (
        12,
        Decimal("8.5"),
        1,
    )


def test_regret_is_computed_once(system: System, conn: Connection) -> None:
    agent = open_agent(conn, "a", NOW)
    desk = deploy(conn, agent, 1_000, NOW)
    position = close(conn, desk, signal(conn, agent, []), "110")
    routed(conn, desk, position)
    assert compute_regret(system, NOW).rows_in == 1
    assert compute_regret(system, NOW).rows_in == 0


def test_open_positions_and_those_from_outside_have_no_regret(
    system: System, conn: Connection
) -> None:
    agent = open_agent(conn, "a", NOW)
    desk = deploy(conn, agent, 1_000, NOW)
    trade(conn, desk, (NOW, "100"), (NOW, "110"))
    held = trade(conn, desk, (NOW, "100"), signal_id=signal(conn, agent, []))
    routed(conn, desk, held)
    assert compute_regret(system, NOW).rows_in == 0
