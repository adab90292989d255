"""Execute stored tool calls, by the same policy, router, ledger and exits as everything else.

A createPosition is a signal with a quantity, written together with the call; policy, routing and the ledger take it
from there, and its end is read off their rows. A closeAllPosition closes the very positions that the model was shown,
reduce-only. So executing twice does nothing twice, and a process that died leaves nothing behind that is not found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.arena.outcomes import Progress, end_of_closing, end_of_entry
from agentwhere_core.arena.tools import fund_percentage, leverage_of
from agentwhere_core.arena.values import (
    CreatePosition,
    Decision,
    Snapshot,
    ToolCallType,
    TraderModel,
)
from agentwhere_core.domain.enums import ExitReason, Venue
from agentwhere_core.domain.errors import LeaseHeldError, RemoteError
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.market import Market, Quote
from agentwhere_core.domain.trade import Position
from agentwhere_core.execution.exits import ExitDecision
from agentwhere_flow import ledger
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.exits import ExitDesk, clear_protection, close_positions
from agentwhere_flow.outages import Outages
from agentwhere_flow.policy import apply_policies
from agentwhere_flow.report import Tally
from agentwhere_flow.routing import route_signals
from agentwhere_flow.settling import settle
from agentwhere_store import deployments as deployment_store
from agentwhere_store import markets as market_store
from agentwhere_store import positions as position_store
from agentwhere_store.arena import invocations as store
from agentwhere_store.arena import progress
from agentwhere_store.arena.invocations import Decided, Outcome, ToolCall

if TYPE_CHECKING:
    from agentwhere_flow.system import System

_PLACES = Decimal("0.000001")


def decided_calls(
    model: TraderModel,
    snapshot: Snapshot,
    decision: Decision,
    *,
    expires_at: datetime,
    now: datetime,
) -> list[Decided]:
    """Return the rows that a decision's calls become, each accepted createPosition with its signal."""
    decided = []
    for verdict in decision.verdicts:
        call_id = new_id()
        wish = verdict.wish
        signal = None
        if isinstance(wish, CreatePosition):
            signal = _signal(model, snapshot, wish, call_id, (now, expires_at))
        decided.append(Decided(call_id, verdict, signal))
    return decided


def execute_pending(system: System, tally: Tally) -> int:
    """Execute every accepted call that has not ended, and record how those ended that did; return how many did."""
    now = system.clock()
    with system.engine.begin() as conn:
        pending = store.pending_calls(conn)
    if not pending:
        return 0
    alive = [call for call in pending if now < call.expires_at]
    closing = [call for call in alive if call.kind is ToolCallType.CLOSE_POSITION]
    try:
        if closing:
            _close(system, closing, tally)
        if any(call.kind is ToolCallType.CREATE_POSITION for call in alive):
            for use_case in (apply_policies, route_signals, execute_orders):
                report = use_case(system, system.clock())
                tally.problems += report.problems
    except (RemoteError, LeaseHeldError) as error:
        # What is stored stays to be executed: by the next tick of the arena, or of trade execution.
        tally.problems.append(f"tool calls wait for the next tick: {error}")
    return record_outcomes(system)


def record_outcomes(system: System) -> int:
    """Write the end of every accepted call that has one by now, as the ledger tells it; return how many there were."""
    now = system.clock()
    with system.engine.begin() as conn:
        pending = store.pending_calls(conn)
        entries = progress.entries(conn, [call.signal_id for call in pending if call.signal_id])
        to_close = [id_ for call in pending for id_ in call.position_ids]
        closings = progress.closings(conn, to_close, now)
        outcomes = []
        for call in pending:
            if call.signal_id is not None:
                known = entries.get(call.signal_id, Progress())
                ending = end_of_entry(known, call.expires_at, now)
            else:
                meant = [closings[id_] for id_ in call.position_ids if id_ in closings]
                ending = end_of_closing(meant, call.expires_at, now)
            if ending is not None:
                outcomes.append(
                    Outcome(call.id, ending.status, ending.reason, ending.detail, ending.result)
                )
        return store.save_outcomes(conn, outcomes, now)


def _signal(
    model: TraderModel,
    snapshot: Snapshot,
    wish: CreatePosition,
    call_id: UUID,
    life: tuple[datetime, datetime],
) -> Signal:
    market = snapshot.market(wish.token)
    mid = Decimal(market.mid) if market else Decimal(1)

    def distance(price: Decimal | None) -> Decimal | None:
        return None if price is None else (abs(price - mid) / mid * 100).quantize(_PLACES)

    created_at, expires_at = life
    return Signal(
        id=new_id(),
        agent_id=model.agent_id,
        batch=f"arena {call_id}",
        token=wish.token,
        side=wish.side,
        venue=model.venue,
        fund_percentage=fund_percentage(wish, snapshot),
        confidence=Decimal(1),
        leverage=leverage_of(wish, snapshot),
        stop_loss_pct=distance(wish.stop_loss),
        take_profit_pct=distance(wish.take_profit),
        trailing_activation_pct=None,
        trailing_distance_pct=None,
        max_holding_h=None,
        created_at=created_at,
        expires_at=expires_at,
        reasoning=wish.reasoning.replace("\x00", "").encode("utf-8", "replace").decode(),
        explanation={
            "arena": {
                "model": model.name,
                "invocation": snapshot.invocation,
                "tool_call_id": str(call_id),
            }
        },
        quantity=wish.quantity,
    )


def _close(system: System, calls: Sequence[ToolCall], tally: Tally) -> None:
    """Close the positions that calls name and that are still open, through the ledger."""
    wanted = {id_ for call in calls for id_ in call.position_ids}
    now = system.clock()
    with ledger.writer(system, now) as held:
        with system.engine.begin() as conn:
            deployments = deployment_store.deployments(conn)
        accounts = {account.id: account for item in deployments for account in item.accounts}
        settle(system, held, accounts, tally, Outages())
        with system.engine.begin() as conn:
            open_now = [p for p in position_store.open_positions(conn) if p.id in wanted]
            markets = {
                (market.venue, market.token): market
                for market in market_store.markets(conn, tokens={p.token for p in open_now})
            }
        quotes: dict[tuple[Venue, str], Quote] = {}
        by_venue: dict[Venue, list[Market]] = defaultdict(list)
        for place in {(position.venue, position.token) for position in open_now}:
            by_venue[place[0]].append(markets[place])
        for venue, listed in by_venue.items():
            found = system.venues[venue].quotes(listed, now)
            quotes |= {(venue, token): quote for token, quote in found.items()}
        desk = ExitDesk(system, held, accounts, markets, quotes, now)
        decisions = [
            _exit(position, quotes[position.venue, position.token].mid, now)
            for position in open_now
            if (position.venue, position.token) in quotes
        ]
        close_positions(desk, decisions, open_now, tally)
        clear_protection(desk, tally)


def _exit(position: Position, price: Decimal, now: datetime) -> ExitDecision:
    return ExitDecision(
        position_id=position.id,
        token=position.token,
        side=position.side,
        reason=ExitReason.MANUAL,
        price=price,
        level=None,
        at=now,
    )
