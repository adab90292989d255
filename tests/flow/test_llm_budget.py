"""The model's cost: what is known is not asked again, what is spent is known, and the day's budget holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentwhere_flow.alerts import open_alerts
from agentwhere_flow.classify import BUDGET_SPENT, OUTAGE, classify_posts
from agentwhere_flow.health import report_health
from agentwhere_flow.posts import ingest_posts
from agentwhere_flow.report import StepFailedError
from agentwhere_flow.signals import generate_signals
from agentwhere_flow.system import System
from agentwhere_flow.views import system_status
from agentwhere_sim.testing import Simulator
from tests.flow.world import open_system, rows, utc_now

Reopen = Callable[..., System]


@pytest.fixture
def reopen(desk: System, sim: Simulator, database_url: str, tmp_path: Path) -> Iterator[Reopen]:
    """Open the desk again under other settings."""
    opened: list[System] = []

    def open_again(**settings: Any) -> System:
        opened.append(open_system(sim, database_url, tmp_path / "home", **settings))
        return opened[-1]

    yield open_again
    for system in opened:
        system.close()


def calls(system: System) -> int:
    """Return how many questions were paid for."""
    return int(rows(system, "SELECT count(*) FROM agentwhere.llm_calls")[0][0])


def states(system: System) -> set[str]:
    """Return the states in which posts are."""
    return {state for (state,) in rows(system, "SELECT DISTINCT state FROM agentwhere.posts")}


def test_the_same_text_is_paid_for_once_whoever_repeats_it(desk: System, sim: Simulator) -> None:
    text = "Long $LINK from here. Unlocks for the quarter are done."
    for account in ("onchain_olga", "perp_pete"):
        sim.control("posts", account=account, text=text)
    ingest_posts(desk, utc_now())
    first = classify_posts(desk, utc_now())
    sim.control("posts", account="macro_maven", text=text)
    ingest_posts(desk, utc_now())
    again = classify_posts(desk, utc_now())
    assert first.details["from_cache"] == 1
    assert (again.rows_out, again.details["calls"], again.details["from_cache"]) == (1, 0, 1)
    assert again.details["cost_usd"] == "0"
    made = rows(
        desk,
        """SELECT m.token, m.side, c.is_cached, c.cost_usd > 0 FROM agentwhere.mentions m
           JOIN agentwhere.classifications c ON c.post_id = m.post_id WHERE m.token = 'LINK' ORDER BY 3""",
    )
    assert made == [("LINK", "LONG", False, True), *2 * [("LINK", "LONG", True, False)]]


def test_another_model_is_asked_again(desk: System, sim: Simulator, reopen: Reopen) -> None:
    ingest_posts(desk, utc_now())
    classify_posts(desk, utc_now())
    text = rows(desk, "SELECT text FROM agentwhere.posts LIMIT 1")[0][0]
    sim.control("posts", account="macro_maven", text=text)
    ingest_posts(desk, utc_now())
    report = classify_posts(reopen(llm_model="sim/obedient"), utc_now())
    assert (report.details["calls"], report.details["from_cache"]) == (1, 0)


def test_a_failed_answer_is_paid_for_and_never_taken_from_the_cache(
    desk: System, reopen: Reopen
) -> None:
    off_schema = reopen(llm_model="sim/off-schema")
    ingest_posts(desk, utc_now())
    with pytest.raises(StepFailedError, match="answered none"):
        classify_posts(off_schema, utc_now())
    paid = rows(
        desk,
        """SELECT count(*), min(attempts), min(prompt_tokens) > 0, min(cost_usd) > 0, bool_or(answered),
           min(raw_response ->> 'object') FROM agentwhere.llm_calls""",
    )
    assert paid[0][1:] == (2, True, True, False, "chat.completion")
    assert states(desk) == {"PENDING"}
    report = classify_posts(desk, utc_now())
    assert report.details["answered"] == paid[0][0] == report.rows_out


def test_the_budget_stops_calls_with_one_alert_and_the_next_day_goes_on(
    desk: System, reopen: Reopen
) -> None:
    now = utc_now().replace(hour=12)
    tight = reopen(llm_daily_budget_usd=Decimal("0.0005"))
    ingest_posts(desk, now)
    report = classify_posts(tight, now)
    waiting = report.details["still_pending"]
    dearest = rows(desk, "SELECT max(cost_usd) FROM agentwhere.llm_calls")[0][0]
    assert 0 < report.details["calls"] < report.rows_in
    assert report.refusals["CLASSIFIER_BUDGET_SPENT"] == waiting > 0
    assert (
        Decimal("0.0005") <= Decimal(report.details["cost_today_usd"]) < Decimal("0.0005") + dearest
    )

    asked = calls(desk)
    classify_posts(tight, now)
    assert calls(desk) == asked
    (alert,) = open_alerts(desk)
    assert (alert.incident, alert.times_seen) == (BUDGET_SPENT, 2)
    untried = rows(
        desk, "SELECT DISTINCT attempts, last_reason FROM agentwhere.posts WHERE state = 'PENDING'"
    )
    assert untried == [(0, "CLASSIFIER_BUDGET_SPENT")]
    assert any(
        "daily budget" in text for text in report_health(tight, now).details["recommendations"]
    )

    status = system_status(tight)["llm"]
    assert status["daily_budget_usd"] == "0.0005"

    tomorrow = now + timedelta(hours=13)
    more = reopen(llm_daily_budget_usd=Decimal(1), signal_window_h=72)
    assert classify_posts(more, tomorrow).rows_out == waiting
    assert open_alerts(desk) == []
    assert states(desk) == {"CLASSIFIED"}


def test_a_budget_of_nothing_asks_nothing(desk: System, reopen: Reopen) -> None:
    ingest_posts(desk, utc_now())
    classify_posts(reopen(llm_daily_budget_usd=Decimal(0)), utc_now())
    assert calls(desk) == 0
    assert states(desk) == {"PENDING"}


def test_usage_is_in_the_steps_details_and_in_the_status(desk: System) -> None:
    ingest_posts(desk, utc_now())
    details = classify_posts(desk, utc_now()).details
    status = system_status(desk)["llm"]
    assert details["calls"] == details["answered"] == status["calls_today"] > 15
    assert Decimal(details["cost_usd"]) == Decimal(status["cost_today_usd"]) > 0
    stored = rows(desk, "SELECT sum(cost_usd), sum(prompt_tokens) FROM agentwhere.classifications")
    assert stored == [(Decimal(details["cost_usd"]), details["prompt_tokens"])]
    assert status["daily_budget_usd"] == "5"


def test_an_outage_of_a_whole_batch_is_one_alert_and_degraded_health_until_the_model_is_back(
    desk: System, sim: Simulator
) -> None:
    ingest_posts(desk, utc_now())
    sim.fault("llm", "down")
    for _ in range(2):
        with pytest.raises(StepFailedError):
            classify_posts(desk, utc_now())
    assert generate_signals(desk, utc_now()).rows_out == 0
    waiting = rows(
        desk,
        "SELECT state, last_reason, bool_and(last_error <> '') FROM agentwhere.posts GROUP BY 1, 2",
    )
    assert waiting == [("PENDING", "CLASSIFIER_UNAVAILABLE", True)]
    (alert,) = open_alerts(desk)
    assert (alert.incident, alert.times_seen) == (OUTAGE, 2)
    assert component(desk, "posts")["status"] == "degraded"

    sim.http.delete("/control/faults")
    posts = rows(desk, "SELECT count(*) FROM agentwhere.posts")[0][0]
    assert classify_posts(desk, utc_now()).rows_out == posts
    assert classify_posts(desk, utc_now()).rows_in == 0
    assert rows(desk, "SELECT count(*) FROM agentwhere.classifications")[0][0] == posts
    assert open_alerts(desk) == []
    assert component(desk, "posts")["status"] == "healthy"


def test_a_post_too_old_for_a_signal_is_not_asked_about_any_more(
    desk: System, sim: Simulator
) -> None:
    sim.fault("llm", "down")
    ingest_posts(desk, utc_now())
    with pytest.raises(StepFailedError):
        classify_posts(desk, utc_now())
    sim.http.delete("/control/faults")
    report = classify_posts(desk, utc_now() + timedelta(hours=desk.settings.signal_window_h))
    assert calls(desk) > 0
    assert report.rows_in == report.details["calls"] == 0
    assert states(desk) == {"EXPIRED"}


def component(system: System, name: str) -> dict[str, Any]:
    """Return what a new health report says of a component."""
    report_health(system, utc_now())
    newest = "SELECT report FROM agentwhere.health_reports ORDER BY id DESC LIMIT 1"
    report: dict[str, Any] = rows(system, newest)[0][0]
    found: dict[str, Any] = report[name]
    return found
