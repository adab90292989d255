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
from agentwhere_flow.naming import find_deployment
from agentwhere_flow.report import Tally, step
from agentwhere_store import deployments as deployment_store
from agentwhere_store import operations
from agentwhere_store import policy as store
from agentwhere_store import signals as signal_store
from agentwhere_store.leases import lease
from agentwhere_store.policy import PolicyWork

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_flow.system import System

LEASE = "policy_decisions"
LEASE_WAIT_S = 60
_MOST_ROWS = 50
_HALT = "halt:"
_ZERO = Decimal(0)


@step("policy_decisions")
def apply_policies(system: System, now: datetime) -> Tally:
    """Decide on every live signal × active deployment that has no decision yet.

    Where a policy limits positions or exposure, the largest signals come first. Deployments whose losses of the UTC day
    reached their limit are stopped until the next one, and an alert says so.

    Raises
    ------
    LeaseHeldError
        If another process has been deciding on these deployments for more than a minute.
    """
    holder = system.run_id or "command line"
    with lease(system.engine, LEASE, holder, now, wait_s=LEASE_WAIT_S, shard=system.shard):
        halted = _halt_losers(system, now)
        with system.engine.begin() as conn:
            work = store.undecided(conn, now, shard=system.shard)
            agent_ids = {item.signal.agent_id for item in work}
            deployments = {item.id: item for item in deployment_store.deployments(conn, agent_ids)}
            books = _read_books(conn, {item.deployment_id for item in work}, deployments, now)
            decisions = _decide_all(work, deployments, books, now)
            new = store.save_policy_decisions(conn, decisions, now)
    tally = _tally(work, deployments, decisions, new)
    tally.details["halted_today"] = halted
    return tally


def explain_policy(
    system: System, now: datetime, signal: str, deployment: str
) -> tuple[PolicyDecision, tuple[RuleNote, ...]]:
    """Return what a deployment's policy would make of a signal now, rule by rule; nothing is written.

    What the deployment holds in this token is left aside: it may be this very signal's.

    Raises
    ------
    ConfigurationError
        If there is no signal of this id, or no deployment of this name, or it runs another agent.
    """
    with system.engine.begin() as conn:
        deployment_id = find_deployment(conn, deployment)
        found = signal_store.find_signal(conn, _id(signal))
        asked = deployment_store.deployment(conn, deployment_id)
        if found is None:
            raise ConfigurationError(f"there is no signal {signal}: see `agentwhere signals list`")
        if found.agent_id != asked.agent_id:
            raise ConfigurationError(f"signal {signal} is of another agent than {asked.name} runs")
        book = _read_books(conn, {deployment_id}, {deployment_id: asked}, now)[deployment_id]
    return explain(found, asked, book.without(found.token), now)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is no id: see `agentwhere signals list --json`"
        ) from None


def _halt_losers(system: System, now: datetime) -> list[str]:
    """Stop the entries of deployments whose day reached their loss limit, and say so; return their names."""
    with system.engine.begin() as conn:
        days = store.limited_days(conn, now)
        already = store.halted(conn, [day.deployment_id for day in days], now)
        for day in days:
            if day.deployment_id in already or not day.is_lost:
                continue
            store.halt_today(conn, day, now)
            operations.open_alert(
                conn,
                incident=f"{_HALT}{day.deployment_id}",
                severity=Severity.WARNING,
                title=f"{day.name} reached its daily loss limit",
                detail=f"It lost ${-day.pnl_usd:,.2f} today; its limit is ${day.limit_usd:,.2f}. "
                "It opens nothing until the next UTC day; its open positions keep their stops.",
                now=now,
            )
        lost = {
            day.deployment_id: day.name
            for day in days
            if day.is_lost or day.deployment_id in already
        }
        standing = {f"{_HALT}{id_}" for id_ in lost}
        for alert in operations.open_alerts(conn):
            if alert.incident.startswith(_HALT) and alert.incident not in standing:
                operations.close_alert(conn, alert.incident, now)
    return sorted(lost.values())


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
