"""From posts to decisions: what the documented backlog comes to, whatever fails, and however often it runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from agentwhere_core.domain.enums import AgentStatus
from agentwhere_core.domain.errors import ConfigurationError, NoSuchThingError
from agentwhere_core.domain.reasons import Reason
from agentwhere_flow.classify import classify_posts
from agentwhere_flow.demo import AGENT_NAME, create_demo
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.policy import apply_policies
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.posts import ingest_posts
from agentwhere_flow.report import StepFailedError, StepReport
from agentwhere_flow.signals import batch_of, generate_signals
from agentwhere_flow.stories import in_words, signal_story
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from agentwhere_store import agents as agent_store
from tests.flow.scenes import place_signal
from tests.flow.world import contents, open_system, rows, utc_now

TABLES = ("posts", "classifications", "mentions", "signals", "signal_refusals", "policy_decisions")
EXPECTED = {("BTC", "LONG"), ("ETH", "LONG"), ("SOL", "SHORT"), ("XAU", "LONG")}


def run_what(system: System, now: datetime | None = None) -> dict[str, StepReport]:
    """Run all steps from posts to policy decisions."""
    steps = (ingest_posts, classify_posts, generate_signals, apply_policies)
    return {report.step: report for report in (step(system, now or utc_now()) for step in steps)}


def signals(system: System) -> set[tuple[str, str]]:
    """Return token and side of every signal."""
    return {
        (token, side) for token, side in rows(system, "SELECT token, side FROM agentwhere.signals")
    }


def pending(system: System) -> int:
    """Return how many posts are not classified."""
    return int(rows(system, "SELECT count(*) FROM agentwhere.posts WHERE state = 'PENDING'")[0][0])


@pytest.fixture
def eager_desk(desk: System, sim: Simulator, database_url: str, tmp_path: Path) -> Iterator[System]:
    """The desk, asking about all posts at once: an outage is met once instead of once per group."""
    system = open_system(sim, database_url, tmp_path / "home", llm_concurrency=32)
    yield system
    system.close()


def test_the_backlog_makes_the_documented_signals(desk: System) -> None:
    reports = run_what(desk)
    assert signals(desk) == EXPECTED
    assert reports["posts"].rows_out == reports["classified_posts"].rows_in > 15
    assert pending(desk) == 0
    refused = rows(desk, "SELECT token, reason FROM agentwhere.signal_refusals")
    assert refused == [("DOGE", "CONFLICTING_POSTS")]
    assert reports["classified_posts"].refusals["TOKEN_NOT_LISTED"] == 1


def test_no_hostile_post_makes_a_signal(desk: System) -> None:
    run_what(desk)
    hostile = rows(
        desk,
        """SELECT m.token FROM agentwhere.mentions m JOIN agentwhere.posts p ON p.id = m.post_id
           JOIN agentwhere.x_accounts x ON x.id = p.source_id WHERE x.handle = 'hype_harry'""",
    )
    assert hostile == []


def test_sizes_stay_within_cap_and_budget(desk: System) -> None:
    run_what(desk)
    sizes = [size for (size,) in rows(desk, "SELECT fund_percentage FROM agentwhere.signals")]
    assert max(sizes) <= desk.settings.size_cap_pct
    assert sum(sizes) <= desk.settings.size_budget_pct


def test_each_signal_explains_itself(desk: System) -> None:
    run_what(desk)
    found = rows(
        desk, "SELECT token, explanation, source_post_ids, reasoning FROM agentwhere.signals"
    )
    for token, explanation, post_ids, reasoning in found:
        assert {post["post_id"] for post in explanation["posts"]} >= {
            str(each) for each in post_ids
        }
        assert explanation["context"]["price"] is not None
        assert [term["name"] for term in explanation["context_factor"]["terms"]]
        assert explanation["context"]["volatility_24h"] is not None
        assert token in reasoning


def test_a_signal_tells_its_story_with_posts_and_the_value_of_each_factor(desk: System) -> None:
    run_what(desk)
    signal_id, size = rows(
        desk, "SELECT id, fund_percentage FROM agentwhere.signals WHERE token = 'BTC'"
    )[0]
    story = signal_story(desk, str(signal_id)[-10:])
    assert {post["source"] for post in story["explanation"]["posts"]} == {
        "onchain_olga",
        "sim://feeds/deepvalue-research.xml",
    }
    told = "\n".join(in_words(story))
    assert "Exchange balances have fallen nine days in a row" in told
    for factor in ("source weight 0.5", "context factor", "volatility:", "2 voices", f"{size} %"):
        assert factor in told
    with pytest.raises(NoSuchThingError, match="no signal's id ends so"):
        signal_story(desk, "zz%")


def test_a_token_that_every_deployment_holds_makes_no_signal_until_one_is_free(
    desk: System, sim: Simulator
) -> None:
    for name in ("bold", "careful"):
        place_signal(desk, "SOL", deployment=name)
    execute_orders(desk, utc_now())
    monitor_positions(desk, utc_now())
    with desk.engine.begin() as conn:
        conn.exec_driver_sql(
            "UPDATE agentwhere.signals SET created_at = created_at - interval '1 day', "
            "expires_at = now() - interval '1 hour'"
        )
    report = run_what(desk)["signals"]
    assert report.refusals["ALREADY_HELD"] == 1
    assert ("SOL", "SHORT") not in signals(desk)
    with desk.engine.begin() as conn:
        conn.exec_driver_sql(
            "UPDATE agentwhere.deployments SET status = 'PAUSED' WHERE name = 'careful'"
        )
        conn.exec_driver_sql(
            "UPDATE agentwhere.positions SET status = 'CLOSED', closed_at = now(), size = 0 WHERE deployment_id IN "
            "(SELECT id FROM agentwhere.deployments WHERE name = 'bold')"
        )
    generate_signals(desk, utc_now())
    assert ("SOL", "SHORT") in signals(desk)


def test_the_careful_subscriber_gets_less_than_the_bold_one(desk: System) -> None:
    report = run_what(desk)["policy_decisions"]
    decisions = {
        (name, token): (outcome, granted)
        for name, token, outcome, granted in rows(
            desk,
            """SELECT d.name, s.token, p.outcome, p.fund_percentage
               FROM agentwhere.policy_decisions p JOIN agentwhere.deployments d ON d.id = p.deployment_id
               JOIN agentwhere.signals s ON s.id = p.signal_id""",
        )
    }
    assert len(decisions) == 2 * len(EXPECTED)
    for token, _ in EXPECTED:
        assert decisions["careful", token][1] < decisions["bold", token][1]
    assert [outcome for outcome, _ in decisions.values()].count("REFUSED") == 1
    assert report.refusals == {"MAX_POSITIONS_REACHED": 1}


def test_running_again_changes_nothing(desk: System) -> None:
    run_what(desk)
    before = contents(desk, *TABLES)
    reports = run_what(desk)
    assert contents(desk, *TABLES) == before
    assert [report.rows_out for report in reports.values()] == [0, 0, 0, 0]


def test_a_used_post_makes_no_second_signal_when_the_first_has_expired(desk: System) -> None:
    run_what(desk)
    before = contents(desk, *TABLES)
    later = utc_now() + timedelta(hours=desk.settings.signal_ttl_h + 1)
    report = generate_signals(desk, later)
    assert report.rows_in == 0
    assert contents(desk, *TABLES) == before


def test_a_late_post_on_another_token_still_makes_a_signal_in_its_slot(
    desk: System, sim: Simulator
) -> None:
    now = utc_now()
    run_what(desk, now)
    sim.control(
        "posts", account="perp_pete", text="Long $AVAX from here. Strong setup, a few days."
    )
    sim.control("posts", account="perp_pete", text="Added to my $BTC long. Strong setup.")
    reports = run_what(desk, now)
    assert signals(desk) == EXPECTED | {("AVAX", "LONG")}
    batches = rows(desk, "SELECT DISTINCT batch FROM agentwhere.signals")
    assert batches == [(batch_of(now),)]
    assert reports["signals"].refusals == {"RECENT_SIGNAL": 1}


def test_a_batch_never_spends_more_than_its_budget_in_several_runs(
    desk: System, sim: Simulator, database_url: str, tmp_path: Path
) -> None:
    tight = open_system(sim, database_url, tmp_path / "home", size_budget_pct=Decimal(10))
    now = utc_now()
    run_what(tight, now)
    spent = rows(tight, "SELECT sum(fund_percentage) FROM agentwhere.signals")[0][0]
    sim.control(
        "posts", account="perp_pete", text="Long $AVAX from here. Strong setup, a few days."
    )
    run_what(tight, now)
    assert Decimal("9.9") < spent <= 10
    total = rows(tight, "SELECT sum(fund_percentage) FROM agentwhere.signals")[0][0]
    assert spent <= total <= 10
    tight.close()


@pytest.mark.parametrize("fault", ["429", "5xx", "malformed"])
def test_one_failing_account_delays_no_other_source(
    desk: System, sim: Simulator, fault: str
) -> None:
    sim.fault("x", fault, count=None, match="by/username/perp_pete")
    report = ingest_posts(desk, utc_now())
    assert len(report.problems) == 1
    assert "perp_pete" in report.problems[0]
    kept = dict(
        rows(desk, "SELECT handle, last_error IS NULL FROM agentwhere.x_accounts ORDER BY handle")
    )
    if fault == "429":
        retry_at = rows(
            desk, "SELECT retry_at FROM agentwhere.x_accounts WHERE handle = 'perp_pete'"
        )
        assert retry_at[0][0] > utc_now()
    assert kept["onchain_olga"]
    assert not kept["perp_pete"]


def test_a_source_that_recovered_is_read_from_where_it_was(desk: System, sim: Simulator) -> None:
    sim.fault("x", "5xx", count=None, match="by/username/perp_pete")
    first = ingest_posts(desk, utc_now())
    sim.http.delete("/control/faults")
    second = ingest_posts(desk, utc_now())
    assert first.rows_out > 0
    assert second.rows_out == 4
    assert not second.problems


def test_a_rate_limited_source_is_left_alone_until_its_pause_is_over(
    desk: System, sim: Simulator
) -> None:
    sim.fault("x", "429", count=1, match="by/username/perp_pete")
    ingest_posts(desk, utc_now())
    resting = ingest_posts(desk, utc_now())
    assert resting.details["sources_waiting"] >= 1
    after = utc_now() + timedelta(hours=1)
    assert ingest_posts(desk, after).details["sources_waiting"] == 0


def test_no_readable_source_fails_the_step_and_loses_nothing(desk: System, sim: Simulator) -> None:
    sim.fault("x", "5xx", count=None)
    sim.fault("feeds", "5xx", count=None)
    with pytest.raises(StepFailedError, match="the next run goes on where the last one ended"):
        ingest_posts(desk, utc_now())
    sim.http.delete("/control/faults")
    run_what(desk)
    assert signals(desk) == EXPECTED


def test_items_too_old_for_a_signal_are_not_stored(desk: System, sim: Simulator) -> None:
    old = (utc_now() - timedelta(hours=desk.settings.signal_window_h + 1)).isoformat()
    sim.control("posts", feed="macro-notes", text="Going long silver. High conviction.", at=old)
    ingest_posts(desk, utc_now())
    assert rows(desk, "SELECT count(*) FROM agentwhere.posts WHERE text LIKE '%silver%'") == [(0,)]


def test_an_outage_of_the_model_makes_no_signal_and_loses_no_post(
    eager_desk: System, sim: Simulator
) -> None:
    ingest_posts(eager_desk, utc_now())
    sim.fault("llm", "5xx", count=None)
    with pytest.raises(StepFailedError, match="they stay pending and are tried again"):
        classify_posts(eager_desk, utc_now())
    assert generate_signals(eager_desk, utc_now()).rows_out == 0
    assert signals(eager_desk) == set()
    states = rows(
        eager_desk, "SELECT state, attempts, last_reason, last_error FROM agentwhere.posts"
    )
    assert {(state, tries, reason) for state, tries, reason, _ in states} == {
        ("PENDING", 1, "CLASSIFIER_UNAVAILABLE")
    }
    assert all("502" in error for *_, error in states)

    sim.http.delete("/control/faults")
    run_what(eager_desk)
    assert signals(eager_desk) == EXPECTED
    assert pending(eager_desk) == 0
    assert rows(
        eager_desk, "SELECT count(*) FROM agentwhere.posts WHERE last_error IS NOT NULL"
    ) == [(0,)]


def test_one_unanswered_post_stays_pending_alone(eager_desk: System, sim: Simulator) -> None:
    ingest_posts(eager_desk, utc_now())
    sim.fault("llm", "malformed", count=None, match="Short $SOL into this bounce")
    report = classify_posts(eager_desk, utc_now())
    assert report.details["still_pending"] == 1
    assert len(report.problems) == 1
    generate_signals(eager_desk, utc_now())
    assert signals(eager_desk) == EXPECTED - {("SOL", "SHORT")}
    sim.http.delete("/control/faults")
    run_what(eager_desk)
    assert signals(eager_desk) == EXPECTED


def test_nothing_is_classified_before_any_market_is_known(system: System) -> None:
    create_demo(system, utc_now())
    ingest_posts(system, utc_now())
    with pytest.raises(ConfigurationError, match="agentwhere sync-markets"):
        classify_posts(system, utc_now())
    assert pending(system) > 15


def test_a_venue_that_is_down_hides_no_other_venues_context(desk: System, sim: Simulator) -> None:
    ingest_posts(desk, utc_now())
    classify_posts(desk, utc_now())
    sim.fault("lighter", "down")
    report = generate_signals(desk, utc_now())
    assert signals(desk) == EXPECTED
    assert any("LIGHTER" in problem for problem in report.problems)


def test_a_paused_agent_reads_nothing_and_makes_nothing(desk: System) -> None:
    ingest_posts(desk, utc_now())
    classify_posts(desk, utc_now())
    with desk.engine.begin() as conn:
        agent = agent_store.find_agent(conn, AGENT_NAME)
        assert agent is not None
        agent_store.set_agent_status(conn, agent.id, AgentStatus.PAUSED, utc_now())
    reports = run_what(desk)
    assert reports["posts"].details["sources"] == 0
    assert signals(desk) == set()


def test_every_refusal_has_a_known_reason(desk: System) -> None:
    reports = run_what(desk)
    for report in reports.values():
        for reason in report.refusals:
            assert Reason(reason)


@pytest.mark.parametrize(
    ("hour", "slot"), [(0, "00"), (5, "00"), (6, "06"), (17, "12"), (18, "18"), (23, "18")]
)
def test_a_batch_is_named_after_its_slot(hour: int, slot: str) -> None:
    now = datetime(2026, 11, 20, hour, 59, tzinfo=UTC)
    assert batch_of(now) == f"2026-11-20T{slot}:00Z"
