"""Agent What, first step: read what active agents' sources have published since the last time.

Each source is read by itself and stored at once with its cursor: an outage or a rate limit of one delays no other, and
a run that dies halfway has lost nothing. A source that failed keeps its cursor, so the next run reads the gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import SourceKind
from agentwhere_core.domain.errors import (
    ConfigurationError,
    NotFoundError,
    RateLimitedError,
    RemoteError,
)
from agentwhere_core.domain.idea import FetchedPost, Source
from agentwhere_flow.report import StepFailedError, Tally, step
from agentwhere_store import posts as post_store
from agentwhere_store import sources as source_store
from agentwhere_store.sources import Reading

if TYPE_CHECKING:
    from agentwhere_flow.system import System

_READERS = 16
_PAUSE_AFTER_NOT_FOUND = timedelta(hours=12)
_OVERLAP = 5


@dataclass(frozen=True, slots=True)
class _Read:
    """What one source gave: new posts and cursor, or an error."""

    reading: Reading
    posts: tuple[FetchedPost, ...] = ()
    retries: int = 0
    note: str = ""
    has_gap: bool = False
    is_whole_page: bool = False

    @property
    def source(self) -> Source:
        """The source, with the cursor as it is now."""
        return self.reading.source


@step("posts")
def ingest_posts(system: System, now: datetime) -> Tally:
    """Read every source that is due, and store its new posts once.

    Raises
    ------
    StepFailedError
        If there were sources to read and none could be.
    """
    tally = Tally()
    with system.engine.begin() as conn:
        sources = source_store.due_sources(conn, now)
    unusable = _warm_clients(system, sources.due)
    with ThreadPoolExecutor(_READERS, thread_name_prefix="source") as pool:
        readings = [pool.submit(_read, system, source, now, unusable) for source in sources.due]
        for done in as_completed(readings):
            _store(system, done.result(), now, tally)
    tally.table.sort(key=lambda row: (row["kind"], row["source"]))
    tally.problems.sort()
    tally.details |= {
        "sources": len(sources.due),
        "sources_waiting": sources.waiting,
        "sources_failed": sum(bool(row["error"]) for row in tally.table),
        "sources_with_gaps": sum(row["gap"] for row in tally.table),
        "requests_retried": sum(row["retries"] for row in tally.table),
    }
    failed = sum(bool(row["error"]) for row in tally.table)
    if failed and failed == len(sources.due):
        raise StepFailedError(
            f"none of {failed} sources could be read; nothing is lost, the next run goes on where the last one "
            f"ended: {'; '.join(tally.problems)}"
        )
    return tally


def _warm_clients(system: System, sources: Sequence[Source]) -> dict[SourceKind, str]:
    """Build the clients before threads share them; return why a kind of source cannot be read at all."""
    unusable = {}
    for kind in {source.kind for source in sources}:
        try:
            _ = system.x if kind is SourceKind.X else system.feeds
        except ConfigurationError as error:
            unusable[kind] = str(error)
    return unusable


def _read(
    system: System, source: Source, now: datetime, unusable: Mapping[SourceKind, str]
) -> _Read:
    """Ask the service; an error is part of the answer."""
    if source.kind in unusable:
        return _Read(Reading(source, unusable[source.kind]))
    try:
        if source.kind is SourceKind.X:
            return _read_account(system, source, now)
        return _read_feed(system, source, now)
    except RateLimitedError as error:
        return _Read(Reading(source, str(error), error.retry_at))
    except NotFoundError as error:
        return _Read(Reading(source, str(error), now + _PAUSE_AFTER_NOT_FOUND))
    except (RemoteError, ConfigurationError) as error:
        return _Read(Reading(source, str(error)))


def _read_account(system: System, source: Source, now: datetime) -> _Read:
    """Read an account's timeline from its cursor; the first time, only as far back as signals look."""
    user_id = source.external_id or system.x.resolve_user(source.locator).id
    since = _window_start(system, now) if source.cursor is None else None
    timeline = system.x.fetch_posts(user_id, since_id=source.cursor, since=since)
    read = replace(source, external_id=user_id, cursor=timeline.newest_id or source.cursor)
    note = "" if timeline.complete else "more posts than one run reads: the oldest are missing"
    return _Read(
        Reading(read), timeline.posts, timeline.retries, note, has_gap=not timeline.complete
    )


def _read_feed(system: System, source: Source, now: datetime) -> _Read:
    """Read a feed if it changed; items that are too old for a signal are not worth the model's time.

    A feed shows its newest items only. Where none of a full page was known, some may have come and gone unseen.
    """
    address = system.endpoints.feed_address(source.locator)
    page = system.feeds.fetch(address, source.etag, source.last_modified)
    read = replace(source, etag=page.etag, last_modified=page.last_modified)
    start = _window_start(system, now)
    fresh = tuple(post for post in page.posts if post.published_at > start)
    note = f"{len(page.posts) - len(fresh)} too old" if len(fresh) < len(page.posts) else ""
    if page.not_modified:
        note = "unchanged"
    was_read = source.etag is not None or source.last_modified is not None
    may_lack = was_read and len(page.posts) == len(fresh) >= _OVERLAP
    return _Read(Reading(read), fresh, page.retries, note, is_whole_page=may_lack)


def _window_start(system: System, now: datetime) -> datetime:
    return now - timedelta(hours=system.settings.signal_window_h)


def _store(system: System, read: _Read, now: datetime, tally: Tally) -> None:
    """Store posts and cursor in one transaction, and tell how it went."""
    with system.engine.begin() as conn:
        new = post_store.insert_posts(conn, read.source, read.posts, now)
        source_store.save_readings(conn, [read.reading], now)
    tally.rows_in += len(read.posts)
    tally.rows_out += new
    name, note, has_gap = read.source.locator, read.note, read.has_gap
    if read.is_whole_page and new == len(read.posts):
        note, has_gap = "nothing on the page was known: older items may be missing", True
    if read.reading.error:
        tally.problems.append(f"source {name}: {read.reading.error}")
    elif has_gap:
        tally.problems.append(f"source {name}: {note}; run the step more often")
    tally.table.append(
        {
            "source": name,
            "kind": read.source.kind.value,
            "read": len(read.posts),
            "new": new,
            "retries": read.retries,
            "gap": has_gap,
            "error": read.reading.error or "",
            "note": note,
        }
    )
