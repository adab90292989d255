"""Models that trade side by side, with two baselines."""
# ruff: noqa: PLR0917 - facts of a row, in the order in which one says them

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from agentwhere_core.arena.prompt import full_prompt, snapshot_to_json
from agentwhere_core.arena.values import Snapshot
from agentwhere_core.domain.ids import new_id
from agentwhere_store.tables import arena as tables
from tests.app.showcase.people import agent
from tests.app.showcase.rows import add

RESPONSE = (
    "{token} holds above its 20-period average on both horizons and momentum is {mood}. "
    "I take a small {side} and leave room for a second entry."
)
MODELS = (
    ("Claude", "anthropic/claude", 0.0009),
    ("GPT", "openai/gpt", 0.0005),
    ("DeepSeek", "deepseek/deepseek", 0.0002),
    ("Qwen", "qwen/qwen", -0.0004),
    ("Buy and hold", "baseline/buy-and-hold", 0.0003),
    ("Do nothing", "baseline/do-nothing", 0.0),
)


def models(
    conn: Connection, rng: random.Random, now: datetime, agents: dict[str, dict[str, Any]]
) -> None:
    for name, model, drift in MODELS:
        desk = agent(conn, now, f"arena: {name}", "LIGHTER", "ACTIVE")
        model_id = new_id()
        add(
            conn,
            tables.models,
            {
                "id": model_id,
                "name": name,
                "openrouter_model": model,
                "agent_id": desk["id"],
                "deployment_id": desk["deployment"],
                "markets": ["BTC", "ETH", "SOL"],
                "leverage": {},
                "interval_s": 300,
                "status": "ACTIVE",
                "due_at": now,
                "created_at": now - timedelta(days=14),
                "updated_at": now,
            },
        )
        value, sizes = 10000.0, []
        for hour in range(14 * 24, -1, -1):
            value *= 1 + (rng.gauss(drift / 4, 0.0035) if drift else 0)
            sizes.append(
                {
                    "id": new_id(),
                    "model_id": model_id,
                    "total_value": round(value, 2),
                    "available_cash": round(value / 2, 2),
                    "open_positions": 1,
                    "created_at": now - timedelta(hours=hour),
                }
            )
        add(conn, tables.portfolio_size, *sizes)
        if not model.startswith("baseline/"):
            for number in range(1, 9):
                _invocation(conn, rng, now, model_id, name, number)


def _invocation(
    conn: Connection, rng: random.Random, now: datetime, model_id: UUID, name: str, number: int
) -> None:
    at, invocation = now - timedelta(minutes=5 * (9 - number) + rng.randint(0, 3)), new_id()
    token, side = rng.choice(("BTC", "ETH", "SOL")), rng.choice(("LONG", "SHORT"))
    moment = Snapshot(
        at=f"{at:%Y-%m-%d %H:%M}",
        invocation=number,
        minutes_since_start=5 * number,
        account_value_usd="10120.00",
        available_cash_usd="5060.00",
        capital_usd="10000.00",
        positions=(),
        markets=(),
    )
    mood = "rising" if side == "LONG" else "fading"
    add(
        conn,
        tables.invocations,
        {
            "id": invocation,
            "model_id": model_id,
            "number": number,
            "state": "DONE",
            "prompt_version": "1",
            "prompt": full_prompt(moment),
            "inputs": snapshot_to_json(moment),
            "response": RESPONSE.format(token=token, mood=mood, side=side.lower()),
            "provider_model": name.lower(),
            "prompt_tokens": 2810,
            "completion_tokens": 164,
            "cost_usd": Decimal("0.0113"),
            "latency_ms": rng.randint(900, 5200),
            "created_at": at,
            "updated_at": at,
        },
    )
    if number % 3:
        add(
            conn,
            tables.tool_calls,
            {
                "id": new_id(),
                "invocation_id": invocation,
                "ordinal": 0,
                "round": 1,
                "tool_call_type": "CREATE_POSITION",
                "status": "REFUSED",
                "metadata": {"symbol": token, "side": side, "quantity": "0.02"},
                "position_ids": [],
                "reason": "POSITION_EXISTS",
                "detail": "the account holds this token already",
                "expires_at": at,
                "created_at": at,
                "updated_at": at,
            },
        )
