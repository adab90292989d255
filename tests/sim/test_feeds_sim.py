"""The simulated feeds are well-formed RSS and Atom, and answer conditional requests."""

from __future__ import annotations

from typing import Any

import feedparser
import pytest

FEEDS = ("deepvalue-research", "macro-notes")


@pytest.mark.parametrize(("name", "version"), [(FEEDS[0], "rss20"), (FEEDS[1], "atom10")])
def test_a_feed_is_well_formed_and_carries_what_a_reader_needs(
    sim: Any, name: str, version: str
) -> None:
    reply = sim.http.get(f"/feeds/{name}.xml")
    feed = feedparser.parse(reply.content)
    assert not feed.bozo
    assert feed.version == version
    assert len(feed.entries) >= 2
    assert len({entry.id for entry in feed.entries}) == len(feed.entries)
    for entry in feed.entries:
        assert entry.title
        assert entry.link
        assert entry.published_parsed
        assert entry.summary.startswith("<p>")


@pytest.mark.parametrize("name", FEEDS)
def test_an_unchanged_feed_is_304_until_an_item_is_added(sim: Any, name: str) -> None:
    path = f"/feeds/{name}.xml"
    first = sim.http.get(path)
    by_tag = sim.http.get(path, headers={"if-none-match": first.headers["etag"]})
    by_date = sim.http.get(path, headers={"if-modified-since": first.headers["last-modified"]})
    assert by_tag.status_code == by_date.status_code == 304
    assert by_tag.content == b""
    sim.control("posts", feed=name, text="Accumulating silver.\nSecond line with <b> & entities.")
    second = sim.http.get(path, headers={"if-none-match": first.headers["etag"]})
    assert second.status_code == 200
    entries = feedparser.parse(second.content).entries
    assert entries[0].title == "Accumulating silver"
    assert "&lt;b&gt; &amp; entities" in entries[0].summary
    assert [entry.id for entry in entries[1:]] == [
        entry.id for entry in feedparser.parse(first.content).entries
    ]


def test_a_feed_can_be_created_and_an_unknown_one_is_404(sim: Any) -> None:
    assert sim.http.get("/feeds/no-such.xml").status_code == 404
    sim.control("posts", feed="brand-new", text="First note.")
    feed = feedparser.parse(sim.http.get("/feeds/brand-new.xml").content)
    assert feed.version == "rss20"
    assert [entry.title for entry in feed.entries] == ["First note"]
