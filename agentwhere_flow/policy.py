"""Agent How: let every active deployment's policy look at every live signal of its agent, once.

One signal fans out to all deployments in one pass: a few reads, decisions in memory, one write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from agentwhere_core.domain.enums import PolicyOutcome, Severity, Venue
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.trade import Deployment, PolicyDecision
from agentwhere_core.how.book import Book, Engagement
from agentwhere_core.how.policy import RuleNote, decide, explain
from agentwhere_flow.report import Tally, step
from agentwhere_store import agents as agent_store
from agentwhere_store import operations
from agentwhere_store import policy as store
from agentwhere_store import signals as signal_store
from agentwhere_store.leases import lease
from agentwhere_store.policy import DayResult, PolicyWork

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_flow.system import System

LEASE = "policy_decisions"
LEASE_WAIT_S = 60
_MOST_ROWS = 50
_ZERO = Decimal(0)


@step("policy_decisions")
def apply_policies(system: System, now: datetime) -> Tally:
    """Decide on every live signal × active deployment that has no decision yet.

    Where a policy limits positions or exposure, the largest signals come first. Deployments whose losses of the UTC day
    reached their limit are stopped until the next one, and an alert says so.

    Raises
    ------
    LeaseHeldError
        If another process has been deciding for more than a minute.
    """
    holder = system.run_id or "command line"
    with lease(system.engine, LEASE, holder, now, wait_s=LEASE_WAIT_S):
        halted = _halt_losers(system, now)
        with system.engine.begin() as conn:
            work = store.undecided(conn, now)
            agent_ids = {item.signal.agent_id for item in work}
            deployments = {item.id: item for item in agent_store.deployments(conn, agent_ids)}
            books = _read_books(conn, {item.deployment_id for item in work}, deployments, now)
            decisions = _decide_all(work, deployments, books, now)
            new = store.save_policy_decisions(conn, decisions, now)
    tally = _tally(work, deployments, decisions, new)
    tally.details["halted_today"] = halted
    return tally


def explain_policy(
    system: System, now: datetime, signal_id: UUID, deployment_id: UUID
) -> tuple[PolicyDecision, tuple[RuleNote, ...]]:
    """Return what a deployment's policy would make of a signal now, rule by rule; nothing is written.

    Raises
    ------
    ConfigurationError
        If there is no such signal or deployment.
    """
    with system.engine.begin() as conn:
        signal = signal_store.find_signal(conn, signal_id)
        by_id = {item.id: item for item in agent_store.deployments(conn)}
        if signal is None or deployment_id not in by_id:
            missing = "signal" if signal is None else "deployment"
            raise ConfigurationError(
                f"there is no {missing} {signal_id if signal is None else deployment_id}: "
                "see `agentwhere signals` and `agentwhere agents list`"
            )
        book = _read_books(conn, {deployment_id}, by_id, now)[deployment_id]
    return explain(signal, by_id[deployment_id], book, now)


def _halt_losers(system: System, now: datetime) -> list[str]:
    """Stop the entries of deployments whose day reached their loss limit, and say so; return their names."""
    names = []
    with system.engine.begin() as conn:
        limited = {
            item.id: item
            for item in agent_store.deployments(conn)
            if item.policy.daily_loss_limit_pct is not None
        }
        already = store.halted(conn, limited, now)
        for result in store.day_results(conn, limited, now):
            deployment = limited[result.deployment_id]
            incident = f"halt:{deployment.id}"
            limit_usd = _loss_limit(deployment, result)
            if deployment.id not in already and result.pnl_usd > -limit_usd:
                operations.close_alert(conn, incident, now)
                continue
            names.append(deployment.name)
            if deployment.id not in already:
                store.halt_today(conn, result, limit_usd, now)
                operations.open_alert(
                    conn,
                    incident=incident,
                    severity=Severity.WARNING,
                    title=f"{deployment.name} reached its daily loss limit",
                    detail=f"It lost ${-result.pnl_usd:,.2f} today; its limit is ${limit_usd:,.2f}. It opens nothing "
                    "until the next UTC day; its open positions keep their stops.",
                    now=now,
                )
    return names


def _loss_limit(deployment: Deployment, result: DayResult) -> Decimal:
    """Return how much a deployment may lose today, in USD; nothing if it began the day without equity."""
    share = deployment.policy.daily_loss_limit_pct or _ZERO
    return max(result.equity_at_start_usd, _ZERO) * share / 100


def _read_books(
    conn: Connection,
    deployment_ids: Collection[UUID],
    deployments: Mapping[UUID, Deployment],
    now: datetime,
) -> dict[UUID, Book]:
    cooldowns = [deployments[id_].policy.cooldown_h or _ZERO for id_ in deployment_ids]
    longest = timedelta(hours=float(max(cooldowns, default=_ZERO)))
    return store.books(conn, deployment_ids, now, traded_since=now - longest)


def _decide_all(
    work: Sequence[PolicyWork],
    deployments: Mapping[UUID, Deployment],
    books: dict[UUID, Book],
    now: datetime,
) -> list[PolicyDecision]:
    """Decide on the largest signals first; each one let through takes its room in the deployment's book."""
    decisions: list[PolicyDecision] = []
    for item in sorted(work, key=lambda each: (-each.signal.fund_percentage, each.signal.id)):
        signal, deployment = item.signal, deployments[item.deployment_id]
        decision = decide(signal, deployment, books[deployment.id], now)
        if decision.outcome is not PolicyOutcome.REFUSED:
            venue = None if signal.venue is Venue.MULTI else signal.venue
            exposure = decision.fund_percentage * decision.leverage
            books[deployment.id] = books[deployment.id].with_engagement(
                Engagement(signal.token, venue, exposure)
            )
        decisions.append(decision)
    return decisions


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
