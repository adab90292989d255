"""Track records of sources."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.performance.sources import (
    HALF_LIFE_DAYS,
    MIN_WEIGHT,
    NEW_SOURCE_WEIGHT,
    SignalResult,
    TrackRecord,
    fading,
    source_weight,
    track_records,
    wilson_interval,
)

D = Decimal
OLGA, PETE, NEWCOMER = UUID(int=1), UUID(int=2), UUID(int=3)
NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
HALF_LIFE = timedelta(days=HALF_LIFE_DAYS)


def result(
    number: int, pnl: str | int, *sources: UUID, closed_at: datetime | None = NOW
) -> SignalResult:
    return SignalResult(UUID(int=number), sources, D(pnl), closed_at)


def streak(length: int, pnl: int, closed_at: datetime) -> list[SignalResult]:
    return [result(n, pnl, OLGA, closed_at=closed_at) for n in range(length)]


def weight(results: list[SignalResult], now: datetime = NOW) -> Decimal:
    return track_records(results, now, [OLGA])[OLGA].weight


def test_a_new_source_starts_small() -> None:
    records = track_records([], NOW, [NEWCOMER])
    assert records[NEWCOMER] == TrackRecord(
        NEWCOMER, 0, 0, 0, None, None, None, D(0), D(0), D(0), NEW_SOURCE_WEIGHT
    )


def test_a_record_counts_signals_hits_and_money() -> None:
    records = track_records(
        [
            result(1, 30, OLGA),
            result(2, -10, OLGA),
            result(3, 0, OLGA),
            result(4, 500, OLGA, closed_at=None),
        ],
        NOW,
    )
    record = records[OLGA]
    assert (record.signals, record.closed, record.hits) == (4, 3, 1)
    assert (record.hit_rate, record.pnl_usd) == (D("0.333333"), D(20))
    assert record.weight == D("0.461538")


def test_a_shared_signal_counts_in_full_and_shares_its_money() -> None:
    records = track_records([result(1, 30, OLGA, PETE), result(2, -10, PETE, PETE)], NOW)
    assert (records[OLGA].hits, records[OLGA].pnl_usd) == (1, D(15))
    assert (records[PETE].closed, records[PETE].hits, records[PETE].pnl_usd) == (2, 1, D(5))


def test_who_loses_money_never_weighs_more_than_a_newcomer() -> None:
    many_small_wins = [result(n, 1, OLGA) for n in range(30)]
    assert weight(many_small_wins) == D("0.875")
    one_disaster = result(99, -1000, OLGA)
    record = track_records([*many_small_wins, one_disaster], NOW)[OLGA]
    assert record.hit_rate is not None
    assert record.hit_rate > D("0.9")
    assert record.weight == NEW_SOURCE_WEIGHT


@given(st.integers(0, 2000), st.integers(0, 2000), st.decimals("-9", "9", places=2))
def test_a_weight_lies_within_its_range(first: int, second: int, pnl: Decimal) -> None:
    hits, closed = sorted((first, second))
    assert MIN_WEIGHT <= source_weight(D(hits), D(closed), pnl) <= 1


@given(st.integers(0, 200), st.integers(0, 200))
def test_every_hit_earns_trust_and_every_miss_costs_it(hits: int, misses: int) -> None:
    closed = D(hits + misses)
    now = source_weight(D(hits), closed, D(1))
    assert source_weight(D(hits + 1), closed + 1, D(1)) >= now
    assert source_weight(D(hits), closed + 1, D(1)) <= now


def test_an_outcome_counts_half_after_each_half_life() -> None:
    for lives, counts in ((0, "1"), (1, "0.5"), (2, "0.25"), (3, "0.125")):
        assert fading((NOW - lives * HALF_LIFE).date(), NOW.date()) == D(counts)
    assert fading((NOW + HALF_LIFE).date(), NOW.date()) == 1
    # 20 hits of which each counts half are worth 10: (10 + 5) / (10 + 10).
    record = track_records(streak(20, 1, NOW - HALF_LIFE), NOW)[OLGA]
    assert (record.faded_closed, record.faded_hits, record.weight) == (D(10), D(10), D("0.75"))


def test_fading_takes_nothing_from_the_record_itself() -> None:
    results = [*streak(20, 3, NOW), result(99, -5, OLGA)]
    fresh = track_records(results, NOW)[OLGA]
    faded = track_records(results, NOW + 4 * HALF_LIFE)[OLGA]
    for name in ("signals", "closed", "hits", "hit_rate", "hit_rate_low", "hit_rate_high"):
        assert getattr(faded, name) == getattr(fresh, name)
    assert faded.pnl_usd == fresh.pnl_usd == 55
    assert faded.weight < fresh.weight


@given(st.integers(1, 60), st.sampled_from((-7, 7)), st.integers(0, 400), st.integers(1, 400))
def test_a_streak_fades_towards_the_weight_of_a_newcomer(
    length: int, pnl: int, age: int, later: int
) -> None:
    results = streak(length, pnl, NOW)

    def distance(days: int) -> Decimal:
        return abs(weight(results, NOW + timedelta(days=days)) - NEW_SOURCE_WEIGHT)

    assert distance(age + later) <= distance(age)
    assert distance(40 * HALF_LIFE_DAYS) == 0


@given(st.integers(-40, 40), st.integers(0, 800), st.integers(0, 800), st.integers(1, 400))
def test_a_hit_earns_the_more_the_younger_it_is(
    standing: int, first: int, second: int, younger: int
) -> None:
    base = streak(abs(standing), standing, NOW - timedelta(days=first))
    base += [result(500, 10_000, OLGA, closed_at=NOW - timedelta(days=first))]  # money aside
    old, young = (
        result(999, 1, OLGA, closed_at=NOW - timedelta(days=max(days, 0)))
        for days in (second, second - younger)
    )
    assert weight(base) <= weight([*base, old]) <= weight([*base, young])


def test_a_loss_long_ago_no_longer_holds_a_good_source_down() -> None:
    loss = result(99, -1000, OLGA, closed_at=NOW - 8 * HALF_LIFE)
    assert weight([loss, *streak(10, 1, NOW)]) > NEW_SOURCE_WEIGHT
    assert weight([result(99, -1000, OLGA), *streak(10, 1, NOW)]) == NEW_SOURCE_WEIGHT


def test_all_computations_of_one_day_agree() -> None:
    results = streak(7, 1, NOW - timedelta(days=30, hours=3))
    midnight = NOW.replace(hour=0)
    weights = {weight(results, midnight + timedelta(hours=hour)) for hour in range(24)}
    assert len(weights) == 1
    assert weight(results, midnight + timedelta(days=1)) not in weights


@given(
    st.lists(
        st.tuples(st.integers(-50, 50), st.booleans(), st.none() | st.integers(0, 300)),
        max_size=30,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_signals_does_not_matter(
    made: list[tuple[int, bool, int | None]], shuffler: Random
) -> None:
    results = [
        result(
            n,
            pnl,
            *([OLGA, PETE, NEWCOMER] if shared else [OLGA]),
            closed_at=None if age is None else NOW - timedelta(days=age),
        )
        for n, (pnl, shared, age) in enumerate(made)
    ]
    shuffled = results.copy()
    shuffler.shuffle(shuffled)
    assert track_records(shuffled, NOW) == track_records(results, NOW)


def test_the_wilson_interval_matches_published_values() -> None:
    # Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I, method 3.
    for hits, trials, low, high in (
        (81, 263, "0.2553", "0.3662"),
        (15, 148, "0.0624", "0.1605"),
        (0, 20, "0.0000", "0.1611"),
        (1, 29, "0.0061", "0.1718"),
    ):
        interval = wilson_interval(hits, trials)
        assert interval is not None
        assert [round(bound, 4) for bound in interval] == [D(low), D(high)]
    assert wilson_interval(0, 0) is None


@given(st.integers(0, 500), st.integers(1, 500))
def test_a_rate_lies_within_its_interval(first: int, second: int) -> None:
    hits, trials = min(first, second), second
    interval = wilson_interval(hits, trials)
    assert interval is not None
    slack = D("1e-20")
    assert 0 <= interval[0] <= D(hits) / trials + slack
    assert D(hits) / trials - slack <= interval[1] <= 1
