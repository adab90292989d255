"""Signals, routing decisions, orders and positions."""
# ruff: noqa: PLR0917 - facts of a row, in the order in which one says them

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from agentwhere_core.domain.ids import new_id
from agentwhere_store.tables import ideas, operations, trading
from agentwhere_store.tables import routing as routing_tables
from tests.app.showcase.rows import TOKENS, VENUES, add

COSTS = {"HYPERLIQUID": 9.4, "OSTIUM": 12.8, "LIGHTER": 1.6}


def open_position(
    conn: Connection, agent: UUID, deployment: UUID, account: UUID, now: datetime, **facts: Any
) -> UUID:
    """Write one open position."""
    position_id = new_id()
    given: dict[str, Any] = {
        "token_symbol": "BTC",
        "venue": "HYPERLIQUID",
        "side": "LONG",
        "size": Decimal("0.05"),
        "entry_price": Decimal(91000),
        "current_price": Decimal(91240),
        "stop_loss_price": Decimal(89180),
        "unrealized_pnl_usd": Decimal(12),
        **facts,
    }
    add(
        conn,
        trading.positions,
        {
            "id": position_id,
            "deployment_id": deployment,
            "agent_id": agent,
            "account_id": account,
            "market_name": given["token_symbol"],
            "peak_size": given["size"],
            "leverage": Decimal(3),
            "status": "OPEN",
            "protection": "PROTECTED",
            "protect_by": None,
            "resting_stop_price": given["stop_loss_price"],
            "opened_at": now,
            "last_marked": now,
            "updated_at": now,
            **given,
        },
    )
    return position_id


def trade(
    conn: Connection, rng: random.Random, now: datetime, desk: dict[str, Any], number: int
) -> None:
    """Write a signal, its routing decision, its order and what became of it."""
    at = (
        now - timedelta(minutes=rng.randint(20, 7 * 24 * 60))
        if number > 12
        else now - timedelta(minutes=10 + 31 * number)
    )
    token = rng.choice(list(TOKENS)) if number > 12 else list(TOKENS)[number % 6]
    side, entry = (
        rng.choice(("LONG", "LONG", "SHORT")),
        Decimal(str(TOKENS[token])) * Decimal(str(round(rng.uniform(0.98, 1.02), 4))),
    )
    signal, routing = new_id(), new_id()
    add(
        conn,
        ideas.signals,
        {
            "id": signal,
            "agent_id": desk["id"],
            "batch": f"b{number}",
            "token": token,
            "side": side,
            "venue": "MULTI",
            "fund_percentage": 8,
            "confidence": round(rng.uniform(0.55, 0.95), 2),
            "leverage": 3,
            "stop_loss_pct": 2,
            "take_profit_pct": 4,
            "reasoning": f"Two sources expect {token} to move {'up' if side == 'LONG' else 'down'} "
            "after the release; nobody disagrees.",
            "source_post_ids": [],
            "created_at": at,
            "expires_at": at + timedelta(hours=6),
        },
    )
    venue = rng.choices((*VENUES, None), (6, 2, 4, 0.6))[0] if number > 12 else VENUES[number % 3]
    add(
        conn,
        routing_tables.venue_routing_history,
        _decision(rng, at, desk, signal, routing, token, venue),
    )
    if venue is None:
        return
    size = (Decimal(6000) / entry).quantize(Decimal("0.00001"))
    position = _position(
        conn, rng, now, desk, at, signal, token, side, venue, entry, size, is_open=number < 12
    )
    _orders(conn, at, desk, signal, routing, position, token, side, venue, entry, size, number)
    if number >= 12:
        cost = COSTS[venue] + rng.gauss(0, 2)
        add(
            conn,
            operations.routing_regret,
            *(
                {
                    "id": new_id(),
                    "routing_id": routing,
                    "position_id": position,
                    "venue": other,
                    "was_selected": other == venue,
                    "cost_bps": round(cost if other == venue else COSTS[other], 3),
                    "regret_bps": 0 if other == venue else round(cost - COSTS[other], 3),
                    "regret_usd": 0,
                    "computed_at": at,
                }
                for other in VENUES
            ),
        )


def _decision(
    rng: random.Random,
    at: datetime,
    desk: dict[str, Any],
    signal: UUID,
    routing: UUID,
    token: str,
    venue: str | None,
) -> dict[str, Any]:
    def checked(other: str) -> dict[str, Any]:
        is_there = venue is not None and (other != "LIGHTER" or venue == "LIGHTER")
        total = round(COSTS[other] + rng.uniform(-1, 1), 2)
        cost = {
            "taker_fee": total - 2,
            "spread": 1,
            "impact": 0.6,
            "funding": 0.4,
            "fixed": 0,
            "total": total,
        }
        return {
            "venue": other,
            "available": is_there,
            "reason": "AVAILABLE" if is_there else "MARKET_STALE",
            "detail": "" if is_there else f"{other} last told its price of {token} 31 hours ago",
            "cost_bps": cost if is_there else None,
        }

    chosen = (
        f"{venue.title()} is the first venue of the priority where {token} can be traded now."
        if venue
        else f"No venue can trade {token} now: the signal is skipped."
    )
    return {
        "id": routing,
        "signal_id": signal,
        "deployment_id": desk["deployment"],
        "token_symbol": token,
        "requested_venue": "MULTI",
        "selected_venue": venue,
        "routing_reason": "FIRST_AVAILABLE" if venue else "NO_VENUE_AVAILABLE",
        "story": chosen,
        "checked_venues": list(VENUES),
        "venue_availability": [checked(other) for other in VENUES],
        "routing_strategy": rng.choice(("FIRST_AVAILABLE", "LOWEST_FEES")),
        "config_version": 1,
        "routing_duration_ms": round(rng.uniform(0.4, 6), 3),
        "created_at": at,
    }


def _position(
    conn: Connection,
    rng: random.Random,
    now: datetime,
    desk: dict[str, Any],
    at: datetime,
    signal: UUID,
    token: str,
    side: str,
    venue: str,
    entry: Decimal,
    size: Decimal,
    *,
    is_open: bool,
) -> UUID:
    sign = 1 if side == "LONG" else -1
    move = Decimal(str(round(rng.gauss(0.003, 0.014), 5)))
    price, pnl = entry * (1 + sign * move), entry * size * move
    position, stop = new_id(), entry * (1 - sign * Decimal("0.02"))
    common = {
        "id": position,
        "deployment_id": desk["deployment"],
        "agent_id": desk["id"],
        "account_id": desk["accounts"][venue],
        "signal_id": signal,
        "venue": venue,
        "token_symbol": token,
        "market_name": token,
        "side": side,
        "peak_size": size,
        "entry_price": entry,
        "leverage": 3,
        "take_profit_price": entry * (1 + sign * Decimal("0.04")),
        "fees_usd": Decimal("2.71"),
        "funding_usd": Decimal("-0.35"),
        "opened_at": at,
        "updated_at": now,
    }
    if is_open:
        state = {
            "size": size,
            "status": "OPEN",
            "current_price": price,
            "unrealized_pnl_usd": pnl,
            "last_marked": now,
            **_protection(token, stop, now),
            "liquidation_price": entry * (1 - sign * Decimal("0.31")),
        }
    else:
        state = {
            "size": 0,
            "status": "CLOSED",
            "exit_price": price,
            "realized_pnl_usd": pnl,
            "closed_at": min(now, at + timedelta(hours=5)),
            "exit_reason": rng.choice(
                ("TAKE_PROFIT", "STOP_LOSS", "TRAILING_STOP", "MAX_HOLDING_TIME")
            ),
            "stop_loss_price": stop,
        }
    account_is_free = True
    if is_open:
        held = trading.positions.c
        account_is_free = (
            conn.execute(
                select(held.id).where(
                    held.account_id == desk["accounts"][venue],
                    held.token_symbol == token,
                    held.status == "OPEN",
                )
            ).first()
            is None
        )
    if not account_is_free:
        state = {
            "size": 0,
            "status": "CLOSED",
            "exit_price": price,
            "realized_pnl_usd": pnl,
            "closed_at": now,
            "exit_reason": "MANUAL",
        }
    add(conn, trading.positions, common | state)
    return position


def _protection(token: str, stop: Decimal, now: datetime) -> dict[str, Any]:
    """Give each state of protection an example."""
    if token == "EURUSD":
        return {"stop_loss_price": None, "protection": "WAIVED", "protect_by": None}
    if token == "DOGE":
        late = now + timedelta(minutes=3)
        return {"stop_loss_price": stop, "protection": "MISSING", "protect_by": late}
    rests = {"protection": "PROTECTED", "protect_by": None, "resting_stop_price": stop}
    return {"stop_loss_price": stop, **rests}


def _orders(
    conn: Connection,
    at: datetime,
    desk: dict[str, Any],
    signal: UUID,
    routing: UUID,
    position: UUID,
    token: str,
    side: str,
    venue: str,
    entry: Decimal,
    size: Decimal,
    number: int,
) -> None:
    submission = new_id()
    add(
        conn,
        trading.submissions,
        {
            "id": submission,
            "account_id": desk["accounts"][venue],
            "venue": venue,
            "signer_address": "0x" + "6c" * 20,
            "nonce": number + 1,
            "payload": b"{}",
            "fencing_token": 1,
            "deadline": at,
            "created_at": at,
        },
    )
    opening, closing = ("BUY", "SELL") if side == "LONG" else ("SELL", "BUY")
    common = {
        "submission_id": submission,
        "deployment_id": desk["deployment"],
        "account_id": desk["accounts"][venue],
        "signal_id": signal,
        "position_id": position,
        "routing_id": routing,
        "venue": venue,
        "token_symbol": token,
        "market_name": token,
        "size": size,
        "leverage": 3,
        "created_at": at,
        "updated_at": at,
    }
    kinds = [("ENTRY", opening, False, "FILLED", None)]
    if number < 12 and token != "EURUSD" and number % 4:
        kinds.append(("STOP_LOSS", closing, True, "ACKED", entry * Decimal("0.98")))
    for purpose, direction, reduces, state, trigger in kinds:
        add(
            conn,
            trading.orders,
            common
            | {
                "id": new_id(),
                "purpose": purpose,
                "side": direction,
                "reduce_only": reduces,
                "limit_price": entry,
                "trigger_price": trigger,
                "client_id": new_id().hex,
                "state": state,
                "filled_size": size if state == "FILLED" else 0,
                "average_price": entry if state == "FILLED" else None,
            },
        )
