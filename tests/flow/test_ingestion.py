"""Reading sources: each by itself, politely, without gaps that nobody sees, and never into the operator's network."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from agentwhere_core.domain.enums import AgentStatus
from agentwhere_core.domain.errors import ConfigurationError
from agentwhere_flow.demo import AGENT_NAME
from agentwhere_flow.posts import ingest_posts
from agentwhere_flow.registry import checked_sources, edit_agent, follow, set_agent_status, unfollow
from agentwhere_flow.settings import Profile, Settings
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from agentwhere_store import sources as source_store
from tests.flow.world import open_system, rows, utc_now


def posts_of(system: System, source: str) -> list[str]:
    """Return the texts that are stored of an X account."""
    query = """SELECT p.text FROM agentwhere.posts p JOIN agentwhere.x_accounts x ON x.id = p.source_id
               WHERE x.handle = :source ORDER BY p.published_at"""
    return [text for (text,) in rows(system, query, source=source)]


def test_a_slow_source_delays_no_other(desk: System, sim: Simulator) -> None:
    sim.fault("x", "slow", seconds=4, match="by/username/perp_pete")
    reader = threading.Thread(target=ingest_posts, args=(desk, utc_now()))
    reader.start()
    read = """SELECT (SELECT count(*) FROM agentwhere.x_accounts WHERE last_fetched IS NOT NULL)
                   + (SELECT count(*) FROM agentwhere.research_sources WHERE last_fetched IS NOT NULL)"""
    deadline = time.monotonic() + 60
    while (done := rows(desk, read)[0][0]) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    stored_before_the_slow_one = (done, posts_of(desk, "perp_pete"))
    reader.join()
    assert stored_before_the_slow_one == (5, [])
    assert len(posts_of(desk, "perp_pete")) == 4


def test_without_a_token_for_x_the_feeds_are_read_all_the_same(
    desk: System, sim: Simulator, database_url: str, tmp_path: Path
) -> None:
    system = open_system(sim, database_url, tmp_path / "home", x_bearer_token=" ")
    report = ingest_posts(system, utc_now())
    system.close()
    errors = {row["source"]: row["error"] for row in report.table}
    assert sum("AGENTWHERE_X_BEARER_TOKEN" in error for error in errors.values()) == 4
    assert report.rows_out > 0
    assert report.details["sources_failed"] == 4


def test_a_renamed_account_is_read_on_and_nobody_takes_its_place(
    desk: System, sim: Simulator
) -> None:
    ingest_posts(desk, utc_now())
    sim.control("x", account="perp_pete", username="pete_the_great")
    sim.control("posts", account="perp_pete", text="Long $LINK from here.")
    report = ingest_posts(desk, utc_now())
    assert not report.problems
    assert posts_of(desk, "perp_pete")[-1] == "Long $LINK from here."


def test_a_suspended_account_is_named_left_alone_for_a_while_and_read_again_when_it_is_back(
    desk: System, sim: Simulator
) -> None:
    ingest_posts(desk, utc_now())
    sim.control("x", account="perp_pete", suspended=True)
    sim.control("posts", account="perp_pete", text="Long $LINK from here.")
    report = ingest_posts(desk, utc_now())
    assert len(report.problems) == 1
    assert "suspended" in report.problems[0]
    assert ingest_posts(desk, utc_now()).details["sources_waiting"] == 1
    sim.control("x", account="perp_pete", suspended=False)
    later = ingest_posts(desk, utc_now() + timedelta(hours=13))
    assert not later.problems
    assert posts_of(desk, "perp_pete")[-1] == "Long $LINK from here."


def test_a_gap_in_a_timeline_is_a_problem_that_says_so(desk: System, sim: Simulator) -> None:
    ingest_posts(desk, utc_now())
    for number in range(801):
        sim.control("posts", account="perp_pete", text=f"Chart number {number}.")
    report = ingest_posts(desk, utc_now())
    assert report.details["sources_with_gaps"] == 1
    assert "the oldest are missing; run the step more often" in report.problems[0]
    assert ingest_posts(desk, utc_now()).details["sources_with_gaps"] == 0


def test_a_feed_page_of_which_nothing_was_known_is_a_gap(desk: System, sim: Simulator) -> None:
    ingest_posts(desk, utc_now())
    for number in range(41):
        sim.control("posts", feed="macro-notes", text=f"Note number {number}.")
    report = ingest_posts(desk, utc_now())
    assert report.details["sources_with_gaps"] == 1
    assert "older items may be missing" in report.problems[0]


def test_an_unchanged_feed_is_not_sent_again(desk: System) -> None:
    ingest_posts(desk, utc_now())
    notes = {row["source"]: row["note"] for row in ingest_posts(desk, utc_now()).table}
    assert [note for source, note in notes.items() if "://" in source] == ["unchanged"] * 2


def test_simulated_feeds_are_found_wherever_the_simulator_listens(
    desk: System, own_sim: Simulator, database_url: str, tmp_path: Path
) -> None:
    moved = open_system(own_sim, database_url, tmp_path / "home")
    report = ingest_posts(moved, utc_now())
    moved.close()
    assert own_sim.url not in str(rows(desk, "SELECT url FROM agentwhere.research_sources"))
    assert not report.problems
    with pytest.raises(ConfigurationError, match="profile sim only"):
        System(Settings(profile=Profile.PAPER)).endpoints.feed_address("sim://feeds/x.xml")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "[::1]"])
def test_a_feed_inside_the_network_is_refused_and_the_others_are_read(
    desk: System, host: str
) -> None:
    follow(desk, utc_now(), AGENT_NAME, [], [f"http://{host}:1/latest/meta-data"])
    report = ingest_posts(desk, utc_now())
    assert len(report.problems) == 1
    assert "private network" in report.problems[0]
    assert report.rows_out > 15


def test_a_feed_of_the_operators_own_network_is_read_where_the_settings_allow_it(
    desk: System, own_sim: Simulator, sim: Simulator, database_url: str, tmp_path: Path
) -> None:
    address = f"{own_sim.url}/feeds/macro-notes.xml"
    follow(desk, utc_now(), AGENT_NAME, [], [address])
    assert "private network" in ingest_posts(desk, utc_now()).problems[0]
    allowed = open_system(sim, database_url, tmp_path / "home", feeds_private=True)
    report = ingest_posts(allowed, utc_now())
    allowed.close()
    assert not report.problems
    assert next(row["new"] for row in report.table if row["source"] == address) > 0


@pytest.mark.parametrize(
    ("handles", "feeds", "words"),
    [
        (["no spaces"], [], "no X account"),
        ([], ["ftp://example.com/feed"], "must begin with http"),
        ([], ["file:///etc/passwd"], "must begin with http"),
        ([], ["https://user:secret@example.com/feed"], "holds a password"),
    ],
)
def test_what_cannot_be_a_source_is_never_followed(
    desk: System, handles: list[str], feeds: list[str], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words) as told:
        checked_sources(desk, handles, feeds)
    assert "secret" not in str(told.value)


def test_an_agent_can_be_edited_paused_and_given_other_sources(desk: System) -> None:
    now = utc_now()
    assert follow(desk, now, AGENT_NAME, ["@New_Voice"], ["https://example.com/rss"]) == 2
    assert follow(desk, now, AGENT_NAME, ["new_voice"], []) == 0
    assert unfollow(desk, AGENT_NAME, ["NEW_VOICE"], ["https://example.com/rss"]) == 2
    edit_agent(desk, now, AGENT_NAME, {"leverage": 5, "stop_loss_pct": 3})
    set_agent_status(desk, now, AGENT_NAME, AgentStatus.PAUSED)
    found = rows(desk, "SELECT leverage, stop_loss_pct, status FROM agentwhere.agents")
    assert found == [(5, 3, "PAUSED")]
    with pytest.raises(ConfigurationError, match="leverage is at least 1"):
        edit_agent(desk, now, AGENT_NAME, {"leverage": 0})
    with pytest.raises(ConfigurationError, match="there is no agent"):
        edit_agent(desk, now, "Nobody", {"leverage": 2})
    with desk.engine.begin() as conn:
        sources = source_store.list_sources(conn)
    handles = {row["source"] for row in sources if row["kind"] == "X"}
    with pytest.raises(ConfigurationError, match="without a source"):
        unfollow(
            desk, AGENT_NAME, sorted(handles), [r["source"] for r in sources if r["kind"] == "FEED"]
        )
    assert {row["source"]: row["followed_by"] for row in sources}["perp_pete"] == [AGENT_NAME]
    assert {row["source"]: row["followed_by"] for row in sources}["new_voice"] is None
