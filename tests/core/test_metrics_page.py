"""The worked example of docs/metrics.md is what the code computes."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from agentwhere_core.domain.enums import Venue
from agentwhere_core.performance.equity import (
    Book,
    CapitalFlow,
    EquitySeries,
    PnlChange,
    daily_equity,
)
from agentwhere_core.performance.figures import figures

PAGE = Path(__file__).parents[2] / "docs/metrics.md"
DAY = re.compile(r"^\| (\d{4}-\d\d-\d\d) \|(.*)\|$", re.MULTILINE)
FIGURE = re.compile(r"^\| `(\w+)` \| (-?[\d.]+) \|", re.MULTILINE)


def number(cell: str) -> Decimal:
    """Return what a cell says, without its separators and unit."""
    return Decimal(cell.replace(",", "").replace("%", "").strip())


def days_told() -> list[tuple[date, list[Decimal]]]:
    """Return each day of the page's table: flow, base, PnL, return in percent, equity."""
    return [
        (date.fromisoformat(day), [number(cell) for cell in cells.split("|")])
        for day, cells in DAY.findall(PAGE.read_text(encoding="utf-8"))
    ]


def example() -> EquitySeries:
    """Return the daily equity that follows from the page's flows and profits."""
    told = days_told()
    book = Book(
        flows=tuple(CapitalFlow(day, cells[0]) for day, cells in told if cells[0]),
        pnl=tuple(PnlChange(day, Venue.HYPERLIQUID, cells[2]) for day, cells in told),
    )
    return daily_equity([book], through=told[-1][0])


def test_the_pages_days_follow_from_its_flows_and_profits() -> None:
    told = days_told()
    assert len(told) == 10
    for (day, (_, base, pnl, percent, equity)), found in zip(told, example().days, strict=True):
        assert (found.day, found.base_usd, found.pnl_usd) == (day, base, pnl)
        assert found.equity_usd == equity
        assert found.daily_return * 100 == pytest.approx(float(percent), abs=5e-5)


def test_the_pages_figures_follow_from_its_days() -> None:
    told = dict(FIGURE.findall(PAGE.read_text(encoding="utf-8")))
    assert len(told) == 11
    computed = figures(example().returns)
    for name, value in told.items():
        assert getattr(computed, name) == pytest.approx(float(value), abs=5e-7), name


def test_the_pages_naive_formula_flatters_who_trades_more() -> None:
    pnl, capital, days = Decimal("-385.50"), 10_000, 30
    year = Decimal(365) / days
    once, often = (pnl / (trades * days * capital) * year * 100 for trades in (1, 16))
    honest = pnl / capital * year * 100
    text = PAGE.read_text(encoding="utf-8")
    assert f'"annualized" | {once:.2f} % | {often:.2f} % |' in text
    assert f"return on capital, annualized | {honest:.1f} % | {honest:.1f} % |" in text
