"""What happens when models take their turns."""

from __future__ import annotations

from agentwhere_flow.arena.turns import invoke_models
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from tests.arena.scenes import calls, enter, states
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
    sizes = rows(desk, "SELECT total_value FROM agentwhere.portfolio_size")
    assert len(sizes) == 1
