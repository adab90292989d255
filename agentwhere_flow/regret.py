"""Routing in hindsight: what each closed trade would have cost at the venues that it was not sent to (R7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agentwhere_core.domain.enums import Venue
from agentwhere_core.performance.regret import Chosen, TradeRegret, trade_regret
from agentwhere_core.where.record import read_scene, read_trade
from agentwhere_flow.report import Tally, step
from agentwhere_flow.shares import venue_share_plots
from agentwhere_store import regrets as store
from agentwhere_store.regrets import RoutedTrade

if TYPE_CHECKING:
    from agentwhere_flow.system import System


@step("routing_regret")
def compute_regret(system: System, now: datetime) -> Tally:
    """Compare each trade that closed since the last run with the venues that were available to it.

    The report's plots show how all trades of the last month were spread over venues.
    """
    tally = Tally()
    with system.engine.begin() as conn:
        trades = store.trades_without_regret(conn)
        rates = store.observed_funding(conn, [routed.trade.position_id for routed in trades])
        found = [
            (routed, _regret(routed, rates.get(routed.trade.position_id, {}))) for routed in trades
        ]
        rows = store.save_regret(conn, found, now)
        tally.plots = venue_share_plots(conn, now)
    tally.rows_in, tally.rows_out = len(trades), rows
    errors = [regret.model_error_bps for _, regret in found if regret.model_error_bps is not None]
    tally.details |= {
        "trades_with_a_cheaper_venue": sum(regret.worst is not None for _, regret in found),
        "average_model_error_bps": float(sum(errors, Decimal(0)) / len(errors)) if errors else None,
    }
    tally.table = [_row(routed, regret) for routed, regret in found]
    return tally


def regret_by_venue(system: System, since: datetime | None = None) -> list[dict[str, Any]]:
    """Return, by strategy and venue, what trades cost and what the best other venue would have saved."""
    with system.engine.begin() as conn:
        return store.regret_by_venue(conn, since)


def _regret(routed: RoutedTrade, rates: Mapping[Venue, Decimal]) -> TradeRegret:
    request, standings = read_trade(routed.inputs)
    return trade_regret(routed.trade, Chosen(read_scene(routed.scene), request, standings), rates)


def _row(routed: RoutedTrade, regret: TradeRegret) -> dict[str, object]:
    own, worst = regret.venues[0].cost, regret.worst
    return {
        "token": routed.token,
        "venue": routed.trade.venue.value,
        "notional USD": f"{routed.trade.notional_usd:.2f}",
        "fees bps": f"{own.fees_bps:.2f}",
        "slippage bps": f"{own.slippage_bps:.2f}",
        "funding bps": f"{own.funding_bps:.2f}",
        "cost bps": f"{own.total_bps:.2f}",
        "cheaper venue": "none" if worst is None else worst.venue.value,
        "regret bps": "" if worst is None else f"{worst.regret_bps:.2f}",
    }
