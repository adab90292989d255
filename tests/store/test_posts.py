"""Posts are stored once, answered once, and never lost while they wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from agentwhere_core.domain.enums import Horizon, Side
from agentwhere_core.domain.idea import Classification, FetchedPost, Mention, Source
from agentwhere_core.domain.reasons import Reason
from agentwhere_store import agents as agent_store
from agentwhere_store import posts as store
from agentwhere_store import sources as source_store
from agentwhere_store.agents import FollowedSources
from agentwhere_store.posts import Abstention
from tests.store.examples import NOW, agent, connection

LONG_BTC = Mention("BTC", Side.LONG, Decimal("0.8"), Horizon.SWING)


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connection(database_url) as conn:
        agent_store.create_agent(conn, agent("one"), FollowedSources(("olga",)), NOW)
        agent_store.create_agent(conn, agent("two"), FollowedSources(("olga", "pete")), NOW)
        yield conn


@pytest.fixture
def olga(conn: Connection) -> Source:
    return next(s for s in source_store.due_sources(conn, NOW).due if s.locator == "olga")


def fetched(number: int, words: str = "Long $BTC") -> FetchedPost:
    return FetchedPost(str(number), words, NOW - timedelta(hours=10 - number))


def answer(post_id: UUID, *mentions: Mention, raw: Any = None) -> Classification:
    return Classification(
        post_id=post_id,
        is_signal=bool(mentions),
        mentions=mentions,
        refusals=(("WAGMICAT", Reason.TOKEN_NOT_LISTED),),
        reasoning="says so",
        model="m",
        prompt_version="p",
        schema_version="s",
        raw_response=raw or {"id": "1"},
        prompt_tokens=10,
        completion_tokens=5,
        cost_usd=Decimal("0.0001"),
        latency_ms=7,
    )


def waiting(conn: Connection) -> Sequence[str]:
    return [item.post.external_id for item in store.pending_posts(conn, 100)]


def test_the_same_post_twice_is_one_row(conn: Connection, olga: Source) -> None:
    assert store.insert_posts(conn, olga, [fetched(1), fetched(2)], NOW) == 2
    assert store.insert_posts(conn, olga, [fetched(2, "edited"), fetched(3)], NOW) == 1
    assert store.count_pending(conn) == 3
    assert {item.post.text for item in store.pending_posts(conn, 9)} == {"Long $BTC"}


def test_the_same_id_from_two_sources_is_two_posts(conn: Connection) -> None:
    for source in source_store.due_sources(conn, NOW).due:
        assert store.insert_posts(conn, source, [fetched(1)], NOW) == 1
    assert {item.source for item in store.pending_posts(conn, 9)} == {"olga", "pete"}


def test_posts_wait_oldest_first_and_failures_let_others_pass(
    conn: Connection, olga: Source
) -> None:
    store.insert_posts(conn, olga, [fetched(3), fetched(1), fetched(2)], NOW)
    assert waiting(conn) == ["1", "2", "3"]
    first = store.pending_posts(conn, 1)[0].post
    store.save_abstentions(conn, [Abstention(first.id, Reason.CLASSIFIER_REFUSED, "no")])
    assert waiting(conn) == ["2", "3", "1"]
    assert store.pending_posts(conn, 9)[-1].post.attempts == 1


def test_an_answer_ends_the_wait_and_stays(conn: Connection, olga: Source) -> None:
    store.insert_posts(conn, olga, [fetched(1)], NOW)
    post = store.pending_posts(conn, 1)[0].post
    store.save_abstentions(conn, [Abstention(post.id, Reason.CLASSIFIER_UNAVAILABLE, "down")])
    assert store.save_classifications(conn, [answer(post.id, LONG_BTC)], NOW) == 1
    assert waiting(conn) == []

    other = Mention("ETH", Side.SHORT, Decimal(1), Horizon.INTRADAY)
    assert store.save_classifications(conn, [answer(post.id, other)], NOW) == 0
    store.save_abstentions(conn, [Abstention(post.id, Reason.CLASSIFIER_UNAVAILABLE, "late")])
    assert {item.token for item in store.mentions_since(conn, NOW - timedelta(days=1))} == {"BTC"}
    row = conn.execute(text("SELECT state, last_error FROM agentwhere.posts")).one()
    assert tuple(row) == ("CLASSIFIED", None)


def test_each_following_agent_sees_a_mention(conn: Connection, olga: Source) -> None:
    store.insert_posts(conn, olga, [fetched(1), fetched(9)], NOW)
    for item in store.pending_posts(conn, 9):
        store.save_classifications(conn, [answer(item.post.id, LONG_BTC)], NOW)
    seen = store.mentions_since(conn, NOW - timedelta(hours=2))
    assert len(seen) == len({item.agent_id for item in seen}) == 2
    assert {item.source_id for item in seen} == {olga.id}
    assert seen[0].confidence == Decimal("0.8")


def test_a_date_in_the_future_does_not_outlive_the_window(conn: Connection, olga: Source) -> None:
    late = FetchedPost("1", "Long $BTC", NOW + timedelta(days=3650))
    store.insert_posts(conn, olga, [late], NOW)
    assert store.pending_posts(conn, 1)[0].post.published_at == NOW


def test_characters_that_the_database_cannot_hold_lose_no_post(
    conn: Connection, olga: Source
) -> None:
    store.insert_posts(conn, olga, [fetched(1, "Long\x00 $BTC \U0001f680")], NOW)
    post = store.pending_posts(conn, 1)[0].post
    assert "\x00" not in post.text
    raw = {"choices": [{"content": "a\x00b"}], "x\x00": 1}
    assert store.save_classifications(conn, [answer(post.id, raw=raw)], NOW) == 1


def test_nothing_to_save_is_no_statement(conn: Connection, olga: Source) -> None:
    assert store.insert_posts(conn, olga, [], NOW) == 0
    assert store.save_classifications(conn, [], NOW) == 0
    store.save_abstentions(conn, [])
