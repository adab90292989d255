"""Read research feeds: RSS and Atom, politely and in full or not at all.

Requests are conditional (ETag, Last-Modified), bodies are capped, HTML becomes plain text. A document that is not
well-formed is an error, not a source of half sentences: a cut-off "would not buy" reads as its opposite.
"""

from __future__ import annotations

import hashlib
import re
from calendar import timegm
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final

from agentwhere_core.domain.errors import (
    MalformedReplyError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
)
from agentwhere_core.domain.idea import FetchedPost
from agentwhere_core.domain.time import Clock, require_utc, utc_now
from agentwhere_core.sources import wire

if TYPE_CHECKING:
    import httpx

_SERVICE: Final = "feed"
_MAX_TEXT: Final = 50_000
_LONGEST_PAUSE: Final = timedelta(days=1)
_ACCEPT: Final = "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.8"
_BLOCK: Final = re.compile(
    "address|article|blockquote|br|d[dt]|div|figcaption|h[1-6r]|li|[ou]l|p|pre|section|table|tr"
)
_SILENT: Final = frozenset(("script", "style", "template", "noscript"))


@dataclass(frozen=True, slots=True)
class FeedPage:
    """A feed's present items.

    Parameters
    ----------
    posts
        Oldest first; an item's text is its title, an empty line and its body.
    etag, last_modified
        To hand to the next ``fetch``.
    not_modified
        Whether the server said that nothing changed; ``posts`` is empty then.
    retries
        How many tries failed first.
    """

    posts: tuple[FetchedPost, ...]
    etag: str | None
    last_modified: str | None
    not_modified: bool
    retries: int


class FeedClient:
    """Fetch feeds.

    Parameters
    ----------
    http
        Client to send with; its timeouts apply.
    clock
        Tells the time for items that carry no date.
    max_bytes
        Larger documents are refused.
    """

    def __init__(
        self, http: httpx.Client, clock: Clock = utc_now, max_bytes: int = 5_000_000
    ) -> None:
        self._http = http
        self._clock = clock
        self._max_bytes = max_bytes

    def fetch(
        self, url: str, etag: str | None = None, last_modified: str | None = None
    ) -> FeedPage:
        """Read the feed at ``url`` unless it is unchanged since ``etag`` or ``last_modified``.

        Raises
        ------
        NotFoundError
            If there is no such feed (404, 410).
        RateLimitedError, RefusedError
            If the server declines.
        MalformedReplyError
            If the document is too large, not well-formed, or no feed.
        RemoteError
            For everything else that can go wrong.
        """
        headers = {"accept": _ACCEPT}
        if etag:
            headers["if-none-match"] = etag
        if last_modified:
            headers["if-modified-since"] = last_modified
        reply = wire.get(self._http, _SERVICE, url, headers=headers, max_bytes=self._max_bytes)
        if reply.status == 304:
            return FeedPage((), etag, last_modified, not_modified=True, retries=reply.retries)
        _check_status(reply, self._clock())
        posts = _items(_parse(reply, url), self._clock())
        return FeedPage(
            posts,
            reply.headers.get("etag"),
            reply.headers.get("last-modified"),
            not_modified=False,
            retries=reply.retries,
        )


def plain_text(markup: str) -> str:
    """Turn HTML into text: one line per block, no scripts, entities resolved."""
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    text = "".join(reader.pieces)
    lines = (re.sub(r"[^\S\n]+", " ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


class _Reader(HTMLParser):
    """Collect the visible text of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        """Break the line before a block, fall silent inside scripts and the like."""
        if tag in _SILENT:
            self._silent += 1
        elif _BLOCK.fullmatch(tag):
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """Break the line after a block."""
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif _BLOCK.fullmatch(tag):
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        """Keep what a reader would see."""
        if not self._silent:
            self.pieces.append(data)


def _check_status(reply: wire.Reply, now: datetime) -> None:
    if reply.status in (404, 410):
        raise NotFoundError(
            _SERVICE,
            f"there is no feed at {reply.url} (HTTP {reply.status}); remove or correct this source",
        )
    if reply.status == 429:
        raise RateLimitedError(
            _SERVICE,
            f"{reply.url} asks for fewer requests; the first run after its pause tries again",
            _retry_at(reply, now),
        )
    if reply.status != 200:
        raise RefusedError(
            _SERVICE,
            f"{reply.url} answered HTTP {reply.status}; check the address and whether it needs a login",
        )


def _retry_at(reply: wire.Reply, now: datetime) -> datetime:
    """Read ``Retry-After``, which holds seconds or a date (RFC 9110, 10.2.3); a day at most is believed."""
    value = reply.headers.get("retry-after", "").strip()
    if value.isdecimal():
        told = now + timedelta(seconds=min(int(value), 10**6))
    else:
        try:
            told = require_utc(parsedate_to_datetime(value), "Retry-After")
        except ValueError:
            told = now
    return max(now, min(told, now + _LONGEST_PAUSE))


def _parse(reply: wire.Reply, url: str) -> Any:
    import feedparser

    content_type = reply.headers.get("content-type", "application/xml")
    page = feedparser.parse(
        reply.body, response_headers={"content-type": content_type, "content-location": url}
    )
    trouble = page.get("bozo_exception") if page.get("bozo") else None
    harmless = (feedparser.CharacterEncodingOverride, feedparser.NonXMLContentType)
    if trouble is not None and not isinstance(trouble, harmless):
        raise MalformedReplyError(
            _SERVICE,
            f"{reply.url} is not well-formed ({trouble}); nothing of it was read. The next run tries again, "
            "tell its publisher if it repeats",
        )
    if not page.get("version"):
        raise MalformedReplyError(
            _SERVICE,
            f"{reply.url} is neither RSS nor Atom ({content_type}); give the feed's own address",
        )
    return page


def _items(page: Any, now: datetime) -> tuple[FetchedPost, ...]:
    items: dict[str, FetchedPost] = {}
    for entry in page.entries:
        post = _item(entry, now)
        if post is not None:
            items.setdefault(post.external_id, post)
    return tuple(sorted(items.values(), key=lambda post: post.published_at))


def _item(entry: Any, now: datetime) -> FetchedPost | None:
    title = plain_text(entry.get("title") or "")
    contents = [part.get("value") or "" for part in entry.get("content", [])]
    body = plain_text(max([entry.get("summary") or "", *contents], key=len))
    text = body if body.startswith(title) else f"{title}\n\n{body}".strip()
    if not text:
        return None
    link = entry.get("link") or None
    digest = hashlib.sha256(text.encode()).hexdigest()
    when = entry.get("published_parsed") or entry.get("updated_parsed")
    return FetchedPost(
        external_id=entry.get("id") or link or digest,
        text=text[:_MAX_TEXT],
        published_at=datetime.fromtimestamp(timegm(when), UTC) if when else now,
        url=link,
    )
