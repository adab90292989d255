"""Agent What, last step: turn what agents' sources proposed into sized signals.

Signals come in batches, one for each slot of six hours: a run that is repeated in its slot makes nothing new, and a
post that arrives late in the slot can still make a signal on another token, out of what is left of the batch's budget.
A token needs at least one post from which the agent has not drawn its conclusion yet: an old post alone trades once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.idea import Agent, ScoredMention, Signal
from agentwhere_core.domain.market import MarketContext
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.performance.sources import NEW_SOURCE_WEIGHT
from agentwhere_core.what.context import context_factor
from agentwhere_core.what.signals import SignalPlan, SignalRefusal, SizingRules, build_signals
from agentwhere_flow.context import collect_context, most_telling
from agentwhere_flow.report import Tally, step
from agentwhere_store import agents as agent_store
from agentwhere_store import posts as post_store
from agentwhere_store import signals as signal_store
from agentwhere_store import sources as source_store
from agentwhere_store.leases import lease
from agentwhere_store.posts import AgentMention
from agentwhere_store.signals import UsedPost

if TYPE_CHECKING:
    from agentwhere_flow.settings import Settings
    from agentwhere_flow.system import System

LEASE = "signals"
LEASE_WAIT_S = 120
SLOT_H = 6


@dataclass(frozen=True, slots=True)
class _Batch:
    """What the signals of one batch are made from."""

    name: str
    now: datetime
    mentions: Mapping[UUID, Sequence[AgentMention]]
    agents: Sequence[Agent]
    weights: Mapping[UUID, Decimal]
    live: Mapping[UUID, Mapping[str, datetime]]
    spent: Mapping[UUID, Decimal]
    held: Mapping[UUID, frozenset[str]]

    @property
    def tokens(self) -> frozenset[str]:
        """Every token that a signal could be made on."""
        return frozenset(item.token for items in self.mentions.values() for item in items)


def batch_of(now: datetime) -> str:
    """Return the name of the slot that ``now`` lies in, e.g. ``2026-11-20T18:00Z``."""
    return f"{now:%Y-%m-%d}T{now.hour - now.hour % SLOT_H:02d}:00Z"


@step("signals")
def generate_signals(system: System, now: datetime, batch: str | None = None) -> Tally:
    """Make the signals of all active agents from the mentions of the signal window.

    Parameters
    ----------
    batch
        Name of the batch; the present slot if None.

    Raises
    ------
    LeaseHeldError
        If another process has been making signals for more than two minutes.
    """
    tally = Tally()
    with lease(system.engine, LEASE, system.run_id or "command line", now, wait_s=LEASE_WAIT_S):
        material = _read(system, now, batch or batch_of(now))
        tally.rows_in = sum(len(items) for items in material.mentions.values())
        contexts: Sequence[MarketContext] = ()
        if material.tokens:
            contexts = collect_context(system, now, material.tokens, tally, only_focus=True)
        plans = {
            agent.id: _plan(system.settings, agent, material, contexts)
            for agent in material.agents
            if agent.id in material.mentions
        }
        _write(system, plans, material, tally)
    tally.details |= {
        "batch": material.name,
        "agents": len(material.agents),
        "agents_with_news": len(plans),
    }
    tally.table += _table(material.agents, plans)
    return tally


def _read(system: System, now: datetime, batch: str) -> _Batch:
    since = now - timedelta(hours=system.settings.signal_window_h)
    with system.engine.begin() as conn:
        used = signal_store.used_posts(conn, since)
        return _Batch(
            name=batch,
            now=now,
            mentions=_with_news(post_store.mentions_since(conn, since), used),
            agents=agent_store.active_agents(conn),
            weights=source_store.source_weights(conn),
            live=signal_store.live_signals(conn, now),
            spent=signal_store.spent_budget(conn, batch),
            held=signal_store.tokens_held_by_all(conn),
        )


def _with_news(
    mentions: Sequence[AgentMention], used: set[UsedPost]
) -> dict[UUID, list[AgentMention]]:
    """Group mentions by agent, leaving out tokens on which every post has been used before."""
    by_token: dict[tuple[UUID, str], list[AgentMention]] = defaultdict(list)
    for item in mentions:
        by_token[item.agent_id, item.token].append(item)
    found: dict[UUID, list[AgentMention]] = defaultdict(list)
    for (agent_id, token), items in by_token.items():
        if any(UsedPost(agent_id, token, item.post_id) not in used for item in items):
            found[agent_id] += items
    return dict(found)


def _plan(
    settings: Settings, agent: Agent, batch: _Batch, contexts: Sequence[MarketContext]
) -> SignalPlan:
    """Decide what one agent makes of its mentions, within what is left of its batch's budget."""
    its_contexts = most_telling(contexts, agent.venue)
    mentions = [_scored(item, batch.weights, its_contexts) for item in batch.mentions[agent.id]]
    left = settings.size_budget_pct - batch.spent.get(agent.id, Decimal(0))
    if left <= 0:
        return _nothing_left(mentions, batch.name)
    rules = SizingRules(
        cap_pct=settings.size_cap_pct,
        budget_pct=left,
        curvature=settings.size_curvature,
        corroboration_pct=settings.corroboration_pct,
        window=timedelta(hours=settings.signal_window_h),
        ttl=timedelta(hours=settings.signal_ttl_h),
    )
    return build_signals(
        agent,
        mentions,
        batch.live.get(agent.id, {}),
        batch.now,
        batch.name,
        settings=rules,
        contexts=its_contexts,
        held=batch.held.get(agent.id, frozenset()),
    )


def _scored(
    item: AgentMention,
    weights: Mapping[UUID, Decimal],
    contexts: Mapping[str, MarketContext],
) -> ScoredMention:
    return ScoredMention(
        post_id=item.post_id,
        source_id=item.source_id,
        token=item.token,
        side=item.side,
        confidence=item.confidence,
        source_weight=weights.get(item.source_id, NEW_SOURCE_WEIGHT),
        context_factor=context_factor(contexts.get(item.token)),
        published_at=item.published_at,
        horizon=item.horizon,
        content_hash=item.content_hash,
    )


def _nothing_left(mentions: Sequence[ScoredMention], batch: str) -> SignalPlan:
    posts: dict[str, list[UUID]] = defaultdict(list)
    for mention in mentions:
        posts[mention.token].append(mention.post_id)
    detail = f"the budget of batch {batch} is used up"
    return SignalPlan(
        (),
        tuple(
            SignalRefusal(token, Reason.SIZE_ROUNDS_TO_ZERO, detail, tuple(post_ids))
            for token, post_ids in sorted(posts.items())
        ),
    )


def _write(system: System, plans: Mapping[UUID, SignalPlan], batch: _Batch, tally: Tally) -> None:
    with system.engine.begin() as conn:
        made = [signal for plan in plans.values() for signal in plan.signals]
        tally.rows_out = signal_store.insert_signals(conn, made)
        for agent_id, plan in plans.items():
            signal_store.insert_refusals(conn, agent_id, batch.name, plan.refusals, batch.now)
            for refusal in plan.refusals:
                tally.refuse(refusal.reason)


def _table(agents: Sequence[Agent], plans: Mapping[UUID, SignalPlan]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for agent in agents:
        plan = plans.get(agent.id, SignalPlan((), ()))
        rows += [_signal_row(agent, signal) for signal in plan.signals]
        rows += [
            {
                "agent": agent.name,
                "token": refusal.token,
                "refused": refusal.reason.value,
                "why": refusal.detail,
            }
            for refusal in plan.refusals
        ]
    return rows


def _signal_row(agent: Agent, signal: Signal) -> dict[str, object]:
    return {
        "agent": agent.name,
        "token": signal.token,
        "side": signal.side.value,
        "funds %": signal.fund_percentage,
        "confidence": signal.confidence,
        "why": signal.reasoning,
    }
