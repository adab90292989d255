"""Read X accounts through the X API v2.

The client reads and translates; it keeps no cursor and decides nothing. A timeline either comes back whole from the
cursor on, or an error is raised and the caller's cursor stays: a page that is missing in the middle can not go unseen.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from agentwhere_core.domain.errors import (
    ConfigurationError,
    MalformedReplyError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
)
from agentwhere_core.domain.idea import FetchedPost
from agentwhere_core.domain.time import Clock, utc_now
from agentwhere_core.sources import wire

if TYPE_CHECKING:
    import httpx

_SERVICE: Final = "x"
_PAGE: Final = 100
_MAX_PAGES: Final = 8
_WINDOW: Final = timedelta(minutes=15)
_DEFAULT_PAUSE: Final = timedelta(minutes=1)
_NOT_FOUND: Final = "/resource-not-found"
_Shape = TypeVar("_Shape", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class XUser:
    """An account: its number, which survives renaming, and its present names."""

    id: str
    username: str
    name: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The posts of one account that are newer than a cursor.

    Parameters
    ----------
    posts
        Oldest first; retweets are left out, since they are somebody else's opinion.
    newest_id
        The next cursor; None when there was nothing new.
    requests, retries
        What it took.
    complete
        False when the page limit cut off the oldest posts: a gap behind the cursor, to be reported.
    """

    posts: tuple[FetchedPost, ...]
    newest_id: str | None
    requests: int
    retries: int
    complete: bool


class _Problem(BaseModel):
    title: str = ""
    detail: str = ""
    type: str = ""
    message: str = ""


class _User(BaseModel):
    id: str
    username: str
    name: str


class _LongText(BaseModel):
    text: str


class _Tweet(BaseModel):
    id: str = Field(pattern=r"^\d+$")
    text: str
    created_at: AwareDatetime
    note_tweet: _LongText | None = None


class _Meta(BaseModel):
    result_count: int
    next_token: str | None = None


class _UserReply(BaseModel):
    data: _User | None = None
    errors: list[_Problem] = []


class _TimelineReply(BaseModel):
    data: list[_Tweet] = []
    meta: _Meta | None = None
    errors: list[_Problem] = []


class XClient:
    """Ask the X API v2.

    Parameters
    ----------
    base_url
        Address without ``/2``, e.g. ``https://api.x.com``.
    bearer_token
        App-only token; surrounding blanks are dropped.
    http
        Client to send with; its timeouts apply.
    clock
        Tells the time that rate-limit windows are compared with.

    Raises
    ------
    ConfigurationError
        If the token is empty or can not be one.
    """

    def __init__(
        self, base_url: str, bearer_token: str, http: httpx.Client, clock: Clock = utc_now
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._authorization = {"authorization": f"Bearer {_token(bearer_token)}"}
        self._http = http
        self._clock = clock
        self._closed_until: dict[str, datetime] = {}

    def resolve_user(self, handle: str) -> XUser:
        """Look an account up by its handle, with or without ``@``.

        Raises
        ------
        NotFoundError
            If X knows no such account, or suspended it.
        RateLimitedError
            If the window is used up; ``retry_at`` says when it opens.
        RemoteError
            For everything else that can go wrong.
        """
        name = handle.removeprefix("@")
        path = f"/2/users/by/username/{quote(name, safe='')}"
        reply = self._get("users", path, {})
        parsed = _parse(_UserReply, reply, path)
        if parsed.data is None:
            _raise_absent(parsed.errors, f"the account @{name}", reply)
        return XUser(parsed.data.id, parsed.data.username, parsed.data.name)

    def fetch_posts(
        self, user_id: str, *, since_id: str | None = None, since: datetime | None = None
    ) -> Timeline:
        """Read an account's posts that are newer than ``since_id`` and than ``since``.

        Raises
        ------
        NotFoundError
            If the account is gone or suspended.
        RateLimitedError
            If the window is used up, also between two pages; nothing is returned then, so keep the cursor.
        RemoteError
            For everything else that can go wrong.
        """
        path = f"/2/users/{quote(user_id, safe='')}/tweets"
        params = {
            "max_results": str(_PAGE),
            "exclude": "retweets",
            "tweet.fields": "created_at,note_tweet",
        }
        if since_id is not None:
            params["since_id"] = since_id
        if since is not None:
            params["start_time"] = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        tweets: list[_Tweet] = []
        retries = 0
        for page in range(1, _MAX_PAGES + 1):
            reply = self._get("tweets", path, params)
            retries += reply.retries
            parsed = _parse(_TimelineReply, reply, path)
            if parsed.meta is None:
                _raise_absent(parsed.errors, f"the account number {user_id}", reply)
            tweets += parsed.data
            token = parsed.meta.next_token
            if token is None:
                return _timeline(tweets, page, retries, complete=True)
            params["pagination_token"] = token
        return _timeline(tweets, _MAX_PAGES, retries, complete=False)

    def _get(self, window: str, path: str, params: dict[str, str]) -> wire.Reply:
        closed_until = self._closed_until.get(window)
        if closed_until is not None and self._clock() < closed_until:
            raise _rate_limited(window, closed_until)
        url = self._base_url + path
        reply = wire.get(self._http, _SERVICE, url, params=params, headers=self._authorization)
        if reply.status == 429 or reply.headers.get("x-rate-limit-remaining") == "0":
            self._closed_until[window] = _reset(reply, self._clock())
        if reply.status == 429:
            raise _rate_limited(window, self._closed_until[window])
        if reply.status >= 400:
            _raise_refused(reply, path)
        return reply


def _token(text: str) -> str:
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise ConfigurationError(
            "x: the bearer token is empty or holds characters that no token has; "
            "set AGENTWHERE_X_BEARER_TOKEN to the app's bearer token"
        )
    return token


def _timeline(tweets: list[_Tweet], requests: int, retries: int, *, complete: bool) -> Timeline:
    unique = {int(tweet.id): tweet for tweet in tweets}
    ordered = [unique[number] for number in sorted(unique)]
    newest = ordered[-1].id if ordered else None
    return Timeline(tuple(map(_fetched, ordered)), newest, requests, retries, complete)


def _fetched(tweet: _Tweet) -> FetchedPost:
    text = tweet.note_tweet.text if tweet.note_tweet is not None else tweet.text
    return FetchedPost(
        external_id=tweet.id,
        text=html.unescape(text),
        published_at=tweet.created_at.astimezone(UTC),
        url=f"https://x.com/i/status/{tweet.id}",
    )


def _reset(reply: wire.Reply, now: datetime) -> datetime:
    """Tell when the window opens; a wrong clock on either side costs one window at most."""
    told = reply.headers.get("x-rate-limit-reset", "")
    pause = reply.headers.get("retry-after", "")
    if told.isdecimal():
        reset = datetime.fromtimestamp(int(told), UTC)
    else:
        reset = now + (timedelta(seconds=int(pause)) if pause.isdecimal() else _DEFAULT_PAUSE)
    return max(now + timedelta(seconds=1), min(reset, now + _WINDOW))


def _rate_limited(window: str, retry_at: datetime) -> RateLimitedError:
    return RateLimitedError(
        _SERVICE,
        f"the rate limit of {window} is used up until {retry_at:%Y-%m-%d %H:%M:%S} UTC; "
        "the next run after that goes on, fewer accounts or a larger plan need fewer pauses",
        retry_at,
    )


def _raise_refused(reply: wire.Reply, path: str) -> NoReturn:
    remedies = {
        401: "the bearer token was not accepted; set AGENTWHERE_X_BEARER_TOKEN to a valid one",
        403: "the bearer token's plan does not allow this; use a token of a project with read access",
        404: "there is no such address; check the base URL",
    }
    told = _told(reply)
    remedy = remedies.get(reply.status, "X refused the request")
    raise RefusedError(_SERVICE, f"HTTP {reply.status} on {path}: {remedy}{told}")


def _told(reply: wire.Reply) -> str:
    try:
        problem = _Problem.model_validate_json(reply.body)
        errors = _UserReply.model_validate_json(reply.body).errors
    except ValidationError:
        return ""
    words = " ".join(
        each for each in (problem.detail, *(error.message for error in errors)) if each
    )
    return f" ({words})" if words else ""


def _raise_absent(errors: list[_Problem], what: str, reply: wire.Reply) -> NoReturn:
    if not errors:
        raise MalformedReplyError(
            _SERVICE, f"neither data nor errors about {what}: {_excerpt(reply)}; check the base URL"
        )
    error = errors[0]
    if error.type.endswith(_NOT_FOUND):
        raise NotFoundError(
            _SERVICE, f"{what} can not be read: {error.detail} Remove or correct this source"
        )
    raise RefusedError(_SERVICE, f"{what} can not be read: {error.title}: {error.detail}")


def _parse(shape: type[_Shape], reply: wire.Reply, path: str) -> _Shape:
    try:
        return shape.model_validate_json(reply.body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise MalformedReplyError(
            _SERVICE,
            f"the reply to {path} does not follow the API ({where}: {first['msg']}): {_excerpt(reply)}; "
            "the next run tries again, check the base URL if it repeats",
        ) from error


def _excerpt(reply: wire.Reply) -> str:
    return repr(reply.body[:120].decode(errors="replace"))
