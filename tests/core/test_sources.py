"""Posts are read over the real wire, whole or not at all, and every failure says what to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from agentwhere_core.domain.errors import (
    ConfigurationError,
    MalformedReplyError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    ServerFaultError,
    TimedOutError,
    UnreachableError,
)
from agentwhere_core.sources.feeds import FeedClient, plain_text
from agentwhere_core.sources.wire import ATTEMPTS
from agentwhere_core.sources.x import XClient

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Page:
    """A server with one page, for documents that no simulator should serve."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b""
        self.headers: dict[str, str] = {}
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(page.status)
                for name, value in page.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(page.body)))
                self.end_headers()
                self.wfile.write(page.body)

            def log_message(self, *words: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def page() -> Iterator[Page]:
    page = Page()
    yield page
    page.server.shutdown()
    page.server.server_close()


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=5, trust_env=False) as client:
        yield client


@pytest.fixture
def x(sim: Any, http: httpx.Client) -> XClient:
    return XClient(f"{sim.url}/x", "a-token", http)


@pytest.fixture
def feeds(http: httpx.Client) -> FeedClient:
    return FeedClient(http, clock=lambda: NOW)


def requests_seen(sim: Any, service: str) -> int:
    return sum(
        fault["fired"]
        for fault in sim.http.get("/control/faults").json()["faults"]
        if fault["service"] == service
    )


# X


def test_a_timeline_comes_whole_oldest_first_and_then_only_what_is_new(
    sim: Any, x: XClient
) -> None:
    user = x.resolve_user("@onchain_olga")
    assert user.username == "onchain_olga"
    first = x.fetch_posts(user.id)
    assert first.complete
    assert len(first.posts) >= 4
    assert list(first.posts) == sorted(first.posts, key=lambda post: post.published_at)
    assert first.newest_id == first.posts[-1].external_id
    assert first.posts[0].text.startswith("Long $BTC")
    assert first.posts[0].published_at.tzinfo is UTC
    assert x.fetch_posts(user.id, since_id=first.newest_id).posts == ()
    sim.control("posts", account="onchain_olga", text="Buying $LINK & <more>. " + "Because. " * 60)
    second = x.fetch_posts(user.id, since_id=first.newest_id)
    assert [post.text for post in second.posts] == ["Buying $LINK & <more>. " + "Because. " * 60]


def test_a_long_absence_is_read_page_by_page_without_loss(sim: Any, x: XClient) -> None:
    for number in range(230):
        sim.control("posts", account="busy_bee", text=f"post {number}")
    timeline = x.fetch_posts(x.resolve_user("busy_bee").id)
    assert [post.text for post in timeline.posts] == [f"post {number}" for number in range(230)]
    assert timeline.requests == 3
    assert timeline.complete


def test_posts_before_the_wanted_time_are_not_read_and_retweets_never(sim: Any, x: XClient) -> None:
    now = datetime.fromisoformat(sim.http.get("/control/clock").json()["now"])
    sim.control("posts", account="echo", text="old", at=(now - timedelta(days=9)).isoformat())
    sim.control("posts", account="echo", text="RT @perp_pete: Long $BTC")
    sim.control("posts", account="echo", text="new")
    timeline = x.fetch_posts(x.resolve_user("echo").id, since=now - timedelta(days=1))
    assert [post.text for post in timeline.posts] == ["new"]


@pytest.mark.parametrize("handle", ["nobody_here", "rugged_ralph"])
def test_an_unknown_or_suspended_account_is_named_in_a_typed_error(x: XClient, handle: str) -> None:
    with pytest.raises(NotFoundError, match=handle):
        x.resolve_user(handle)
    with pytest.raises(NotFoundError, match="4711"):
        x.fetch_posts("4711")


def test_a_handle_can_not_leave_its_place_in_the_address(x: XClient) -> None:
    with pytest.raises(RefusedError):
        x.resolve_user("a/../../control/reset?x=")


def test_a_missing_or_refused_token_says_which_setting_to_correct(
    page: Page, http: httpx.Client
) -> None:
    for token in ("", " ", "two\nlines", "t\u00f6ken"):
        with pytest.raises(ConfigurationError, match="AGENTWHERE_X_BEARER_TOKEN"):
            XClient(page.url, token, http)
    page.status = 401
    page.body = (
        b'{"title":"Unauthorized","type":"about:blank","status":401,"detail":"Unauthorized"}'
    )
    with pytest.raises(RefusedError, match=r"AGENTWHERE_X_BEARER_TOKEN.*\(Unauthorized\)"):
        XClient(page.url, "stale", http).resolve_user("perp_pete")


def test_a_rate_limit_tells_when_to_come_back_and_is_not_asked_again_before(
    sim: Any, http: httpx.Client
) -> None:
    now = NOW
    x = XClient(f"{sim.url}/x", "a-token", http, clock=lambda: now)
    sim.fault("x", "429", seconds=90)
    with pytest.raises(RateLimitedError) as refusal:
        x.resolve_user("perp_pete")
    assert refusal.value.retry_at is not None
    assert NOW < refusal.value.retry_at <= NOW + timedelta(minutes=15)
    sim.fault("x", "429", count=5)
    with pytest.raises(RateLimitedError):
        x.resolve_user("perp_pete")
    assert requests_seen(sim, "x") == 1
    sim.http.delete("/control/faults")
    now = refusal.value.retry_at
    assert x.resolve_user("perp_pete").username == "perp_pete"


def test_the_last_request_of_a_window_is_used_and_the_next_not_sent(
    page: Page, http: httpx.Client
) -> None:
    reset = NOW + timedelta(minutes=5)
    page.body = b'{"data":{"id":"1","username":"a","name":"A"}}'
    page.headers = {
        "x-rate-limit-remaining": "0",
        "x-rate-limit-reset": str(int(reset.timestamp())),
    }
    x = XClient(page.url, "a-token", http, clock=lambda: NOW)
    assert x.resolve_user("a").id == "1"
    with pytest.raises(RateLimitedError) as refusal:
        x.resolve_user("a")
    assert refusal.value.retry_at == reset


@pytest.mark.parametrize("kind", ["5xx", "drop_before", "drop_after"])
def test_a_passing_failure_is_survived_and_counted(sim: Any, x: XClient, kind: str) -> None:
    user = x.resolve_user("perp_pete")
    sim.fault("x", kind, count=ATTEMPTS - 1)
    timeline = x.fetch_posts(user.id)
    assert timeline.posts
    assert timeline.retries == ATTEMPTS - 1


@pytest.mark.parametrize(("kind", "error"), [("5xx", ServerFaultError), ("down", UnreachableError)])
def test_a_lasting_failure_is_a_typed_error_after_a_few_tries(
    sim: Any, x: XClient, kind: str, error: type[Exception]
) -> None:
    sim.fault("x", kind, count=99)
    with pytest.raises(error, match="x: "):
        x.resolve_user("perp_pete")
    assert requests_seen(sim, "x") == ATTEMPTS


def test_silence_is_a_timeout(sim: Any) -> None:
    with httpx.Client(timeout=0.2, trust_env=False) as http:
        sim.fault("x", "slow", count=99, seconds=0.6)
        with pytest.raises(TimedOutError):
            XClient(f"{sim.url}/x", "a-token", http).resolve_user("perp_pete")


def test_a_cut_reply_is_malformed_and_nothing_of_it_is_used(sim: Any, x: XClient) -> None:
    user = x.resolve_user("perp_pete")
    sim.fault("x", "malformed")
    with pytest.raises(MalformedReplyError, match="does not follow the API"):
        x.fetch_posts(user.id)
    assert x.fetch_posts(user.id).posts


@pytest.mark.parametrize(
    "body",
    [
        b"<html>hello</html>",
        b"{}",
        b"[]",
        b'{"data":[{"id":"1","text":"no date"}],"meta":{"result_count":1}}',
        b'{"data":[{"id":"../1","text":"a","created_at":"2026-03-02T12:00:00Z"}],"meta":{"result_count":1}}',
    ],
)
def test_a_reply_of_another_shape_is_malformed(page: Page, http: httpx.Client, body: bytes) -> None:
    page.body = body
    with pytest.raises(MalformedReplyError, match="base URL"):
        XClient(page.url, "a-token", http).fetch_posts("1")


def test_nobody_listening_is_unreachable_and_says_so(http: httpx.Client) -> None:
    with pytest.raises(UnreachableError, match="check that it is up"):
        XClient("http://127.0.0.1:9", "a-token", http).resolve_user("perp_pete")


# Feeds


@pytest.mark.parametrize("name", ["deepvalue-research", "macro-notes"])
def test_a_feed_is_read_as_plain_text_and_then_only_when_it_changed(
    sim: Any, feeds: FeedClient, name: str
) -> None:
    url = f"{sim.url}/feeds/{name}.xml"
    first = feeds.fetch(url)
    assert len(first.posts) >= 2
    assert list(first.posts) == sorted(first.posts, key=lambda post: post.published_at)
    assert not any("<p>" in post.text for post in first.posts)
    assert all(post.published_at.tzinfo is UTC and post.url for post in first.posts)
    again = feeds.fetch(url, first.etag, first.last_modified)
    assert again.not_modified
    assert again.posts == ()
    assert (again.etag, again.last_modified) == (first.etag, first.last_modified)
    sim.control("posts", feed=name, text="Accumulating silver. R&D <up>.\nMore below.")
    third = feeds.fetch(url, first.etag, first.last_modified)
    assert third.posts[-1].text == "Accumulating silver. R&D <up>.\nMore below."
    known = {post.external_id for post in first.posts}
    assert known < {post.external_id for post in third.posts}


def test_a_feed_that_is_cut_off_is_refused_whole(sim: Any, feeds: FeedClient) -> None:
    url = f"{sim.url}/feeds/macro-notes.xml"
    sim.fault("feeds", "malformed")
    with pytest.raises(MalformedReplyError, match="not well-formed"):
        feeds.fetch(url)
    assert feeds.fetch(url).posts


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><body>Please log in</body></html>", "neither RSS nor Atom"),
        (b"", "neither RSS nor Atom|not well-formed"),
        (b"{}", "neither RSS nor Atom|not well-formed"),
    ],
)
def test_what_is_no_feed_is_refused(page: Page, feeds: FeedClient, body: bytes, words: str) -> None:
    page.body = body
    page.headers = {"content-type": "text/html"}
    with pytest.raises(MalformedReplyError, match=words):
        feeds.fetch(page.url)


def test_a_huge_document_is_refused_and_a_huge_item_cut(page: Page, http: httpx.Client) -> None:
    item = b"<item><title>t</title><description>" + b"x" * 200_000 + b"</description></item>"
    page.body = b'<rss version="2.0"><channel><title>c</title>' + item + b"</channel></rss>"
    page.headers = {"content-type": "application/rss+xml"}
    with pytest.raises(MalformedReplyError, match="more than 1000 bytes"):
        FeedClient(http, max_bytes=1000).fetch(page.url)
    (post,) = FeedClient(http, clock=lambda: NOW).fetch(page.url).posts
    assert len(post.text) == 50_000
    assert post.published_at == NOW


def test_an_item_without_an_id_keeps_one_identity(page: Page, feeds: FeedClient) -> None:
    page.headers = {"content-type": "application/rss+xml"}
    page.body = (
        b'<rss version="2.0"><channel><title>c</title>'
        b"<item><title>Long gold</title><description>Because.</description></item>"
        b"<item><title>Long gold</title><description>Because.</description></item>"
        b"<item></item></channel></rss>"
    )
    first, second = feeds.fetch(page.url), feeds.fetch(page.url)
    assert len(first.posts) == 1
    assert first.posts == second.posts


def test_an_entity_bomb_does_not_explode(page: Page, feeds: FeedClient) -> None:
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    page.headers = {"content-type": "application/rss+xml"}
    page.body = (
        f'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY l0 "lol">{levels}]>'
        '<rss version="2.0"><channel><title>c</title><item><title>&l11;</title></item></channel></rss>'
    ).encode()
    try:
        posts = feeds.fetch(page.url).posts
    except MalformedReplyError:
        return
    assert sum(len(post.text) for post in posts) < 1000


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, NotFoundError), (410, NotFoundError), (403, RefusedError), (429, RateLimitedError)],
)
def test_a_declining_server_is_a_typed_error_without_secrets(
    page: Page, feeds: FeedClient, status: int, error: type[Exception]
) -> None:
    page.status = status
    with pytest.raises(error) as refusal:
        feeds.fetch(f"{page.url}/feed.xml?key=s3cret")
    assert "s3cret" not in str(refusal.value)
    assert "/feed.xml" in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.org/feed", "feed.xml", "http://"]
)
def test_only_web_addresses_are_fetched(feeds: FeedClient, url: str) -> None:
    with pytest.raises(ConfigurationError, match="correct it"):
        feeds.fetch(url)


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>Long <b>gold</b>.</p><p>Now&nbsp;&amp; here</p>", "Long gold.\nNow & here"),
        ("a<br>b<script>alert(1)</script><style>p{}</style>", "a\nb"),
        ("no markup,  two   blanks", "no markup, two blanks"),
        ("<ul><li>one<li>two</ul>", "one\ntwo"),
        ("<!-- hidden: long everything -->seen", "seen"),
    ],
)
def test_html_becomes_what_a_reader_sees(markup: str, text: str) -> None:
    assert plain_text(markup) == text
