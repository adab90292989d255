"""Agents with their deployments and figures, and the sources that they follow."""
# ruff: noqa: PLR0917 - facts of a row, in the order in which one says them

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from agentwhere_core.domain.ids import new_id
from agentwhere_store.tables import ideas, operations, trading
from tests.app.showcase.rows import DAYS, VENUES, add

SOURCES = ("deltaone", "rektcapital", "tier10k", "hsakatrades", "zerohedge", "lookonchain")
FEEDS = ("Research Notes", "Rates Weekly")


def agent(conn: Connection, now: datetime, name: str, venue: str, status: str) -> dict[str, Any]:
    agent, deployment, began = new_id(), new_id(), now - timedelta(days=DAYS)
    stamps = {"created_at": began, "updated_at": began}
    add(
        conn,
        ideas.agents,
        {
            "id": agent,
            "name": name,
            "creator_wallet": "0x" + "4a" * 20,
            "venue": venue,
            "status": status,
            "leverage": 3,
            "stop_loss_pct": 2,
            "take_profit_pct": 4,
            **stamps,
        },
    )
    add(
        conn,
        trading.deployments,
        {
            "id": deployment,
            "agent_id": agent,
            "name": f"{name.split(maxsplit=1)[0].lower()}-main",
            "subscriber_wallet": "0x" + "5b" * 20,
            "capital_usd": 25000,
            "status": "ACTIVE",
            **stamps,
        },
    )
    accounts = {at: new_id() for at in VENUES}
    add(
        conn,
        trading.venue_accounts,
        *(
            {
                "id": id_,
                "deployment_id": deployment,
                "venue": at,
                "address": f"0x{id_.hex}",
                "signer_address": "0x" + "6c" * 20,
                "key_name": "none",
                "created_at": began,
                "last_queried": now - timedelta(minutes=2),
            }
            for at, id_ in accounts.items()
        ),
    )
    return {"id": agent, "deployment": deployment, "accounts": accounts}


def history(
    conn: Connection,
    rng: random.Random,
    now: datetime,
    agent: UUID,
    drift: float,
    spread: float,
    days: int,
) -> None:
    """Write equity day by day, and figures that belong to it well enough for a page."""
    equity, curve = 25000.0, []
    for _ in range(days):
        equity *= 1 + rng.gauss(drift, spread)
        curve.append(equity)
    rows = [
        {
            "agent_id": agent,
            "as_of": (now - timedelta(days=days - place)).date(),
            **_figures(curve[: place + 1], drift, spread),
            "closed_positions": place // 2,
            "net_pnl_usd": round(value - 25000, 2),
            "equity_usd": round(value, 2),
            "computed_at": now,
        }
        for place, value in enumerate(curve)
    ]
    add(conn, operations.agent_metrics_history, *rows)
    add(conn, operations.agent_metrics, rows[-1])


def _figures(curve: Sequence[float], drift: float, spread: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for window, length in (("30d", 30), ("90d", 90), ("si", DAYS)):
        part = curve[-length:]
        days = len(part)
        total = part[-1] / part[0] - 1
        sharpe = math.sqrt(365) * drift / spread + (total * 3)
        peak, deepest = part[0], 0.0
        for value in part:
            peak = max(peak, value)
            deepest = min(deepest, value / peak - 1)
        known = days >= 7
        values = {
            "apr": total * 365 / days,
            "sharpe": sharpe,
            "sharpe_low": sharpe - 20 / math.sqrt(days),
            "sharpe_high": sharpe + 20 / math.sqrt(days),
            "sortino": sharpe * 1.4,
            "max_drawdown": deepest,
            "cagr": (1 + total) ** (365 / days) - 1,
            "volatility": spread * math.sqrt(365),
            "profit_factor": 1 + 12 * drift / spread,
            "win_rate": 0.5 + 2 * drift / spread / 10,
            "total_return": total,
        }
        found |= {
            f"{name}_{window}": round(value, 6) if known or name == "total_return" else None
            for name, value in values.items()
        }
        found[f"days_{window}"] = days
    return found


def sources(conn: Connection, rng: random.Random, now: datetime, agents: Sequence[UUID]) -> None:
    for place, name in enumerate((*SOURCES, *FEEDS)):
        source, is_feed = new_id(), name in FEEDS
        stamps = {"id": source, "created_at": now, "last_fetched": now - timedelta(hours=2)}
        if is_feed:
            add(
                conn,
                ideas.research_sources,
                {**stamps, "url": f"https://research.example/{place}.xml", "title": name},
            )
        else:
            add(
                conn,
                ideas.x_accounts,
                {
                    **stamps,
                    "handle": name,
                    "last_error": "401: the bearer token was refused" if place == 4 else None,
                },
            )
        link = "research_source_id" if is_feed else "x_account_id"
        for agent in rng.sample(list(agents), 2):
            add(conn, ideas.agent_sources, {"id": new_id(), "agent_id": agent, link: source})
        if place == 5:
            continue
        closed = rng.randint(6, 90)
        hits = round(closed * rng.uniform(0.38, 0.66))
        rate, room = hits / closed, 0.98 / math.sqrt(closed)
        add(
            conn,
            operations.source_scores,
            {
                "source_id": source,
                "source_kind": "FEED" if is_feed else "X",
                "signals": closed + rng.randint(3, 30),
                "closed": closed,
                "hits": hits,
                "hit_rate": rate,
                "hit_rate_low": max(0, rate - room),
                "hit_rate_high": min(1, rate + room),
                "pnl_usd": round((rate - 0.47) * closed * 130, 2),
                "weight": round(min(1, 0.3 + rate * 0.9), 2),
                "computed_at": now,
            },
        )
