"""Simulate the X API v2: user lookup by name and a user's posts.

Shapes, defaults, limits and error bodies follow X's public reference: an unknown or suspended user is an ``errors``
array on HTTP 200, a bad parameter a problem document on 400, an empty page has no ``data``. Text is HTML-escaped and
cut at 280 characters; only the field ``note_tweet`` has the rest. Any non-empty bearer token is accepted, and each has
its own rate-limit windows, kept in simulated time and in memory only.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentwhere_sim import posts, x_accounts
from agentwhere_sim.post_bank import AUTHORS, SUSPENDED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.requests import Request

    from agentwhere_sim.posts import Post
    from agentwhere_sim.world import World
    from agentwhere_sim.x_accounts import Account

LIMITS: Final = {"users": 300, "tweets": 900}
"""Requests per bearer token and window."""

_WINDOW: Final = timedelta(minutes=15)
_PROBLEMS: Final = "https://api.twitter.com/2/problems/"
_USER_FIELDS: Final = (
    "created_at",
    "description",
    "id",
    "name",
    "protected",
    "username",
    "verified",
)
_TWEET_FIELDS: Final = (
    "author_id",
    "created_at",
    "edit_history_tweet_ids",
    "id",
    "lang",
    "note_tweet",
    "public_metrics",
    "referenced_tweets",
    "text",
)
_TIMELINE_PARAMETERS: Final = frozenset(
    [
        "max_results",
        "since_id",
        "until_id",
        "start_time",
        "end_time",
        "pagination_token",
        "tweet.fields",
        "exclude",
        "expansions",
        "user.fields",
    ]
)
_TIMELINE_DEPTH: Final = 3200
_SHORT: Final = 280
_HANDLE: Final = re.compile(r"^[A-Za-z0-9_]{1,15}$")
_PAGE_TOKEN: Final = re.compile(r"^7140w([0-9a-z]+)$")


class _BadRequestError(Exception):
    """A parameter that X refuses, with X's sentence about it."""

    def __init__(self, parameter: str, value: str, message: str) -> None:
        super().__init__(message)
        self.body = {
            "errors": [{"parameters": {parameter: [value]}, "message": message}],
            "title": "Invalid Request",
            "detail": "One or more parameters to your request was invalid.",
            "type": _PROBLEMS + "invalid-request",
        }


def routes(world: World) -> list[Route]:
    """Give the routes below ``/x``."""
    posts.prepare(world)
    x_accounts.prepare(world)
    service = _X(world)
    return [
        Route("/2/users/by/username/{username}", service.endpoint("users", service.user)),
        Route("/2/users/{id}/tweets", service.endpoint("tweets", service.tweets)),
    ]


def user_id(handle: str) -> str:
    """Give the number that X knows a handle by."""
    digest = hashlib.sha256(handle.lower().encode()).digest()
    return str(1_400_000_000_000_000_000 + int.from_bytes(digest[:6], "big"))


class _X:
    """Answer requests to the simulated X."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._windows: dict[tuple[str, str], tuple[datetime, int]] = {}
        world.on_reset(self._windows.clear)

    def endpoint(
        self, limit: str, handle: Callable[[Request], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Wrap a handler with what all endpoints share: token, rate limit, faults."""

        async def answer(request: Request) -> Response:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                return _problem(401, "Unauthorized")
            headers, exhausted = self._count(token.strip(), limit)
            if exhausted:
                return _problem(429, "Too Many Requests", headers)
            try:
                response = handle(request)
            except _BadRequestError as refusal:
                response = JSONResponse(refusal.body, 400)
            response.headers.update(headers)
            return response

        forbidden = _problem(403, "Forbidden")
        return self._world.faults.guard("x", answer, forbidden)

    def user(self, request: Request) -> Response:
        """Look a user up by name."""
        name = request.path_params["username"]
        if not _HANDLE.match(name):
            raise _BadRequestError(
                "username",
                name,
                f"The `username` query parameter value [{name}] does not match ^[A-Za-z0-9_]{{1,15}}$",
            )
        fields = _choices(request, "user.fields", _USER_FIELDS)
        known = self._account(lambda account: account.username.lower() == name.lower())
        if known is None:
            detail = f"Could not find user with username: [{name}]."
            return _absent("username", name, "Not Found Error", detail)
        if known.is_suspended:
            detail = f"User has been suspended: [{name}]."
            return _absent("username", name, "Forbidden", detail)
        user = _user(known)
        return JSONResponse(
            {"data": {key: user[key] for key in ("id", "name", "username", *fields)}}
        )

    def tweets(self, request: Request) -> Response:
        """List a user's posts, newest first."""
        unknown = sorted(set(request.query_params) - _TIMELINE_PARAMETERS)
        if unknown:
            raise _BadRequestError(
                unknown[0],
                request.query_params[unknown[0]],
                f"The query parameter [{unknown[0]}] is not one of [{','.join(sorted(_TIMELINE_PARAMETERS))}]",
            )
        wanted = request.path_params["id"]
        if not wanted.isdecimal():
            raise _BadRequestError(
                "id", wanted, f"The `id` query parameter value [{wanted}] is not valid"
            )
        limit = _max_results(request)
        fields = _choices(request, "tweet.fields", _TWEET_FIELDS)
        matches = _Filter(request)
        known = self._account(lambda account: user_id(account.handle) == wanted)
        if known is None:
            detail = f"Could not find user with id: [{wanted}]."
            return _absent("id", wanted, "Not Found Error", detail)
        if known.is_suspended:
            detail = f"User has been suspended: [{wanted}]."
            return _absent("id", wanted, "Forbidden", detail)
        found = list(islice(self._timeline(known.handle, matches, request), limit + 1))
        return JSONResponse(_page(found, limit, fields, has_previous=matches.paged))

    def _timeline(self, handle: str, matches: _Filter, request: Request) -> Iterator[Post]:
        excluded = _choices(request, "exclude", ("replies", "retweets"))
        for post in islice(posts.newest_first(self._world, "x", handle), _TIMELINE_DEPTH):
            if post.id <= matches.after or (matches.start and post.at < matches.start):
                return
            if post.id >= matches.before or (matches.end and post.at >= matches.end):
                continue
            if "replies" in excluded and posts.is_reply(post.text):
                continue
            if "retweets" in excluded and posts.is_retweet(post.text):
                continue
            yield post

    def _account(self, wanted: Callable[[Account], bool]) -> Account | None:
        handles = (*posts.authors(self._world, "x"), *SUSPENDED)
        accounts = (x_accounts.account(self._world, handle) for handle in handles)
        return next((account for account in accounts if wanted(account)), None)

    def _count(self, token: str, limit: str) -> tuple[dict[str, str], bool]:
        now = self._world.now()
        start, used = self._windows.get((token, limit), (now, 0))
        if not start <= now < start + _WINDOW:
            start, used = now, 0
        used += 1
        self._windows[token, limit] = start, used
        headers = {
            "x-rate-limit-limit": str(LIMITS[limit]),
            "x-rate-limit-remaining": str(max(0, LIMITS[limit] - used)),
            "x-rate-limit-reset": str(int((start + _WINDOW).timestamp()) + 1),
        }
        return headers, used > LIMITS[limit]


class _Filter:
    """Bounds of a timeline request, checked."""

    def __init__(self, request: Request) -> None:
        self.after = _snowflake(request, "since_id") or 0
        self.before = _snowflake(request, "until_id") or 1 << 63
        self.start = _instant(request, "start_time")
        self.end = _instant(request, "end_time")
        token = request.query_params.get("pagination_token")
        self.paged = token is not None
        if token is not None:
            shape = _PAGE_TOKEN.match(token)
            if shape is None:
                raise _BadRequestError(
                    "pagination_token",
                    token,
                    f"The `pagination_token` value [{token}] is not valid",
                )
            self.before = min(self.before, int(shape[1], 36))


def _page(
    found: list[Post], limit: int, fields: list[str], *, has_previous: bool
) -> dict[str, Any]:
    page = found[:limit]
    if not page:
        return {"meta": {"result_count": 0}}
    meta: dict[str, Any] = {
        "newest_id": str(page[0].id),
        "oldest_id": str(page[-1].id),
        "result_count": len(page),
    }
    if len(found) > limit:
        meta["next_token"] = "7140w" + _base36(page[-1].id)
    if has_previous:
        meta["previous_token"] = "77qpy" + _base36(page[0].id)
    always = ("edit_history_tweet_ids", "id", "text")
    data = [_tweet(post) for post in page]
    return {
        "data": [
            {key: tweet[key] for key in dict.fromkeys((*always, *fields)) if key in tweet}
            for tweet in data
        ],
        "meta": meta,
    }


def _tweet(post: Post) -> dict[str, Any]:
    tweet: dict[str, Any] = {
        "id": str(post.id),
        "text": escape(_shortened(post.text), quote=False),
        "edit_history_tweet_ids": [str(post.id)],
        "author_id": user_id(post.author),
        "created_at": _iso(post.at),
        "lang": "en",
        "public_metrics": {
            "retweet_count": post.id % 17,
            "reply_count": post.id % 11,
            "like_count": post.id % 230,
            "quote_count": post.id % 5,
        },
    }
    if len(post.text) > _SHORT:
        tweet["note_tweet"] = {"text": escape(post.text, quote=False)}
    if posts.is_retweet(post.text):
        tweet["referenced_tweets"] = [{"type": "retweeted", "id": str(post.id - 1)}]
    elif posts.is_reply(post.text):
        tweet["referenced_tweets"] = [{"type": "replied_to", "id": str(post.id - 1)}]
    return tweet


def _shortened(text: str) -> str:
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "\u2026"


def _user(account: Account) -> dict[str, Any]:
    handle = account.handle
    title = next((author.title for author in AUTHORS if author.name == handle), handle)
    return {
        "id": user_id(handle),
        "name": title,
        "username": account.username,
        "created_at": "2021-06-01T09:00:00.000Z",
        "description": "Simulated account.",
        "protected": False,
        "verified": False,
    }


def _max_results(request: Request) -> int:
    value = request.query_params.get("max_results", "10")
    if not value.isdecimal() or not 5 <= int(value) <= 100:
        raise _BadRequestError(
            "max_results",
            value,
            f"The `max_results` query parameter value [{value}] is not between 5 and 100",
        )
    return int(value)


def _snowflake(request: Request, name: str) -> int | None:
    value = request.query_params.get(name)
    if value is None:
        return None
    if not value.isdecimal() or len(value) > 19:
        raise _BadRequestError(
            name, value, f"The `{name}` query parameter value [{value}] is not valid"
        )
    return int(value)


def _instant(request: Request, name: str) -> datetime | None:
    value = request.query_params.get(name)
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None or "T" not in value:
        raise _BadRequestError(
            name, value, f"Invalid '{name}':'{value}'. '{name}' must be a valid RFC 3339 date-time"
        )
    return instant


def _choices(request: Request, name: str, allowed: tuple[str, ...]) -> list[str]:
    chosen = [value for value in request.query_params.get(name, "").split(",") if value]
    for value in chosen:
        if value not in allowed:
            raise _BadRequestError(
                name,
                value,
                f"The `{name}` query parameter value [{value}] is not one of [{','.join(allowed)}]",
            )
    return chosen


def _absent(parameter: str, value: str, title: str, detail: str) -> Response:
    error = {
        "value": value,
        "detail": detail,
        "title": title,
        "resource_type": "user",
        "parameter": parameter,
        "resource_id": value,
        "type": _PROBLEMS + "resource-not-found",
    }
    return JSONResponse({"errors": [error]})


def _problem(status: int, title: str, headers: dict[str, str] | None = None) -> Response:
    body = {"title": title, "type": "about:blank", "status": status, "detail": title}
    return JSONResponse(body, status, headers)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits
