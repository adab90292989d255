"""Candles of the arena's markets: fetched from their venues where they are missing, stored once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentwhere_core.arena.indicators import INTERVALS, SHOWN, WARM_UP, seen_at, without_gaps
from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import RemoteError
from agentwhere_core.domain.market import Candle, Market
from agentwhere_core.tracing import carried
from agentwhere_flow.report import Tally, step
from agentwhere_store import markets as market_store
from agentwhere_store.arena import models as model_store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_core.arena.values import TraderModel
    from agentwhere_flow.system import System

MarketKey = tuple[Venue, str]
_WHOLE_ENOUGH = 0.9

Bars = dict[tuple[Venue, str, str], list[Candle]]


@step("arena_candles")
def refresh_arena_candles(system: System, now: datetime) -> Tally:
    """Fetch the 5 m and 4 h candles that have closed since the last look, for all markets of the arena."""
    tally = Tally()
    with system.engine.begin() as conn:
        known = model_store.all_models(conn)
        markets = markets_of(system, conn, known)
    listed = list({(m.venue, m.token): m for found in markets.values() for m in found}.values())
    fetched = update_candles(system, now, listed, tally)
    tally.rows_in, tally.rows_out = len(listed) * len(INTERVALS), fetched
    tally.details |= {"markets": len(listed), "intervals": list(INTERVALS)}
    return tally


def markets_of(
    system: System, conn: Connection, models: Iterable[TraderModel]
) -> dict[object, tuple[Market, ...]]:
    """Return, by model id, the markets that it trades and sees: those of its venue, or of the first that lists one."""
    known = list(models)
    tokens = {token for model in known for token in model.markets}
    active = {
        (market.venue, market.token): market
        for market in market_store.markets(conn, tokens=tokens)
        if market.is_active and market.venue in system.venues
    }

    def find(model: TraderModel, token: str) -> Market | None:
        venues = list(system.venues) if model.venue is Venue.MULTI else [model.venue]
        return next((active[venue, token] for venue in venues if (venue, token) in active), None)

    return {
        model.id: tuple(m for token in model.markets if (m := find(model, token)) is not None)
        for model in known
    }


def update_candles(system: System, now: datetime, markets: Sequence[Market], tally: Tally) -> int:
    """Fetch and store the candles that are missing, forming ones included; return how many came.

    A market whose last closed candle is stored is not asked again before the next one closes.
    """
    span = {name: step_ * (WARM_UP + SHOWN) for name, step_ in INTERVALS.items()}
    return fetch_candles(
        system, now, markets, {name: (now - length, now) for name, length in span.items()}, tally
    )


def fetch_candles(
    system: System,
    now: datetime,
    markets: Sequence[Market],
    spans: Mapping[str, tuple[datetime, datetime]],
    tally: Tally,
) -> int:
    """Fetch and store what is missing of ``spans`` (start and end by interval); return how many candles came."""
    with system.engine.begin() as conn:
        stored = _stored(conn, markets, {name: start for name, (start, _) in spans.items()})
    asked = []
    for market in markets:
        for interval, (start, end) in spans.items():
            length = INTERVALS[interval]
            have = stored.get((market.venue, market.token, interval))
            begin = have.last + length if have and have.covers(start, length) else start
            if begin + length <= end:
                asked.append((market, interval, begin, end))

    def fetch(
        one: tuple[Market, str, datetime, datetime],
    ) -> list[Candle] | RemoteError:
        market, interval, begin, end = one
        try:
            return system.venues[market.venue].candles(market, interval, begin, end, now)
        except RemoteError as error:
            return error

    with ThreadPoolExecutor(system.settings.execution_concurrency) as pool:
        answers = list(pool.map(carried(fetch), asked))
    bars: list[Candle] = []
    for (market, interval, _, _), answer in zip(asked, answers, strict=True):
        if isinstance(answer, RemoteError):
            tally.problems.append(
                f"no {interval} candles of {market.token} from {market.venue}: {answer}"
            )
        else:
            bars += answer
    with system.engine.begin() as conn:
        market_store.save_candles(conn, bars)
    return len(bars)


def stored_bars(
    conn: Connection, markets: Sequence[Market], since: Mapping[str, datetime], at: datetime
) -> Bars:
    """Return the closed candles of ``markets`` that had closed by ``at``, by venue, token and interval; gaps filled."""
    wanted = {(market.venue, market.token) for market in markets}
    found: Bars = {}
    for interval, start in since.items():
        tokens = {token for _, token in wanted}
        for bar in market_store.candles(conn, tokens, interval, start):
            if (bar.venue, bar.token) in wanted and bar.is_closed:
                found.setdefault((bar.venue, bar.token, interval), []).append(bar)
    return {
        key: without_gaps(seen_at(bars, at, INTERVALS[key[2]]), INTERVALS[key[2]])
        for key, bars in found.items()
    }


def warm_up_since(now: datetime) -> dict[str, datetime]:
    """Return, by interval, from when on candles are needed for a prompt at ``now``."""
    return {name: now - length * (WARM_UP + SHOWN) for name, length in INTERVALS.items()}


@dataclass(frozen=True, slots=True)
class _Stored:
    """Which closed candles of one market and interval are stored: the first, the last and their number."""

    first: datetime
    last: datetime
    count: int

    def covers(self, start: datetime, length: timedelta) -> bool:
        """Return whether nothing is missing from ``start`` on, but for the odd bar in which nobody traded."""
        expected = (self.last - self.first) / length + 1
        return self.first <= start + length and self.count >= expected * _WHOLE_ENOUGH


def _stored(
    conn: Connection, markets: Sequence[Market], since: Mapping[str, datetime]
) -> dict[tuple[Venue, str, str], _Stored]:
    opens: dict[tuple[Venue, str, str], list[datetime]] = defaultdict(list)
    tokens = {market.token for market in markets}
    for interval, start in since.items():
        for bar in market_store.candles(conn, tokens, interval, start):
            if bar.is_closed:
                opens[bar.venue, bar.token, interval].append(bar.open_time)
    return {key: _Stored(min(at), max(at), len(at)) for key, at in opens.items()}
