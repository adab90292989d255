"""Agent How: let every active deployment's policy look at every live signal of its agent, once.

One signal fans out to all deployments in one pass: a few reads, decisions in memory, one write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import PolicyOutcome
from agentwhere_core.domain.trade import Deployment, PolicyDecision
from agentwhere_core.how.policy import decide
from agentwhere_flow.report import Tally, step
from agentwhere_store import agents as agent_store
from agentwhere_store import signals as signal_store
from agentwhere_store.leases import lease
from agentwhere_store.signals import PolicyWork

if TYPE_CHECKING:
    from agentwhere_flow.system import System

LEASE = "policy_decisions"
LEASE_WAIT_S = 60
_MOST_ROWS = 50


@step("policy_decisions")
def apply_policies(system: System, now: datetime) -> Tally:
    """Decide on every live signal × active deployment that has no decision yet.

    Where a policy limits the number of positions, the largest signals come first.

    Raises
    ------
    LeaseHeldError
        If another process has been deciding for more than a minute.
    """
    holder = system.run_id or "command line"
    with (
        lease(system.engine, LEASE, holder, now, wait_s=LEASE_WAIT_S),
        system.engine.begin() as conn,
    ):
        work = signal_store.undecided(conn, now)
        agent_ids = {item.signal.agent_id for item in work}
        deployments = {item.id: item for item in agent_store.deployments(conn, agent_ids)}
        engaged = Counter(signal_store.engagements(conn, now))
        decisions: list[PolicyDecision] = []
        for item in sorted(work, key=lambda each: (-each.signal.fund_percentage, each.signal.id)):
            deployment = deployments[item.deployment_id]
            decision = decide(item.signal, deployment, engaged[deployment.id], now)
            engaged[deployment.id] += decision.outcome is not PolicyOutcome.REFUSED
            decisions.append(decision)
        new = signal_store.save_policy_decisions(conn, decisions, now)
    return _tally(work, deployments, decisions, new)


def _tally(
    work: Sequence[PolicyWork],
    deployments: Mapping[UUID, Deployment],
    decisions: Sequence[PolicyDecision],
    new: int,
) -> Tally:
    signals = {item.signal.id: item.signal for item in work}
    tally = Tally(rows_in=len(work), rows_out=new)
    outcomes = Counter(decision.outcome for decision in decisions)
    for decision in decisions:
        if decision.outcome is PolicyOutcome.REFUSED:
            for reason in decision.reasons:
                tally.refuse(reason)
    for decision in decisions[:_MOST_ROWS]:
        signal = signals[decision.signal_id]
        tally.table.append(
            {
                "deployment": deployments[decision.deployment_id].name,
                "token": signal.token,
                "side": signal.side.value,
                "asked %": signal.fund_percentage,
                "granted %": decision.fund_percentage,
                "leverage": decision.leverage,
                "outcome": decision.outcome.value,
                "reasons": ", ".join(decision.reasons),
            }
        )
    tally.details |= {outcome.value.lower(): outcomes[outcome] for outcome in PolicyOutcome}
    tally.details["adjusted_for"] = dict(
        Counter(
            reason.value
            for decision in decisions
            if decision.outcome is PolicyOutcome.ADJUSTED
            for reason in decision.reasons
        )
    )
    return tally
