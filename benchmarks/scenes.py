"""What the benchmarks work on: markets, trades to be routed, and tables full of rows, written by COPY."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import Connection, Table

from agentwhere_core.domain.enums import PolicyOutcome, RoutingStrategy, Side, Venue
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.market import Book, Market
from agentwhere_core.domain.routing import FundsAt, RoutingConfig
from agentwhere_core.domain.trade import PolicyDecision
from agentwhere_core.where.scene import RouteRequest, Scene, Site, Standing
from agentwhere_store import policy as policy_store
from agentwhere_store import routing as routing_store
from agentwhere_store import signals as signal_store
from agentwhere_store.tables.ideas import agents
from agentwhere_store.tables.trading import deployments, venue_accounts

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HL, OSTIUM, LIGHTER = Venue.HYPERLIQUID, Venue.OSTIUM, Venue.LIGHTER
EVERYWHERE = (HL, OSTIUM, LIGHTER)
CONFIG = RoutingConfig(
    venue_priority=(HL, OSTIUM, LIGHTER),
    routing_strategy=RoutingStrategy.FIRST_AVAILABLE,
    failover_enabled=True,
)
FUNDS = FundsAt(
    equity_usd=Decimal(10_000),
    free_margin_usd=Decimal(9_000),
    open_tokens=frozenset({"ETH", "SOL"}),
)
STANDINGS = dict.fromkeys(EVERYWHERE, Standing(FUNDS))
REQUEST = RouteRequest("BTC", Side.LONG, margin_usd=Decimal(500), leverage=Decimal(3))


def market(venue: Venue, token: str = "BTC") -> Market:
    """Return a liquid, open market."""
    return Market(
        venue=venue,
        token=token,
        market_name=token,
        market_index=0,
        size_multiplier=Decimal(1),
        is_active=True,
        group="CRYPTO",
        size_decimals=5,
        price_decimals=None,
        min_size=Decimal(0),
        min_notional_usd=Decimal(10),
        max_leverage=Decimal(40),
        taker_fee_bps=Decimal("4.5"),
        oracle_fee_usd=Decimal(0),
        price=Decimal("104250.5"),
        spread_bps=Decimal("0.96"),
        volume_24h_usd=Decimal("3120456789.12"),
        open_interest_usd=Decimal("2034567890.5"),
        funding_hourly=Decimal("0.0000125"),
        change_24h=Decimal("0.0123"),
        is_open=True,
        opens_at=None,
        last_synced=NOW - timedelta(hours=9),
    )


def chosen_at_once(token: str = "BTC", config: RoutingConfig = CONFIG) -> Scene:
    """Return a scene whose first venue takes the trade of who has funds there."""
    return Scene(token, config, {venue: Site(market(venue, token)) for venue in EVERYWHERE}, NOW)


def chosen_last() -> Scene:
    """Return a scene of which only the third venue takes the trade."""
    sites = {
        HL: Site(market(HL), is_healthy=False),
        OSTIUM: Site(None),
        LIGHTER: Site(market(LIGHTER)),
    }
    return Scene("BTC", CONFIG, sites, NOW)


def book(venue: Venue, *, levels: int = 20) -> Book:
    """Return a book as deep as Hyperliquid shows it."""
    mid, size = Decimal("104250.5"), Decimal("1.5")
    return Book(
        venue,
        "BTC",
        bids=tuple((mid - 5 - 10 * level, size) for level in range(levels)),
        asks=tuple((mid + 5 + 10 * level, size) for level in range(levels)),
        at=NOW,
    )


def copy_rows(conn: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows, all with the same columns, by COPY."""
    found = iter(rows)
    first = next(found)
    names = ", ".join(f'"{name}"' for name in first)
    driver = conn.connection.driver_connection
    assert driver is not None
    with driver.cursor().copy(f"COPY {table.fullname} ({names}) FROM STDIN") as copy:
        for row in (first, *found):
            copy.write_row([_value(value) for value in row.values()])


def _value(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, dict) else value


def agent_row(name: str, venue: Venue = Venue.MULTI) -> dict[str, Any]:
    """Return an agent's row."""
    return {
        "id": new_id(),
        "name": name,
        "creator_wallet": "0xcreator",
        "venue": venue.value,
        "status": "ACTIVE",
        "created_at": NOW - timedelta(days=100),
        "updated_at": NOW,
    }


def deployment_row(agent_id: Any, name: str) -> dict[str, Any]:
    """Return a deployment's row."""
    return {
        "id": new_id(),
        "agent_id": agent_id,
        "name": name,
        "subscriber_wallet": "0xsubscriber",
        "capital_usd": Decimal(10_000),
        "created_at": NOW - timedelta(days=100),
        "updated_at": NOW,
    }


def account_row(deployment_id: Any) -> dict[str, Any]:
    """Return the row of an account on Hyperliquid."""
    return {
        "id": new_id(),
        "deployment_id": deployment_id,
        "venue": HL.value,
        "address": f"0x{new_id().hex}",
        "signer_address": "0xsigner",
        "key_name": "none",
        "created_at": NOW - timedelta(days=100),
    }


def write_routing_work(conn: Connection, *, signals: int, deployments_of_agent: int) -> None:
    """Write one agent whose ``signals`` passed the policy of each of its deployments, on markets of their own."""
    agent = agent_row("Bench")
    copy_rows(conn, agents, [agent])
    desks = [deployment_row(agent["id"], f"d{n}") for n in range(deployments_of_agent)]
    copy_rows(conn, deployments, desks)
    copy_rows(conn, venue_accounts, [account_row(desk["id"]) for desk in desks])
    made = [signal(agent["id"], f"T{n}") for n in range(signals)]
    signal_store.insert_signals(conn, made)
    routing_store.put_routing_config(conn, None, CONFIG, NOW)
    decided = [
        PolicyDecision(
            signal_id=signal.id,
            deployment_id=desk["id"],
            outcome=PolicyOutcome.PASSED,
            fund_percentage=signal.fund_percentage,
            leverage=signal.leverage,
            reasons=(),
        )
        for signal in made
        for desk in desks
    ]
    policy_store.save_policy_decisions(conn, decided, NOW)


def signal(agent_id: Any, token: str) -> Signal:
    """Return a signal of the agent that lives for six hours."""
    return Signal(
        id=new_id(),
        agent_id=agent_id,
        batch="bench",
        token=token,
        side=Side.LONG,
        venue=Venue.MULTI,
        fund_percentage=Decimal("0.5"),
        confidence=Decimal("0.8"),
        leverage=Decimal(2),
        stop_loss_pct=Decimal(5),
        take_profit_pct=Decimal(10),
        trailing_activation_pct=None,
        trailing_distance_pct=None,
        max_holding_h=None,
        created_at=NOW,
        expires_at=NOW + timedelta(hours=6),
        reasoning="a benchmark wants it",
    )
