"""Agents, their sources, and deployments come back as they were written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from agentwhere_core.domain.enums import AgentStatus, Side, SourceKind
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_core.domain.trade import Policy
from agentwhere_store import agents as store
from agentwhere_store import deployments as deployment_store
from agentwhere_store import sources as source_store
from agentwhere_store.agents import FollowedSources
from agentwhere_store.sources import Reading
from tests.store.examples import NOW, agent, connection, deployment

FEED = "https://example.org/feed.xml"
SOURCES = FollowedSources(("@Olga", "pete"), (FEED,))


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connection(database_url) as conn:
        yield conn


def test_an_agent_comes_back_with_its_sources(conn: Connection) -> None:
    made = agent()
    store.create_agent(conn, made, SOURCES, NOW)
    assert store.find_agent(conn, "Desk") == made
    (listed,) = store.list_agents(conn)
    assert listed.agent == made
    assert listed.sources == FollowedSources(("olga", "pete"), (FEED,))
    assert listed.deployments == 0


def test_a_name_is_given_once(conn: Connection) -> None:
    store.create_agent(conn, agent(), SOURCES, NOW)
    with pytest.raises(ConfigurationError, match="choose another name"):
        store.create_agent(conn, agent(), SOURCES, NOW)
    assert len(store.list_agents(conn)) == 1


def test_a_source_that_two_agents_follow_is_read_once(conn: Connection) -> None:
    store.create_agent(conn, agent("one"), SOURCES, NOW)
    store.create_agent(conn, agent("two"), SOURCES, NOW)
    assert len(source_store.due_sources(conn, NOW).due) == 3


def test_only_sources_of_active_agents_are_due(conn: Connection) -> None:
    made = agent()
    store.create_agent(conn, made, SOURCES, NOW)
    store.set_agent_status(conn, made.id, AgentStatus.PAUSED, NOW)
    assert source_store.due_sources(conn, NOW).due == ()
    assert store.active_agents(conn) == []


def test_a_cursor_advances_stays_on_errors_and_never_moves_back(conn: Connection) -> None:
    store.create_agent(conn, agent(), FollowedSources(("olga",)), NOW)
    (source,) = source_store.due_sources(conn, NOW).due
    assert (source.kind, source.cursor) == (SourceKind.X, None)

    read = replace(source, external_id="42", cursor="1000")
    source_store.save_readings(conn, [Reading(read)], NOW)
    source_store.save_readings(conn, [Reading(read, "down", NOW + timedelta(hours=1))], NOW)
    resting = source_store.due_sources(conn, NOW)
    assert (resting.due, resting.waiting) == ((), 1)

    (again,) = source_store.due_sources(conn, NOW + timedelta(hours=1)).due
    assert (again.external_id, again.cursor) == ("42", "1000")
    source_store.save_readings(conn, [Reading(replace(read, cursor="999"))], NOW)
    (last,) = source_store.due_sources(conn, NOW).due
    assert last.cursor == "1000"


def test_a_feed_keeps_its_validators(conn: Connection) -> None:
    store.create_agent(conn, agent(), FollowedSources((), (FEED,)), NOW)
    (source,) = source_store.due_sources(conn, NOW).due
    source_store.save_readings(conn, [Reading(replace(source, etag='"1"', last_modified="x"))], NOW)
    (again,) = source_store.due_sources(conn, NOW).due
    assert (again.etag, again.last_modified) == ('"1"', "x")


def test_the_longest_unread_source_comes_first(conn: Connection) -> None:
    store.create_agent(conn, agent(), FollowedSources(("a", "b", "c")), NOW)
    first, second, third = source_store.due_sources(conn, NOW).due
    source_store.save_readings(conn, [Reading(first)], NOW + timedelta(minutes=1))
    source_store.save_readings(conn, [Reading(third)], NOW)
    order = source_store.due_sources(conn, NOW + timedelta(hours=1)).due
    assert [source.locator for source in order] == ["b", "c", "a"]
    assert second.locator == "b"


def test_a_deployment_comes_back_with_accounts_and_policy(conn: Connection) -> None:
    made = agent()
    store.create_agent(conn, made, SOURCES, NOW)
    policy = Policy(
        min_confidence=Decimal("0.6"),
        max_fund_percentage=Decimal("3.5"),
        max_open_positions=2,
        allowed_tokens=frozenset({"BTC", "ETH"}),
        blocked_tokens=frozenset({"DOGE"}),
        allowed_sides=frozenset({Side.LONG}),
        style_multiplier=Decimal("0.5"),
    )
    one = deployment(made.id, "one", policy=policy)
    two = deployment(made.id, "two")
    for item in (one, two):
        deployment_store.create_deployment(conn, item, NOW)
    assert deployment_store.deployments(conn) == [one, two]
    assert deployment_store.deployments(conn, [made.id]) == [one, two]
    assert deployment_store.deployments(conn, []) == []
    assert store.list_agents(conn)[0].deployments == 2


def test_two_deployments_never_share_an_account(conn: Connection) -> None:
    made = agent()
    store.create_agent(conn, made, SOURCES, NOW)
    one = deployment(made.id, "one")
    deployment_store.create_deployment(conn, one, NOW)
    twin = deployment(made.id, "two", address=one.accounts[0].address)
    with pytest.raises(ConfigurationError, match="one account each"):
        deployment_store.create_deployment(conn, twin, NOW)


def test_a_deployments_name_is_given_once_per_agent(conn: Connection) -> None:
    made = agent()
    store.create_agent(conn, made, SOURCES, NOW)
    deployment_store.create_deployment(conn, deployment(made.id), NOW)
    with pytest.raises(ConfigurationError, match="choose another name"):
        deployment_store.create_deployment(conn, deployment(made.id), NOW)


def test_a_policy_with_a_rule_from_a_newer_version_is_not_traded_without_it(
    conn: Connection,
) -> None:
    made = agent()
    store.create_agent(conn, made, SOURCES, NOW)
    deployment_store.create_deployment(conn, deployment(made.id), NOW)
    conn.execute(text("""UPDATE agentwhere.policies SET rules = '{"max_loss_per_moon": "1"}'"""))
    with pytest.raises(ConfigurationError, match="max_loss_per_moon"):
        deployment_store.deployments(conn)


def test_each_write_of_a_policy_raises_its_version(conn: Connection) -> None:
    made = agent()
    store.create_agent(conn, made, SOURCES, NOW)
    item = deployment(made.id)
    deployment_store.create_deployment(conn, item, NOW)
    stricter = Policy(max_leverage=Decimal(1))
    deployment_store.put_policy(conn, item.id, stricter, NOW)
    assert deployment_store.deployments(conn)[0].policy == stricter
    assert conn.execute(text("SELECT version FROM agentwhere.policies")).scalar_one() == 2


@pytest.mark.parametrize(
    "change",
    [
        {"leverage": Decimal("0.5")},
        {"stop_loss_pct": Decimal(100)},
        {"trailing_activation_pct": Decimal(1)},
    ],
)
def test_the_database_refuses_an_agent_that_makes_no_sense(
    conn: Connection, change: dict[str, Any]
) -> None:
    odd = replace(agent(), **change)
    with pytest.raises(IntegrityError), conn.begin_nested():
        store.create_agent(conn, odd, SOURCES, NOW)
