"""Large batches are written by COPY, and keep the promises of small ones."""

from __future__ import annotations

from datetime import timedelta, timezone
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from agentwhere_core.domain.ids import new_id
from agentwhere_store.bulk import WORTH_A_COPY, incoming_rows, insert_many_ignoring_known
from agentwhere_store.tables.ideas import research_sources, signals
from agentwhere_store.tables.operations import errors
from agentwhere_store.tables.routing import venue_routing_history
from tests.store.examples import NOW, connection


def feeds(first: int, count: int, title: str) -> list[dict[str, object]]:
    """Return rows of feeds that are known by their address."""
    return [
        {
            "id": new_id(),
            "url": f"https://example.org/{number}.xml",
            "title": title,
            "created_at": NOW + timedelta(seconds=number),
        }
        for number in range(first, first + count)
    ]


@pytest.mark.parametrize("count", [1, WORTH_A_COPY - 1, WORTH_A_COPY, 3 * WORTH_A_COPY])
def test_known_rows_stay_as_they_are_whatever_the_size(database_url: str, count: int) -> None:
    with connection(database_url) as conn:
        first = feeds(0, count, "first")
        assert insert_many_ignoring_known(conn, research_sources, first, known_by=["url"]) == count
        again = feeds(count // 2, count, "second")
        new = insert_many_ignoring_known(conn, research_sources, again, known_by=["url"])
        assert new == count // 2
        titles = select(research_sources.c.title, func.count()).group_by(research_sources.c.title)
        found = dict(conn.execute(titles).all())
        assert found.get("first") == count
        assert found.get("second", 0) == count // 2


def test_documents_numbers_and_nothing_arrive_exactly(database_url: str) -> None:
    awkward = {"text": 'tab\t, "quote", back\\slash, newline\n, \\N', "list": [1, None, {"é": "x"}]}
    with connection(database_url) as conn:
        rows = [
            {
                "id": new_id(),
                "step": f"step\t{number}\\",
                "kind": "\\N",
                "message": "",
                "context": {**awkward, "number": str(Decimal("0.1") * number)},
                "at": NOW,
            }
            for number in range(WORTH_A_COPY)
        ]
        assert insert_many_ignoring_known(conn, errors, rows, known_by=["id"]) == len(rows)
        names = list(rows[0])
        stored = conn.execute(select(*(errors.c[name] for name in names)).order_by(errors.c.id))
        found = [dict(zip(names, row, strict=True)) for row in stored]
    assert found == sorted(rows, key=lambda row: str(row["id"]))


def test_lists_and_times_arrive_exactly(database_url: str) -> None:
    tokyo = NOW.astimezone(timezone(timedelta(hours=9), "JST"))
    texts = [["a"], [], ['say "a, b"', "back\\slash", "{}", "NULL", "", " ", "é\ttab\nline"]]
    posts = [[new_id(), new_id()], [], [new_id()]]
    with connection(database_url) as conn:
        for told, when, lists in (
            (venue_routing_history.c.checked_venues, venue_routing_history.c.created_at, texts),
            (signals.c.source_post_ids, signals.c.created_at, posts),
        ):
            rows = [list(row) for row in zip(lists, [NOW, None, tokyo], strict=True)]
            with incoming_rows(conn, {"told": told, "at": when}, rows) as incoming:
                assert [list(row) for row in conn.execute(select(incoming))] == rows


def test_a_batch_that_is_rolled_back_leaves_nothing(database_url: str) -> None:
    with connection(database_url) as conn:
        inside = conn.begin_nested()
        rows = feeds(0, WORTH_A_COPY, "gone")
        insert_many_ignoring_known(conn, research_sources, rows, known_by=["url"])
        inside.rollback()
        assert conn.execute(select(func.count()).select_from(research_sources)).scalar_one() == 0
        assert (
            insert_many_ignoring_known(conn, research_sources, rows, known_by=["url"])
            == WORTH_A_COPY
        )
