"""Daily equity: capital corrected, idle days counted, ruin final."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.domain.enums import Venue
from agentwhere_core.performance.equity import (
    Book,
    CapitalFlow,
    PnlChange,
    daily_equity,
)

START = date(2026, 1, 1)
D = Decimal
HL, OSTIUM = Venue.HYPERLIQUID, Venue.OSTIUM

amounts = st.decimals("-50", "50", places=2)


def day(number: int) -> date:
    return START + timedelta(days=number)


def book(flows: dict[int, int], totals: dict[int, str | int], venue: Venue = HL) -> Book:
    """Return a book with capital flows and running net PnL by day number."""
    running = [D(total) for total in totals.values()]
    return Book(
        tuple(CapitalFlow(day(n), D(amount)) for n, amount in flows.items()),
        tuple(
            PnlChange(day(n), venue, total - before)
            for n, total, before in zip(totals, running, [D(0), *running], strict=False)
        ),
    )


def test_days_without_trades_have_a_return_of_zero() -> None:
    series = daily_equity([book({0: 1000}, {1: 10, 4: 20})], day(5))
    assert series.returns == [0.0, 0.01, 0.0, 0.0, 10 / 1010, 0.0]
    assert [item.day for item in series.days] == [day(n) for n in range(6)]
    assert (series.equity_usd, series.net_pnl_usd) == (D(1020), D(20))


def test_a_deposit_is_not_a_gain() -> None:
    series = daily_equity([book({0: 1000, 2: 1000}, {1: 100, 2: 205, 3: 310})], day(3))
    # Day 2 starts with 1100 + 1000 and earns 105; day 3 starts with 2205 and earns 105.
    assert series.returns == pytest.approx([0.0, 0.1, 105 / 2100, 105 / 2205], abs=1e-15)
    assert series.equity_usd == D(2310)


def test_a_withdrawal_is_not_a_loss() -> None:
    series = daily_equity([book({0: 1000, 1: -500}, {1: 100, 2: 160})], day(2))
    # Day 1 earns 100 on 1000 before 500 leave; day 2 earns 60 on 600.
    assert series.returns == [0.0, 0.1, 0.1]
    assert [item.equity_usd for item in series.days] == [D(1000), D(600), D(660)]


def test_taking_out_everything_with_the_days_profit_is_not_ruin() -> None:
    series = daily_equity([book({0: 1000, 1: -1050, 3: 500}, {1: 50, 3: 55})], day(3))
    assert series.returns == [0.0, 0.05, 0.0, 0.01]
    assert series.ruined_on is None


def test_ruin_is_minus_one_hundred_percent_and_ends_the_series() -> None:
    series = daily_equity([book({0: 1000, 3: 5000}, {1: -400, 2: -1100, 3: -900})], day(9))
    assert series.returns == [0.0, -0.4, -1.0]
    assert series.ruined_on == day(2)


def test_losing_exactly_everything_is_ruin() -> None:
    assert daily_equity([book({0: 1000}, {0: -1000})], day(1)).returns == [-1.0]


def test_losing_money_that_was_never_put_in_is_ruin_and_winning_it_no_return() -> None:
    assert daily_equity([book({}, {0: -1})], day(1)).ruined_on == START
    assert daily_equity([book({}, {0: 1})], day(0)).returns == [0.0]


def test_nothing_is_known_without_capital_or_trades() -> None:
    series = daily_equity([], day(5))
    assert series.days == ()
    assert (series.equity_usd, series.net_pnl_usd) == (D(0), D(0))
    assert daily_equity([book({6: 1000}, {})], day(5)).days == ()


def test_a_multi_agent_counts_all_venues_and_another_only_its_own() -> None:
    both = Book(
        (CapitalFlow(START, D(1000)),),
        (
            PnlChange(START, HL, D(10)),
            PnlChange(START, OSTIUM, D(-30)),
            PnlChange(day(1), HL, D(5)),
        ),
    )
    assert daily_equity([both], day(1)).net_pnl_usd == -15
    assert daily_equity([both], day(1), HL).returns == [0.01, 5 / 1010]
    assert daily_equity([both], day(1), OSTIUM).returns == [-0.03, 0.0]


def test_an_agents_equity_is_the_sum_of_its_deployments() -> None:
    first, second = book({0: 1000}, {1: 100}), book({2: 3000}, {2: 41, 3: 0})
    series = daily_equity([first, second], day(3))
    assert series.returns == [0.0, 0.1, 41 / 4100, -41 / 4141]
    assert series.equity_usd == D(4100)


def test_what_lies_after_the_last_day_is_left_out() -> None:
    whole = book({0: 1000, 3: 1000}, {1: 10, 3: 500})
    assert daily_equity([whole], day(2)).equity_usd == 1010


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([HL, OSTIUM]), amounts), max_size=40))
def test_slicing_amounts_changes_no_day(changes: list[tuple[int, Venue, Decimal]]) -> None:
    whole = [PnlChange(day(n), venue, amount) for n, venue, amount in changes]
    sliced = [
        PnlChange(change.day, change.venue, change.amount_usd / 16)
        for change in reversed(whole)
        for _ in range(16)
    ]
    flows = (CapitalFlow(START, D(10_000)),)
    one = daily_equity([Book(flows, tuple(whole))], day(9))
    assert daily_equity([Book(flows, tuple(sliced))], day(9)) == one
    assert one.net_pnl_usd == sum(amount for _, _, amount in changes)


@given(
    st.lists(amounts, min_size=1, max_size=60),
    st.dictionaries(st.integers(1, 59), st.decimals("1", "5000", places=2), max_size=5),
)
def test_returns_and_flows_rebuild_the_equity(
    daily: list[Decimal], deposits: dict[int, Decimal]
) -> None:
    flows = [CapitalFlow(START, D(10_000))]
    flows += [CapitalFlow(day(n), amount) for n, amount in deposits.items()]
    pnl = tuple(PnlChange(day(n), HL, amount) for n, amount in enumerate(daily))
    series = daily_equity([Book(tuple(flows), pnl)], day(59))
    assert len(series.days) == 60
    equity = 0.0
    for number, item in enumerate(series.days):
        put_in = 10_000 if number == 0 else float(deposits.get(number, 0))
        equity = (equity + put_in) * (1 + item.daily_return)
        assert equity == pytest.approx(float(item.equity_usd), rel=1e-12)
