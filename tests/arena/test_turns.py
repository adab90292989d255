"""What happens when models take their turns."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from agentwhere_flow.alerts import open_alerts, recent_alerts
from agentwhere_flow.arena.portfolio import mark_portfolios
from agentwhere_flow.arena.replay import replay
from agentwhere_flow.arena.results import standings
from agentwhere_flow.arena.turns import invoke_models
from agentwhere_flow.positions import monitor_positions
from agentwhere_flow.system import System
from agentwhere_flow.views.arena import invocations, performance
from agentwhere_sim.testing import Simulator
from agentwhere_store.arena import models as model_store
from tests.arena.scenes import calls, enter, later, states
from tests.flow.world import rows, utc_now


def test_a_model_trades_through_the_same_ledger_as_everyone(desk: System, sim: Simulator) -> None:
    enter(desk, sim, "trend", "sim/trend")

    report = invoke_models(desk, utc_now())

    assert report.problems == ()
    assert states(desk, "trend") == [("DONE", None)]
    made = calls(desk, "trend")
    assert made
    assert set(made) == {("CREATE_POSITION", "EXECUTED", None)}
    held = rows(desk, "SELECT side, size FROM agentwhere.positions WHERE status = 'OPEN'")
    assert len(held) == len(made)
    assert len(rows(desk, "SELECT total_value FROM agentwhere.portfolio_size")) == 1


def test_the_quantity_and_side_traded_are_those_asked_for(desk: System, sim: Simulator) -> None:
    enter(desk, sim, "trend", "sim/trend")
    invoke_models(desk, utc_now())
    asked = rows(
        desk,
        "SELECT ((c.metadata->>'arguments')::jsonb->>'quantity')::numeric, "
        "(c.metadata->>'arguments')::jsonb->>'side', p.size, p.side, p.stop_loss_price IS NULL "
        "FROM agentwhere.tool_calls c JOIN agentwhere.positions p ON p.signal_id = c.signal_id",
    )
    assert asked
    for quantity, wanted_side, size, side, unprotected in asked:
        assert size <= quantity < size + Decimal("0.001")
        assert (side, unprotected) == (wanted_side, False)


def test_closing_all_closes_everything_reduce_only(desk: System, sim: Simulator) -> None:
    enter(desk, sim, "macd", "baseline/macd")
    invoke_models(desk, utc_now())
    before = rows(desk, "SELECT token_symbol, side FROM agentwhere.positions ORDER BY 1")
    assert before
    # The rule turns round when the lines cross: within hours as a rule, within two days where the stretch is calm.
    for hours in range(1, 150):
        sim.control("clock", advance_s=3600)
        invoke_models(later(desk, hours), later(desk, hours).clock())
        if ("CLOSE_POSITION", "EXECUTED", None) in calls(desk, "macd"):
            break
    assert ("CLOSE_POSITION", "EXECUTED", None) in calls(desk, "macd")
    exits = rows(
        desk, "SELECT DISTINCT reduce_only, state FROM agentwhere.orders WHERE purpose = 'EXIT'"
    )
    assert exits == [(True, "FILLED")]


OUTCOMES: dict[str, tuple[str, list[tuple[Any, ...]], list[tuple[Any, ...]]]] = {
    "a refusal": ("sim/shy", [("FAILED", "MODEL_REFUSED")], []),
    "calls in plain text": (
        "sim/talker",
        [("DONE", None)],
        [("UNKNOWN", "REFUSED", "CALL_IN_TEXT")] * 2,
    ),
    "an answer that is cut off": (
        "sim/truncated",
        [("DONE", None)],
        [("UNKNOWN", "REFUSED", "MODEL_CUT_OFF")] * 2,
    ),
    "a model that learns": (
        "sim/learner",
        [("DONE", None)],
        [("CREATE_POSITION", "REFUSED", "BAD_QUANTITY"), ("CREATE_POSITION", "EXECUTED", None)],
    ),
    "a model that was taken over": (
        "sim/injectable",
        [("DONE", None)],
        [("CREATE_POSITION", "REFUSED", "QUANTITY_TOO_LARGE")],
    ),
    "a model that does not exist": ("sim/nobody", [("FAILED", "MODEL_UNAVAILABLE")], []),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_each_way_of_answering_badly_has_its_outcome(
    desk: System, sim: Simulator, name: str
) -> None:
    openrouter_model, ended, made = OUTCOMES[name]
    enter(desk, sim, "odd", openrouter_model)
    enter(desk, sim, "nothing", "baseline/nothing")
    invoke_models(desk, utc_now())
    assert states(desk, "odd") == ended
    assert calls(desk, "odd") == made
    assert states(desk, "nothing") == [("DONE", None)]


FAULTS = {
    "429": "MODEL_RATE_LIMITED",
    "5xx": "MODEL_UNAVAILABLE",
    "drop_after": "MODEL_UNAVAILABLE",
    "malformed": "MODEL_UNAVAILABLE",
    "hang_before": "MODEL_TIMED_OUT",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_provider_that_fails_costs_its_model_one_turn_and_the_others_none(
    desk: System, sim: Simulator, kind: str
) -> None:
    impatient = System(desk.settings.model_copy(update={"llm_timeout_s": 0.5}))
    enter(impatient, sim, "trend", "sim/trend")
    enter(impatient, sim, "hold", "baseline/hold-BTC")
    sim.fault("llm", kind, seconds=3, count=4)
    invoke_models(impatient, utc_now())
    assert states(impatient, "trend") == [("FAILED", FAULTS[kind])]
    assert calls(impatient, "hold") == [("CREATE_POSITION", "EXECUTED", None)]
    impatient.close()


def test_a_model_with_garbage_trades_nothing_and_harms_nobody(desk: System, sim: Simulator) -> None:
    enter(desk, sim, "garbage", "sim/garbage")
    for number in range(12):
        at = later(desk, number)
        invoke_models(at, at.clock())
    assert {status for _, status, _ in calls(desk, "garbage")} == {"REFUSED"}
    assert len(states(desk, "garbage")) == 12
    assert rows(desk, "SELECT count(*) FROM agentwhere.orders") == [(0,)]


def test_a_model_still_at_work_is_skipped_and_counted_and_delays_no_other(
    desk: System, sim: Simulator
) -> None:
    enter(desk, sim, "slow", "sim/trend")
    enter(desk, sim, "quick", "baseline/nothing")
    sim.fault("llm", "hang_before", seconds=12, count=2)
    other = System(desk.settings.model_copy(update={"llm_timeout_s": 12}))
    # A turn that begins so late in its interval that the next is due before the question is asked.
    began = utc_now().replace(second=0, microsecond=0) - timedelta(milliseconds=1)
    with desk.engine.begin() as conn:
        conn.execute(text("UPDATE agentwhere.models SET due_at = :at"), {"at": began})
    thread = threading.Thread(target=invoke_models, args=(other, began))
    thread.start()
    while ("DONE", None) not in states(desk, "quick"):
        time.sleep(0.02)
    at = later(desk, 2)
    report = invoke_models(at, at.clock())
    assert states(desk, "slow") == [("ASKING", None)], "the first one is still at work"
    assert states(desk, "quick") == [("DONE", None)] * 2
    thread.join()
    other.close()
    assert report.refusals == {"STILL_RUNNING": 1}
    assert rows(desk, "SELECT name, skipped FROM agentwhere.models ORDER BY 1") == [
        ("quick", 0),
        ("slow", 1),
    ]


def test_two_runs_at_once_invoke_each_model_once(desk: System, sim: Simulator) -> None:
    for number in range(4):
        enter(desk, sim, f"erratic-{number}", "sim/erratic")
    now = utc_now()
    others = [System(desk.settings) for _ in range(3)]
    threads = [threading.Thread(target=invoke_models, args=(other, now)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        other.close()
    counts = rows(desk, "SELECT model_id, count(*) FROM agentwhere.invocations GROUP BY 1")
    assert [count for _, count in counts] == [1] * 4


def test_a_model_is_not_invoked_before_its_interval_has_passed(
    desk: System, sim: Simulator
) -> None:
    enter(desk, sim, "calm", "baseline/nothing", interval_s=3600)
    now = utc_now()
    invoke_models(desk, now)
    invoke_models(desk, now + timedelta(seconds=1))
    assert len(states(desk, "calm")) == 1
    with desk.engine.begin() as conn:
        [due] = [model.due_at for model in model_store.all_models(conn)]
    assert now < due <= now + timedelta(hours=1)
    assert due.minute == 0


def test_the_days_budget_ends_a_models_turns(desk: System, sim: Simulator) -> None:
    enter(desk, sim, "dear", "sim/trend", budget_usd_per_day=Decimal("0.0000001"))
    invoke_models(desk, utc_now())
    at = later(desk, 2)
    report = invoke_models(at, at.clock())
    assert report.refusals == {"BUDGET_SPENT": 1}
    assert len(states(desk, "dear")) == 1


def test_a_budget_that_is_spent_is_one_incident_of_its_model_and_ends_with_its_next_turn(
    desk: System, sim: Simulator
) -> None:
    enter(desk, sim, "dear", "sim/trend", budget_usd_per_day=Decimal("0.0000001"))
    enter(desk, sim, "frugal", "sim/contrarian")
    invoke_models(desk, utc_now())
    for minutes in (2, 4):
        at = later(desk, minutes)
        invoke_models(at, at.clock())
    [alert] = open_alerts(desk)
    assert alert.title == "arena: dear has used up its daily budget"
    assert alert.times_seen == 2
    tomorrow = later(desk, 24 * 60)
    invoke_models(tomorrow, tomorrow.clock())
    assert open_alerts(desk) == []
    assert len(states(desk, "dear")) == 2
    assert len(recent_alerts(desk, 10)) == 1


def test_a_paused_deployment_trades_nothing_and_says_so(desk: System, sim: Simulator) -> None:
    enter(desk, sim, "hold", "baseline/hold-BTC")
    with desk.engine.begin() as conn:
        conn.exec_driver_sql("UPDATE agentwhere.deployments SET status = 'PAUSED'")
    invoke_models(desk, utc_now())
    at = later(desk, 4)
    invoke_models(at, at.clock())
    assert calls(desk, "hold")[0][1:] == ("FAILED", "CALL_EXPIRED")


def test_every_stored_invocation_of_200_replays_to_the_same_prompt_and_answer(
    desk: System, sim: Simulator
) -> None:
    """Twenty models, ten turns each, five simulated minutes apart."""
    for kind in ("trend", "contrarian", "erratic", "garbage", "learner"):
        for number in range(3):
            enter(desk, sim, f"{kind}-{number}", f"sim/{kind}", markets=("BTC",))
    for rule in ("nothing", "macd", "equal-weight", "hold-BTC", "hold-ETH"):
        enter(desk, sim, rule.lower(), f"baseline/{rule}")
    for number in range(10):
        sim.control("clock", advance_s=300)
        at = later(desk, (number + 1) * 5)
        invoke_models(at, at.clock())
    ids: list[UUID] = [row[0] for row in rows(desk, "SELECT id FROM agentwhere.invocations")]
    assert len(ids) == 200
    orders = rows(desk, "SELECT count(*) FROM agentwhere.orders")
    for id_ in ids:
        again = replay(desk, id_)
        assert again.is_same_prompt
        assert again.is_same_answer
    assert rows(desk, "SELECT count(*) FROM agentwhere.orders") == orders, "a replay trades nothing"


def test_the_pages_have_the_shapes_of_the_seed(desk: System, sim: Simulator) -> None:
    enter(desk, sim, "trend", "sim/trend")
    enter(desk, sim, "nothing", "baseline/nothing")
    invoke_models(desk, utc_now())
    chart = performance(desk, utc_now())
    assert set(chart) == {"data", "lastUpdated"}
    assert set(chart["data"][0]) == {"createdAt", "totalValue", "model"}
    assert {point["model"]["name"] for point in chart["data"]} == {"trend", "nothing"}
    recent = invocations(desk, utc_now(), 30)
    assert set(recent["data"][0]) == {
        "id",
        "modelId",
        "response",
        "model",
        "toolCalls",
        "createdAt",
    }
    call = next(item for item in recent["data"] if item["toolCalls"])["toolCalls"][0]
    assert set(call) == {"toolCallType", "metadata", "createdAt"}
    assert isinstance(call["metadata"], str)
    assert len(invocations(desk, utc_now(), 1)["data"]) == 1


def test_marks_are_taken_once_in_five_minutes(desk: System, sim: Simulator) -> None:
    enter(desk, sim, "hold", "baseline/hold-BTC", interval_s=3600)
    first = later(desk, 0)
    invoke_models(first, first.clock())
    second = later(desk, 6)
    assert mark_portfolios(second, second.clock()).rows_out == 1
    assert mark_portfolios(second, second.clock()).rows_out == 0
    monitor_positions(desk, utc_now())
    [standing] = standings(desk, second.clock())
    assert standing.fees_usd > 0
    assert standing.turnover == pytest.approx(0.95, abs=0.02)
    assert standing.differs_from_leader is None
