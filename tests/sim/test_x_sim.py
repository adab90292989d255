"""The simulated X API answers as X does, over a stream of posts that never changes its past."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from agentwhere_sim import posts
from agentwhere_sim.analyst import careful
from agentwhere_sim.x import LIMITS

GENESIS = datetime(2026, 3, 2, 12, tzinfo=UTC)
BEARER = {"authorization": "Bearer test-token"}


@pytest.fixture
def x(sim: Any) -> Any:
    with httpx.Client(base_url=f"{sim.url}/x", headers=BEARER, trust_env=False) as client:
        yield client


def _id(x: httpx.Client, name: str) -> str:
    return str(x.get(f"/2/users/by/username/{name}").json()["data"]["id"])


def _timeline(x: httpx.Client, name: str, **parameters: Any) -> Any:
    return x.get(f"/2/users/{_id(x, name)}/tweets", params=parameters).json()


def test_a_week_of_posts_is_read_by_the_careful_model_as_it_was_meant() -> None:
    week = list(posts.stream(7, GENESIS, GENESIS + timedelta(days=7)))
    misread = []
    for post in week:
        answer = careful(f"{post.title}\n{post.text}")
        calls = tuple((signal["token"], signal["side"]) for signal in answer["signals"])
        if calls != post.calls or answer["is_signal"] != bool(calls):
            misread.append((post.text, calls, post.calls))
    assert misread == []
    assert len({post.text for post in week}) / len(week) > 0.9


def test_a_new_post_comes_every_20_to_40_minutes() -> None:
    newest_first = list(posts.stream(7, GENESIS, GENESIS + timedelta(days=3)))
    instants = [post.at for post in reversed(newest_first) if post.at > GENESIS]
    gaps = [later - earlier for earlier, later in itertools.pairwise(instants)]
    assert min(gaps) >= timedelta(minutes=20)
    assert max(gaps) <= timedelta(minutes=40)


def test_the_stream_is_a_function_of_its_seed_and_its_past_never_changes() -> None:
    day = list(posts.stream(7, GENESIS, GENESIS + timedelta(days=1)))
    two_days = list(posts.stream(7, GENESIS, GENESIS + timedelta(days=2)))
    assert two_days[-len(day) :] == day
    assert list(posts.stream(8, GENESIS, GENESIS + timedelta(days=1))) != day
    ids = [post.id for post in two_days]
    assert ids == sorted(set(ids), reverse=True)


def test_the_backlog_shows_every_case_of_the_demonstration() -> None:
    backlog = posts.backlog(GENESIS)
    assert all(timedelta(0) < GENESIS - post.at < timedelta(hours=6) for post in backlog)
    calls = [call for post in backlog for call in post.calls]
    assert calls.count(("BTC", "LONG")) == 2
    expected = {("ETH", "LONG"), ("SOL", "SHORT"), ("XAU", "LONG"), ("WAGMICAT", "LONG")}
    assert expected <= set(calls)
    assert {("DOGE", "LONG"), ("DOGE", "SHORT")} <= set(calls)
    assert sum(not post.calls for post in backlog) >= 8


def test_a_timeline_comes_in_pages_without_gaps_or_repeats(sim: Any, x: httpx.Client) -> None:
    sim.control("clock", advance_s=3 * 86400)
    user = _id(x, "perp_pete")
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = x.get(f"/2/users/{user}/tweets", params={"max_results": 7, **token}).json()
        found += [tweet["id"] for tweet in page["data"]]
        assert page["meta"]["newest_id"] == page["data"][0]["id"]
        assert page["meta"]["oldest_id"] == page["data"][-1]["id"]
        if "next_token" not in page["meta"]:
            break
        token = {"pagination_token": page["meta"]["next_token"]}
    whole = _timeline(x, "perp_pete", max_results=100)
    assert found == [tweet["id"] for tweet in whole["data"]]
    assert found == sorted(set(found), key=int, reverse=True)
    assert len(found) > 14


def test_since_id_and_until_id_bound_the_page_and_nothing_new_has_no_data(x: httpx.Client) -> None:
    whole = _timeline(x, "onchain_olga", max_results=100)["data"]
    newer = _timeline(x, "onchain_olga", max_results=100, since_id=whole[-1]["id"])["data"]
    assert newer == whole[:-1]
    older = _timeline(x, "onchain_olga", max_results=100, until_id=whole[0]["id"])["data"]
    assert older == whole[1:]
    nothing = _timeline(x, "onchain_olga", since_id=whole[0]["id"])
    assert nothing == {"meta": {"result_count": 0}}


def test_start_time_and_exclude_filter_the_page(sim: Any, x: httpx.Client) -> None:
    now = datetime.fromisoformat(sim.http.get("/control/clock").json()["now"])
    start = (now - timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    sim.control("posts", account="olga_echo", text="@perp_pete agreed")
    sim.control("posts", account="olga_echo", text="RT @perp_pete: hello")
    sim.control("posts", account="olga_echo", text="my own words")
    own = _timeline(x, "olga_echo", exclude="replies,retweets", start_time=start)["data"]
    assert [tweet["text"] for tweet in own] == ["my own words"]
    recent = _timeline(
        x, "onchain_olga", start_time=start, **{"tweet.fields": "created_at,author_id"}
    )
    assert all(tweet["created_at"] >= start for tweet in recent["data"])
    assert {tweet["author_id"] for tweet in recent["data"]} == {_id(x, "onchain_olga")}


def test_an_added_post_appears_once_its_time_has_come(sim: Any, x: httpx.Client) -> None:
    now = datetime.fromisoformat(sim.http.get("/control/clock").json()["now"])
    later = (now + timedelta(minutes=10)).isoformat()
    sim.control("posts", account="fresh_face", text="Long $ETH from here.")
    sim.control("posts", account="fresh_face", text="later", at=later)
    assert [tweet["text"] for tweet in _timeline(x, "fresh_face")["data"]] == [
        "Long $ETH from here."
    ]
    sim.control("clock", advance_s=601)
    assert next(tweet["text"] for tweet in _timeline(x, "fresh_face")["data"]) == "later"


def test_text_is_escaped_and_a_long_post_needs_its_own_field(sim: Any, x: httpx.Client) -> None:
    sim.control("posts", account="writer", text="a < b & c " + "x" * 400)
    short = _timeline(x, "writer")["data"][0]
    assert short["text"].startswith("a &lt; b &amp; c xxx")
    assert short["text"].endswith("x\u2026")
    whole = _timeline(x, "writer", **{"tweet.fields": "note_tweet"})["data"][0]
    assert whole["note_tweet"]["text"].endswith("x" * 400)


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"max_results": 4}, "max_results"),
        ({"max_results": 101}, "max_results"),
        ({"since_id": "abc"}, "since_id"),
        ({"start_time": "yesterday"}, "start_time"),
        ({"tweet.fields": "mood"}, "tweet.fields"),
        ({"pagination_token": "nonsense"}, "pagination_token"),
        ({"page": "2"}, "page"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(
    x: httpx.Client, parameters: dict[str, Any], name: str
) -> None:
    reply = x.get(f"/2/users/{_id(x, 'perp_pete')}/tweets", params=parameters)
    assert reply.status_code == 400
    assert list(reply.json()["errors"][0]["parameters"]) == [name]
    assert reply.json()["title"] == "Invalid Request"


def test_unknown_and_suspended_users_are_errors_on_http_200(x: httpx.Client) -> None:
    unknown = x.get("/2/users/by/username/nobody_here")
    assert unknown.status_code == 200
    assert unknown.json()["errors"][0]["title"] == "Not Found Error"
    suspended = x.get("/2/users/by/username/rugged_ralph").json()
    assert suspended["errors"][0]["detail"] == "User has been suspended: [rugged_ralph]."
    assert "data" not in suspended
    assert x.get("/2/users/123/tweets").json()["errors"][0]["parameter"] == "id"


def test_no_token_is_unauthorized(sim: Any) -> None:
    reply = sim.http.get("/x/2/users/by/username/perp_pete")
    assert reply.status_code == 401
    assert reply.json()["title"] == "Unauthorized"


def test_the_rate_limit_counts_down_refuses_and_resets(sim: Any, x: httpx.Client) -> None:
    sim.control("clock", now="2026-03-02T12:00:00+00:00", frozen=True)
    path = "/2/users/by/username/perp_pete"
    mine = {"authorization": "Bearer greedy"}
    first = x.get(path, headers=mine)
    assert first.headers["x-rate-limit-remaining"] == str(LIMITS["users"] - 1)
    for _ in range(LIMITS["users"] - 1):
        last = x.get(path, headers=mine)
    assert last.status_code == 200
    assert last.headers["x-rate-limit-remaining"] == "0"
    refused = x.get(path, headers=mine)
    assert refused.status_code == 429
    assert refused.json()["title"] == "Too Many Requests"
    assert x.get(path).status_code == 200
    reset = datetime.fromtimestamp(int(refused.headers["x-rate-limit-reset"]), UTC)
    sim.control("clock", now=reset.isoformat(), frozen=True)
    assert x.get(path, headers=mine).status_code == 200


def test_a_restart_continues_the_stream(own_sim: Any) -> None:
    def texts() -> list[str]:
        reply = own_sim.http.get(f"/x/2/users/{user}/tweets?max_results=100", headers=BEARER)
        return [tweet["id"] + tweet["text"] for tweet in reply.json()["data"]]

    user = posts_user(own_sim)
    own_sim.control("posts", account="perp_pete", text="an added one")
    before = texts()
    own_sim.kill()
    own_sim.start()
    assert texts() == before
    assert any("an added one" in text for text in before)


def posts_user(sim: Any) -> str:
    reply = sim.http.get("/x/2/users/by/username/perp_pete", headers=BEARER)
    return str(reply.json()["data"]["id"])
