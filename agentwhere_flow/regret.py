"""Routing in hindsight: what each closed trade would have cost at the venues that it was not sent to (R7)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_core.performance.regret import TradeRegret, trade_regret
from agentwhere_flow.report import Tally, step
from agentwhere_store import hindsight as store
from agentwhere_store.hindsight import RoutedTrade

if TYPE_CHECKING:
    from agentwhere_flow.system import System


@step("routing_regret")
def compute_regret(system: System, now: datetime) -> Tally:
    """Compare each trade that closed since the last run with the venues that its decision found available."""
    tally = Tally()
    with system.engine.begin() as conn:
        trades = store.trades_without_regret(conn)
        found = [(routed, trade_regret(routed.trade, routed.checked)) for routed in trades]
        rows = store.save_regret(conn, found, now)
    tally.rows_in, tally.rows_out = len(trades), rows
    errors = [regret.model_error_bps for _, regret in found if regret.model_error_bps is not None]
    tally.details |= {
        "trades_with_a_cheaper_venue": sum(regret.worst is not None for _, regret in found),
        "average_model_error_bps": float(sum(errors, Decimal(0)) / len(errors)) if errors else None,
    }
    tally.table = [_row(routed, regret) for routed, regret in found]
    return tally


def _row(routed: RoutedTrade, regret: TradeRegret) -> dict[str, object]:
    own = next((item for item in regret.venues if item.was_selected), None)
    worst = regret.worst
    return {
        "token": routed.token,
        "venue": routed.trade.venue.value,
        "notional USD": f"{routed.trade.notional_usd:.2f}",
        "cost bps": "" if own is None else f"{own.cost_bps:.2f}",
        "cheaper venue": "none" if worst is None else worst.venue.value,
        "regret bps": "" if worst is None else f"{worst.regret_bps:.2f}",
    }
