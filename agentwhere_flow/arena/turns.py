"""Turns: invoke every model whose time has come, each by itself, and execute what it decides.

Who holds a model's lease is the only one at work on it; a turn that comes while the one before is still at work is
left out and counted. What an invocation asks for is committed before anything of it is executed, so that a process
may die anywhere: the next one finds the stored calls, and executes each of them once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.arena.baselines import decide_by_rule
from agentwhere_core.arena.conversation import converse
from agentwhere_core.arena.values import Decision, Snapshot, TraderModel, Usage
from agentwhere_core.domain.errors import AgentWhereError
from agentwhere_core.domain.reasons import Reason
from agentwhere_flow.arena.budgets import tell_solvent, tell_spent
from agentwhere_flow.arena.calls import decided_calls, execute_pending, record_outcomes
from agentwhere_flow.arena.portfolio import size_accounts
from agentwhere_flow.arena.scene import read_snapshots
from agentwhere_flow.report import Tally, step
from agentwhere_store.arena import invocations as store
from agentwhere_store.arena import models as model_store
from agentwhere_store.arena.invocations import Decided
from agentwhere_store.arena.models import Record
from agentwhere_store.leases import free_leases

if TYPE_CHECKING:
    from agentwhere_flow.system import System

GATHER_S = 2.0
"""How long the first answer waits for others, so that several are executed in one pass."""

_LEAST_LIFE = timedelta(seconds=60)
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class _Turn:
    """One model's invocation under way."""

    model: TraderModel
    snapshot: Snapshot
    invocation_id: UUID


def lease_name(model: TraderModel) -> str:
    """Return the name of the lease that says who is at work on a model."""
    return f"arena {model.id}"


@step("model_invocations")
def invoke_models(system: System, now: datetime, names: Collection[str] | None = None) -> Tally:
    """Invoke all models that are due (or those of ``names`` that are), and bring earlier tool calls to their end."""
    tally = Tally()
    with system.engine.begin() as conn:
        everyone = model_store.all_models(conn)
        due = [m for m in model_store.due_models(conn, now) if names is None or m.name in names]
        stuck = store.running_models(conn)
    concerned = [m for m in everyone if m in due or m.id in stuck]
    holder = system.run_id or "command line"
    with free_leases(system.engine, [lease_name(m) for m in concerned], holder, now) as held:
        mine = [model for model in concerned if lease_name(model) in held]
        _recover(system, mine, tally)
        turns = _begin(system, _admit(system, due, mine, now, tally), now, tally)
        at_work = {turn.model.id for turn in turns}
        for model in mine:
            if model.id not in at_work:
                held.give_back(lease_name(model))
        for decided in _ask(system, turns):
            _execute(system, decided, tally)
            # A slow model must not keep the others from their next turn.
            for turn in decided:
                held.give_back(lease_name(turn.model))
        record_outcomes(system)
    tally.rows_in = len(due)
    _count(system, tally, turns)
    return tally


def _recover(system: System, mine: Sequence[TraderModel], tally: Tally) -> None:
    """Go on with what a dead process left: interrupted questions are recorded, stored calls executed."""
    now = system.clock()
    with system.engine.begin() as conn:
        interrupted = sum(store.interrupt(conn, model.id, now) for model in mine)
        left = store.decided_of(conn, [model.id for model in mine])
    if interrupted:
        tally.refuse(Reason.INTERRUPTED, interrupted)
    execute_pending(system, tally)
    with system.engine.begin() as conn:
        store.finish(conn, left, system.clock())
    tally.details |= {"interrupted": interrupted, "recovered": len(left)}


def _admit(
    system: System,
    due: Sequence[TraderModel],
    mine: Sequence[TraderModel],
    now: datetime,
    tally: Tally,
) -> list[TraderModel]:
    """Return the models whose turn this process has now; others are skipped, and counted."""
    held = {model.id for model in mine}
    admitted, spent = [], []
    with system.engine.begin() as conn:
        records = model_store.records(conn, now)
        busy = store.running_models(conn)
        for model in due:
            if model.id not in held:
                # Else whoever has the lease took it for this very turn, and is about to claim it.
                if model.id in busy and model_store.skip_turn(conn, model, now):
                    tally.refuse(Reason.STILL_RUNNING)
            elif model_store.claim_turn(conn, model, now):
                if _may_spend(model, records.get(model.id, Record()), tally):
                    admitted.append(model)
                else:
                    tally.refuse(Reason.BUDGET_SPENT)
                    spent.append((model, records[model.id].cost_today_usd))
    for model, cost_today_usd in spent:
        tell_spent(system, now, model, cost_today_usd)
    tell_solvent(system, now, [model for model in admitted if not model.is_baseline])
    return admitted


def _may_spend(model: TraderModel, record: Record, tally: Tally) -> bool:
    if model.budget_usd_per_day is None or model.is_baseline:
        return True
    if record.unpriced:
        tally.problems.append(
            f"{model.name}: its provider states no cost, so that its budget cannot be kept; set "
            "AGENTWHERE_PROMPT_PRICE_PER_MILLION_USD and AGENTWHERE_COMPLETION_PRICE_PER_MILLION_USD"
        )
    return record.cost_today_usd < model.budget_usd_per_day


def _begin(
    system: System, admitted: Sequence[TraderModel], now: datetime, tally: Tally
) -> list[_Turn]:
    """Read what the models see, and write their invocations with it."""
    if not admitted:
        return []
    snapshots = read_snapshots(system, now, admitted, tally)
    with system.engine.begin() as conn:
        return [
            _Turn(
                model,
                snapshots[model.id],
                store.begin(conn, model.id, snapshots[model.id], system.run_id, system.clock()),
            )
            for model in admitted
            if model.id in snapshots
        ]


def _ask(system: System, turns: Sequence[_Turn]) -> Iterator[list[_Turn]]:
    """Ask all models side by side; yield turns whose decisions are stored, as they come in."""
    if not turns:
        return
    with ThreadPoolExecutor(system.settings.llm_concurrency) as pool:
        waiting: dict[Future[Decision], _Turn] = {
            pool.submit(_decide, system, turn): turn for turn in turns
        }
        wait(waiting, timeout=GATHER_S)
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            ready = [(waiting.pop(future), future.result()) for future in done]
            for turn, decision in ready:
                _store(system, turn, decision)
            yield [turn for turn, _ in ready]


def _decide(system: System, turn: _Turn) -> Decision:
    """Return one model's decision; its failure is its own."""
    model = turn.model
    try:
        if model.is_baseline:
            return decide_by_rule(model.openrouter_model, turn.snapshot)
        decision = converse(system.provider, model.openrouter_model, turn.snapshot)
        return replace(decision, usage=_priced(system, decision.usage))
    except AgentWhereError as error:
        return Decision((), "", Usage(), Reason.MODEL_UNAVAILABLE, str(error))


def _store(system: System, turn: _Turn, decision: Decision) -> None:
    """Commit what was decided, before anything of it is executed."""
    now = system.clock()
    expires_at = now + max(turn.model.interval, _LEAST_LIFE)
    decided: list[Decided] = decided_calls(
        turn.model, turn.snapshot, decision, expires_at=expires_at, now=now
    )
    with system.engine.begin() as conn:
        store.decide(conn, turn.invocation_id, decision, decided, expires_at=expires_at, now=now)


def _execute(system: System, turns: Sequence[_Turn], tally: Tally) -> None:
    """Execute what a few turns decided, and record what their accounts are worth then."""
    execute_pending(system, tally)
    by_model = {turn.model.id: turn.invocation_id for turn in turns}
    size_accounts(system, [turn.model for turn in turns], by_model, tally)
    with system.engine.begin() as conn:
        store.finish(conn, [turn.invocation_id for turn in turns], system.clock())


def _priced(system: System, usage: Usage) -> Usage:
    """Return the usage with its cost, by the configured prices where the provider states none."""
    settings = system.settings
    prompt, completion = (
        settings.prompt_price_per_million_usd,
        settings.completion_price_per_million_usd,
    )
    if usage.cost_usd is not None or prompt is None or completion is None:
        return usage
    cost = (usage.prompt_tokens * prompt + usage.completion_tokens * completion) / _MILLION
    return replace(usage, cost_usd=cost)


def _count(system: System, tally: Tally, turns: Sequence[_Turn]) -> None:
    """Put what happened into the report."""
    with system.engine.begin() as conn:
        calls = store.calls_of(conn, [turn.invocation_id for turn in turns])
        ended = store.briefs(conn, [turn.invocation_id for turn in turns])
    statuses: Counter[str] = Counter()
    by_model: dict[str, dict[str, str | int]] = {}
    cost = Decimal(0)
    for turn in turns:
        mine = calls.get(turn.invocation_id, [])
        brief = ended[turn.invocation_id]
        statuses.update(call.status.value for call in mine)
        for call in mine:
            if call.reason is not None:
                tally.refuse(Reason(call.reason))
        cost += brief.cost_usd or Decimal(0)
        tally.table.append(
            {
                "model": turn.model.name,
                "invocation": turn.snapshot.invocation,
                "state": brief.state.value,
                "calls": ", ".join(f"{call.kind.value} {call.status.value}" for call in mine),
                "cost_usd": brief.cost_usd,
                "reason": brief.reason,
            }
        )
        by_model[turn.model.name] = {
            "invocation": turn.snapshot.invocation,
            "state": brief.state.value,
            "tool_calls": len(mine),
            "cost_usd": str(brief.cost_usd or 0),
        }
        if brief.error:
            tally.problems.append(f"{turn.model.name}: {brief.error}")
    tally.rows_out = len(turns)
    tally.details |= {"tool_calls": dict(statuses), "cost_usd": str(cost), "models": by_model}
