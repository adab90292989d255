"""Track records of sources."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.domain.idea import Source
from agentwhere_core.performance.sources import (
    MIN_WEIGHT,
    NEW_SOURCE_WEIGHT,
    SignalResult,
    TrackRecord,
    source_weight,
    track_records,
    wilson_interval,
)

D = Decimal
OLGA, PETE, NEWCOMER = UUID(int=1), UUID(int=2), UUID(int=3)


def result(number: int, pnl: str | int, *sources: UUID, is_closed: bool = True) -> SignalResult:
    return SignalResult(UUID(int=number), sources, D(pnl), is_closed)


def test_a_new_source_starts_small() -> None:
    records = track_records([], [NEWCOMER])
    assert records[NEWCOMER] == TrackRecord(
        NEWCOMER, 0, 0, 0, None, None, None, D(0), NEW_SOURCE_WEIGHT
    )
    default = Source.__dataclass_fields__["weight"].default
    assert default == NEW_SOURCE_WEIGHT


def test_a_record_counts_signals_hits_and_money() -> None:
    records = track_records(
        [
            result(1, 30, OLGA),
            result(2, -10, OLGA),
            result(3, 0, OLGA),
            result(4, 500, OLGA, is_closed=False),
        ]
    )
    record = records[OLGA]
    assert (record.signals, record.closed, record.hits) == (4, 3, 1)
    assert (record.hit_rate, record.pnl_usd) == (D("0.333333"), D(20))
    assert record.weight == D("0.461538")


def test_a_shared_signal_counts_in_full_and_shares_its_money() -> None:
    records = track_records([result(1, 30, OLGA, PETE), result(2, -10, PETE, PETE)])
    assert (records[OLGA].hits, records[OLGA].pnl_usd) == (1, D(15))
    assert (records[PETE].closed, records[PETE].hits, records[PETE].pnl_usd) == (2, 1, D(5))


def test_who_loses_money_never_weighs_more_than_a_newcomer() -> None:
    many_small_wins = [result(n, 1, OLGA) for n in range(30)]
    assert track_records(many_small_wins)[OLGA].weight == D("0.875")
    one_disaster = result(99, -1000, OLGA)
    record = track_records([*many_small_wins, one_disaster])[OLGA]
    assert record.hit_rate is not None
    assert record.hit_rate > D("0.9")
    assert record.weight == NEW_SOURCE_WEIGHT


@given(st.integers(0, 2000), st.integers(0, 2000), st.decimals("-9", "9", places=2))
def test_a_weight_lies_within_its_range(first: int, second: int, pnl: Decimal) -> None:
    hits, closed = sorted((first, second))
    assert MIN_WEIGHT <= source_weight(hits, closed, pnl) <= 1


@given(st.integers(0, 200), st.integers(0, 200))
def test_every_hit_earns_trust_and_every_miss_costs_it(hits: int, misses: int) -> None:
    now = source_weight(hits, hits + misses, D(1))
    assert source_weight(hits + 1, hits + misses + 1, D(1)) >= now
    assert source_weight(hits, hits + misses + 1, D(1)) <= now


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.booleans(), st.booleans()), max_size=30),
    st.randoms(use_true_random=False),
)
def test_the_order_of_signals_does_not_matter(
    made: list[tuple[int, bool, bool]], shuffler: Random
) -> None:
    results = [
        result(n, pnl, *([OLGA, PETE] if shared else [OLGA]), is_closed=is_closed)
        for n, (pnl, shared, is_closed) in enumerate(made)
    ]
    shuffled = results.copy()
    shuffler.shuffle(shuffled)
    assert track_records(shuffled) == track_records(results)


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
