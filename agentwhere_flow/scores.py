"""Sources' track records: what became of the signals that their posts led to, and the weight that follows (W8)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from agentwhere_core.performance.sources import TrackRecord, track_records
from agentwhere_flow.report import Tally, step
from agentwhere_store import hindsight as store

if TYPE_CHECKING:
    from agentwhere_flow.system import System


@step("source_scores")
def update_source_scores(system: System, now: datetime) -> Tally:
    """Bring the track record of every source up to date, new ones included."""
    tally = Tally()
    with system.engine.begin() as conn:
        sources = {source.id: source for source in store.known_sources(conn)}
        results = store.signal_results(conn)
    records = track_records(results, now, sources.keys())
    known = {id_: record for id_, record in records.items() if id_ in sources}
    with system.engine.begin() as conn:
        store.save_track_records(
            conn, known, {source.id: source.kind for source in sources.values()}, now
        )
    tally.rows_in, tally.rows_out = len(results), len(known)
    tally.details["closed_signals"] = sum(result.closed_at is not None for result in results)
    heard = sorted(known.values(), key=lambda record: (-record.closed, -record.signals))
    tally.table = [_row(sources[record.source_id].name, record) for record in heard]
    return tally


def _row(name: str, record: TrackRecord) -> dict[str, object]:
    return {
        "source": name,
        "signals": record.signals,
        "closed": record.closed,
        "hit rate": _percent(record.hit_rate),
        "95 % interval": ""
        if record.hit_rate is None
        else f"{_percent(record.hit_rate_low)} to {_percent(record.hit_rate_high)}",
        "PnL USD": f"{record.pnl_usd:.2f}",
        "still counting": f"{record.faded_hits:.1f} of {record.faded_closed:.1f}",
        "weight": f"{record.weight:.3f}",
    }


def _percent(share: Decimal | None) -> str:
    return "" if share is None else f"{share:.0%}"
