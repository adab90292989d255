"""A system with a past, written straight into the tables: what the dashboard shows in tests and on its screenshots.

Everything follows from a seed, so that two runs look alike.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from agentwhere_core.domain.enums import Severity, Venue
from agentwhere_flow.alerts import raise_alert
from agentwhere_flow.health import report_health
from agentwhere_flow.report import Tally, step
from agentwhere_flow.setup import setup
from agentwhere_flow.system import System
from agentwhere_store import markets as market_store
from tests.app.showcase.arena import models
from tests.app.showcase.people import agent, history, sources
from tests.app.showcase.rows import DAYS, TOKENS, VENUES
from tests.app.showcase.trades import open_position, trade
from tests.core.examples import market

__all__ = ["furnish", "open_position"]

AGENTS = (
    ("Macro Desk", "MULTI", 0.0021, 0.011, "ACTIVE"),
    ("Momentum Calls", "MULTI", 0.0032, 0.024, "ACTIVE"),
    ("Gold and Rates", "OSTIUM", 0.0008, 0.006, "ACTIVE"),
    ("On-chain Whales", "HYPERLIQUID", -0.0009, 0.019, "ACTIVE"),
    ("Quiet Value", "MULTI", 0.0004, 0.004, "PAUSED"),
    ("Newcomer", "LIGHTER", 0.001, 0.01, "ACTIVE"),
)


def furnish(system: System, now: datetime, seed: int = 11) -> dict[str, UUID]:
    """Fill an empty database; return the agents' ids by name."""
    rng = random.Random(seed)
    setup(system, now - timedelta(days=DAYS))
    with system.engine.begin() as conn:
        _markets(conn, now)
        agents = {name: agent(conn, now, name, venue, status) for name, venue, *_, status in AGENTS}
        for name, _venue, drift, spread, _status in AGENTS:
            history(
                conn, rng, now, agents[name]["id"], drift, spread, 5 if name == "Newcomer" else DAYS
            )
        sources(conn, rng, now, [agent["id"] for agent in agents.values()])
        busy = [agents[name] for name in ("Macro Desk", "Momentum Calls", "Gold and Rates")]
        for number in range(170):
            trade(conn, rng, now, rng.choice(busy), number)
        models(conn, rng, now, agents)
    _operate(system, now)
    return {name: agent["id"] for name, agent in agents.items()}


def _markets(conn: Connection, now: datetime) -> None:
    for venue in VENUES:
        listed = [
            replace(
                market(Venue(venue), token),
                price=Decimal(str(price)),
                last_synced=now - timedelta(hours=9),
            )
            for token, price in TOKENS.items()
        ]
        market_store.replace_list(conn, Venue(venue), listed)


def _operate(system: System, now: datetime) -> None:
    """Let steps have run, health be judged, and two incidents be open."""
    for place, name in enumerate(
        (
            "posts",
            "classified_posts",
            "signals",
            "policy",
            "routing",
            "orders",
            "positions",
            "metrics",
        )
    ):
        _step(name, rows=40 + 7 * place)(system, now - timedelta(seconds=95 - 8 * place))
    report_health(system, now)
    raise_alert(
        system,
        now - timedelta(minutes=42),
        "check:lighter_markets:is_reachable",
        Severity.CRITICAL,
        "lighter_markets: check is_reachable failed",
        "LIGHTER cannot be reached (lighter: no answer within 5 s): check its address and your network, "
        "then run `agentwhere sync-markets LIGHTER`",
    )
    raise_alert(
        system,
        now - timedelta(hours=3),
        "stale:source_scores",
        Severity.WARNING,
        "source_scores is stale",
        "Its last materialization is older than its freshness policy allows. See the job's latest runs.",
    )


def _step(name: str, rows: int) -> Any:
    @step(name)
    def run(_system: System, _now: datetime) -> Tally:
        return Tally(rows_in=rows, rows_out=rows - 3, details={"accounts": 1})

    return run
