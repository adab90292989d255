"""Track records of sources: how often their signals earned money, and the weight that follows (W8).

The sample is the **signal**, not the position: a signal that fans out to a hundred deployments is still one opinion. It
counts as closed when all its positions are, and as a hit when together they earned money after fees and funding. A
signal of several sources counts in full for the hit rate of each, and its PnL is shared equally among them.

**Weight**, the factor on a signal's score, lies in (0, 1]:

    counts = 2^(−age / 90 days)                age since the signal's last position closed, in whole days (UTC)
    weight = (H + 5) / (N + 10)                N: sum of counts over closed signals; H: the same over hits
             at least 0.05, at most 0.5 while the sum of counts × net PnL is negative

A new source therefore starts at 0.5, as if ten signals with five hits lay behind it, and earns or loses trust signal by
signal. Half a weight is small: with the exponential sizing (k = 3) it keeps the most confident signal below a fifth of
the cap. A high hit rate with a few ruinous losses does not help: who loses money in sum never weighs more than a
newcomer.

Old outcomes **fade**, by exponential decay with a half-life of 90 days: markets change, accounts change hands, and a
streak of two years ago says little of tomorrow. Three months is about a market's season, and long enough for a source
with a signal a week to outweigh the prior. Who falls silent becomes a newcomer again, from above or from below. Ages
are whole days, so that every computation of one day comes to the same weight. Counts, hit rate, interval and PnL are of
all time and do not fade: they say what was, the weight says what to expect.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

NEW_SOURCE_WEIGHT = Decimal("0.5")
MIN_WEIGHT = Decimal("0.05")
PRIOR_SIGNALS = 10
"""How many closed signals the assumed hit rate of one half is worth."""

HALF_LIFE_DAYS = 90
"""After how many days an outcome counts half."""

CONFIDENCE = Decimal("0.95")
_Z = Decimal("1.959963984540054")  # two-sided 95 % quantile of the normal distribution
_PLACES = Decimal("0.000001")
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class SignalResult:
    """What became of one signal over all deployments.

    Parameters
    ----------
    source_ids
        The sources whose posts made the signal; repeats count once.
    net_pnl_usd
        Realized PnL of its positions less fees, plus funding; of what is closed so far.
    closed_at
        When the last of its positions closed; None while one is open, or if it never had any.
    """

    signal_id: UUID
    source_ids: tuple[UUID, ...]
    net_pnl_usd: Decimal
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """One source's record.

    Parameters
    ----------
    signals, closed, hits
        Signals made, those whose result is known (the sample size), and those that earned money.
    hit_rate, hit_rate_low, hit_rate_high
        Share of hits among closed signals, with its 95 % Wilson interval; None without closed signals.
    pnl_usd
        The source's share of the net PnL of closed signals.
    faded_closed, faded_hits
        What is left of ``closed`` and ``hits`` after fading; the weight follows from them.
    weight
        Factor on the score of its next signals.
    """

    source_id: UUID
    signals: int
    closed: int
    hits: int
    hit_rate: Decimal | None
    hit_rate_low: Decimal | None
    hit_rate_high: Decimal | None
    pnl_usd: Decimal
    faded_closed: Decimal
    faded_hits: Decimal
    weight: Decimal


def track_records(
    results: Iterable[SignalResult], now: datetime, sources: Collection[UUID] = ()
) -> dict[UUID, TrackRecord]:
    """Return the track record at ``now`` of every source that is named or stands behind a signal.

    The order of ``results`` does not matter.
    """
    by_source: dict[UUID, list[tuple[SignalResult, int]]] = defaultdict(list)
    for source_id in sources:
        by_source[source_id] = []
    for result in sorted(results, key=lambda result: result.signal_id):  # sums round alike
        authors = set(result.source_ids)
        for source_id in authors:
            by_source[source_id].append((result, len(authors)))
    return {source_id: _record(source_id, made, _day(now)) for source_id, made in by_source.items()}


def wilson_interval(hits: int, trials: int) -> tuple[Decimal, Decimal] | None:
    """Return the 95 % confidence interval of a rate, or None without trials.

    Wilson, E. B. (1927), "Probable inference, the law of succession, and statistical inference". It stays within [0, 1]
    and is honest for small samples.
    """
    if trials == 0:
        return None
    n, square = Decimal(trials), _Z * _Z
    rate = hits / n
    centre = (rate + square / (2 * n)) / (1 + square / n)
    half = _Z / (1 + square / n) * (rate * (1 - rate) / n + square / (4 * n * n)).sqrt()
    return max(_ZERO, centre - half), min(Decimal(1), centre + half)


def fading(closed_on: date, today: date) -> Decimal:
    """Return what an outcome still counts, from 1 on its own day (or one to come) towards 0."""
    age = max((today - closed_on).days, 0)
    return Decimal(2) ** (-Decimal(age) / HALF_LIFE_DAYS)


def source_weight(hits: Decimal, closed: Decimal, pnl_usd: Decimal) -> Decimal:
    """Return the weight of a source by the formula of this module, from faded sums."""
    earned = (hits + PRIOR_SIGNALS * NEW_SOURCE_WEIGHT) / (closed + PRIOR_SIGNALS)
    if pnl_usd < 0:
        earned = min(earned, NEW_SOURCE_WEIGHT)
    return max(MIN_WEIGHT, earned).quantize(_PLACES)


def _record(source_id: UUID, made: list[tuple[SignalResult, int]], today: date) -> TrackRecord:
    """Add up the signals of one source."""
    finished = [
        (
            result.net_pnl_usd > 0,
            result.net_pnl_usd / authors,
            fading(_day(result.closed_at), today),
        )
        for result, authors in made
        if result.closed_at is not None
    ]
    closed = len(finished)
    hits = sum(is_hit for is_hit, _, _ in finished)
    faded_closed = sum((counts for _, _, counts in finished), _ZERO)
    faded_hits = sum((counts for is_hit, _, counts in finished if is_hit), _ZERO)
    faded_pnl = sum((pnl * counts for _, pnl, counts in finished), _ZERO)
    interval = wilson_interval(hits, closed)
    return TrackRecord(
        source_id=source_id,
        signals=len(made),
        closed=closed,
        hits=hits,
        hit_rate=(hits / Decimal(closed)).quantize(_PLACES) if closed else None,
        hit_rate_low=interval[0].quantize(_PLACES) if interval else None,
        hit_rate_high=interval[1].quantize(_PLACES) if interval else None,
        pnl_usd=sum((pnl for _, pnl, _ in finished), _ZERO).quantize(_PLACES),
        faded_closed=faded_closed.quantize(_PLACES),
        faded_hits=faded_hits.quantize(_PLACES),
        weight=source_weight(faded_hits, faded_closed, faded_pnl),
    )


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()
