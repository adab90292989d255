"""Signals and policy decisions are written once, and work lists hold exactly what is left to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from agentwhere_core.domain.enums import DeploymentStatus, PolicyOutcome, Side
from agentwhere_core.domain.idea import Agent
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import PolicyDecision
from agentwhere_core.what.signals import SignalRefusal
from agentwhere_store import agents as agent_store
from agentwhere_store import deployments as deployment_store
from agentwhere_store import policy as policy_store
from agentwhere_store import signals as store
from agentwhere_store.agents import FollowedSources
from agentwhere_store.signals import UsedPost
from tests.store.examples import BATCH, NOW, agent, connection, deployment, signal


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connection(database_url) as conn:
        yield conn


@pytest.fixture
def desk(conn: Connection) -> Agent:
    made = agent()
    agent_store.create_agent(conn, made, FollowedSources(("olga",)), NOW)
    return made


def deploy(
    conn: Connection, desk: Agent, name: str, status: DeploymentStatus = DeploymentStatus.ACTIVE
) -> UUID:
    item = deployment(desk.id, name, status=status)
    deployment_store.create_deployment(conn, item, NOW)
    return item.id


def decision(
    signal_id: UUID, deployment_id: UUID, outcome: PolicyOutcome = PolicyOutcome.PASSED
) -> PolicyDecision:
    reasons = (Reason.TOKEN_BLOCKED,) if outcome is PolicyOutcome.REFUSED else ()
    return PolicyDecision(signal_id, deployment_id, outcome, Decimal("6.15"), Decimal(3), reasons)


def test_one_signal_per_agent_token_and_batch(conn: Connection, desk: Agent) -> None:
    first = signal(desk.id)
    assert store.insert_signals(conn, [first, signal(desk.id, "ETH")]) == 2
    again = replace(first, id=new_id(), side=Side.SHORT)
    assert store.insert_signals(conn, [again, signal(desk.id, batch="later")]) == 1
    deploy(conn, desk, "one")
    assert policy_store.undecided(conn, NOW)[0].signal == first


def test_a_refusal_is_kept_once_per_reason(conn: Connection, desk: Agent) -> None:
    refusals = [SignalRefusal("DOGE", Reason.CONFLICTING_POSTS, "equal", (new_id(),))]
    assert store.insert_refusals(conn, desk.id, BATCH, refusals, NOW) == 1
    assert store.insert_refusals(conn, desk.id, BATCH, refusals, NOW) == 0
    (shown,) = store.recent_refusals(conn)
    assert (shown["agent"], shown["token"], shown["reason"]) == (
        "Desk",
        "DOGE",
        "CONFLICTING_POSTS",
    )


def test_live_signals_end_with_their_expiry(conn: Connection, desk: Agent) -> None:
    made = signal(desk.id)
    store.insert_signals(conn, [made])
    assert store.live_signals(conn, NOW) == {desk.id: {"BTC": made.expires_at}}
    assert store.live_signals(conn, made.expires_at) == {}


def test_posts_for_and_against_are_used_up_but_not_those_that_came_too_soon(
    conn: Connection, desk: Agent
) -> None:
    made, against = signal(desk.id), new_id()
    posts = [*made.explanation["posts"], {"post_id": str(against)}]
    store.insert_signals(conn, [replace(made, explanation={"posts": posts})])
    conflicting, soon = new_id(), new_id()
    refusals = [
        SignalRefusal("DOGE", Reason.CONFLICTING_POSTS, "", (conflicting,)),
        SignalRefusal("BTC", Reason.RECENT_SIGNAL, "", (soon,)),
    ]
    store.insert_refusals(conn, desk.id, BATCH, refusals, NOW)
    assert store.used_posts(conn, NOW - timedelta(hours=1)) == {
        UsedPost(desk.id, "BTC", made.source_post_ids[0]),
        UsedPost(desk.id, "BTC", against),
        UsedPost(desk.id, "DOGE", conflicting),
    }
    assert store.used_posts(conn, NOW) == set()


def test_the_spent_budget_is_the_batchs_own(conn: Connection, desk: Agent) -> None:
    batch = [signal(desk.id), signal(desk.id, "ETH"), signal(desk.id, batch="later")]
    store.insert_signals(conn, batch)
    assert store.spent_budget(conn, BATCH) == {desk.id: Decimal("12.30")}
    assert store.spent_budget(conn, "never") == {}


def test_each_active_deployment_decides_once_on_each_live_signal(
    conn: Connection, desk: Agent
) -> None:
    one, two = deploy(conn, desk, "one"), deploy(conn, desk, "two")
    deploy(conn, desk, "paused", DeploymentStatus.PAUSED)
    stranger = agent("other")
    agent_store.create_agent(conn, stranger, FollowedSources(("pete",)), NOW)
    deploy(conn, stranger, "three")
    live = signal(desk.id)
    store.insert_signals(conn, [live])

    later = NOW + timedelta(hours=2)
    work = policy_store.undecided(conn, later)
    assert {(item.signal.id, item.deployment_id) for item in work} == {
        (live.id, one),
        (live.id, two),
    }
    assert policy_store.save_policy_decisions(conn, [decision(live.id, one)], NOW) == 1
    refused = decision(live.id, one, PolicyOutcome.REFUSED)
    assert policy_store.save_policy_decisions(conn, [refused, decision(live.id, two)], NOW) == 1
    assert policy_store.undecided(conn, later) == []


def test_a_signal_that_expired_lately_is_decided_by_those_who_were_there_in_time(
    conn: Connection, desk: Agent
) -> None:
    there = deploy(conn, desk, "there")
    expired = signal(desk.id, ttl_h=1)
    store.insert_signals(conn, [expired])
    late = deployment(desk.id, "late")
    deployment_store.create_deployment(conn, late, NOW + timedelta(hours=2))

    work = policy_store.undecided(conn, NOW + timedelta(hours=3))
    assert [(item.signal.id, item.deployment_id) for item in work] == [(expired.id, there)]
    assert policy_store.undecided(conn, NOW + timedelta(days=8)) == []


def test_what_passed_counts_as_engaged_until_it_expires(conn: Connection, desk: Agent) -> None:
    one, two = deploy(conn, desk, "one"), deploy(conn, desk, "two")
    made = [signal(desk.id), signal(desk.id, "ETH"), signal(desk.id, "SOL")]
    store.insert_signals(conn, made)
    decisions = [
        decision(made[0].id, one),
        decision(made[1].id, one),
        decision(made[2].id, one, PolicyOutcome.REFUSED),
        decision(made[0].id, two),
    ]
    policy_store.save_policy_decisions(conn, decisions, NOW)

    def engaged(now: datetime) -> list[int]:
        books = policy_store.books(conn, [one, two], now, traded_since=now)
        return [books[id_].open_positions for id_ in (one, two)]

    assert engaged(NOW) == [2, 1]
    assert engaged(NOW + timedelta(hours=7)) == [0, 0]


def test_recent_signals_are_shown_newest_first(conn: Connection, desk: Agent) -> None:
    for token in ("BTC", "ETH"):
        store.insert_signals(conn, [signal(desk.id, token)])
    shown = store.recent_signals(conn, limit=5)
    assert [row["token"] for row in shown] == ["ETH", "BTC"]
    assert (shown[0]["agent"], shown[0]["posts"]) == ("Desk", 1)


def test_the_database_refuses_a_signal_above_the_cap(conn: Connection, desk: Agent) -> None:
    greedy = replace(signal(desk.id), fund_percentage=Decimal("25.01"))
    with pytest.raises(IntegrityError), conn.begin_nested():
        store.insert_signals(conn, [greedy])


def test_a_signal_fans_out_to_all_deployments_in_one_pass(conn: Connection, desk: Agent) -> None:
    made = signal(desk.id)
    store.insert_signals(conn, [made])
    ids = [deploy(conn, desk, f"d{number}") for number in range(50)]
    work = policy_store.undecided(conn, NOW)
    assert len(work) == len(ids)
    assert all(item.signal is work[0].signal for item in work)
    decisions = [decision(item.signal.id, item.deployment_id) for item in work]
    assert policy_store.save_policy_decisions(conn, decisions, NOW) == len(ids)
