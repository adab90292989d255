"""Plots draw what they are given, to scale, and nothing that a browser could run."""

from __future__ import annotations

import base64
import re
from datetime import date
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from agentwhere_dagster.assets.performance import regret_plots
from agentwhere_dagster.plots import curves, stacked_bars

BAR = "{http://www.w3.org/2000/svg}rect"


def drawn(markdown: str | None) -> ET.Element:
    found = re.search(r"base64,([^)]+)\)", markdown or "")
    assert found is not None
    return ET.fromstring(base64.b64decode(found.group(1)))


def bars(markdown: str | None) -> list[tuple[float, float]]:
    """Return left end and width of every bar."""
    return [
        (float(bar.attrib["x"]), float(bar.attrib["width"]))
        for bar in drawn(markdown).iter(BAR)
        if bar.attrib["height"] == "22"
    ]


def test_bars_are_as_long_as_their_parts_and_stand_end_to_end() -> None:
    plot = stacked_bars(
        "Costs", [("a", {"fees": 6.0, "spread": 3.0}), ("b", {"fees": 3.0})], unit="bps"
    )
    (first, second), (third,) = bars(plot.value)[:2], bars(plot.value)[2:]
    assert first[1] == pytest.approx(2 * second[1], abs=0.2)
    assert second[1] == third[1]
    assert second[0] == pytest.approx(first[0] + first[1], abs=0.2)


def test_what_is_received_is_drawn_to_the_left_of_zero() -> None:
    plot = stacked_bars("Costs", [("a", {"fees": 4.0, "funding": -2.0})], unit="bps")
    fees, funding = bars(plot.value)
    assert funding[0] + funding[1] == pytest.approx(fees[0], abs=0.2)


def test_labels_are_text_and_no_markup() -> None:
    plot = stacked_bars("A & B", [("<script>", {"x": 1.0})], unit="bps")
    assert "script" not in {element.tag for element in drawn(plot.value).iter()}


def test_regret_is_plotted_by_strategy_and_venue() -> None:
    row = {
        "strategy": "SPLIT",
        "venue": "LIGHTER",
        "trades": 3,
        "fees_bps": Decimal(1),
        "slippage_bps": Decimal(2),
        "funding_bps": Decimal(-1),
        "regret_bps": Decimal("0.5"),
    }
    plots = regret_plots([row])
    assert set(plots) == {"costs_by_venue", "regret_by_venue"}
    texts = [element.text for element in drawn(plots["costs_by_venue"].value).iter()]
    assert "SPLIT LIGHTER (3)" in texts
    assert "2.00 bps" in texts
    assert regret_plots([]) == {}


def test_a_curve_goes_from_the_first_day_to_the_last_and_up_with_its_values() -> None:
    lines = {"a": [(date(2026, 3, 1), 0.0), (date(2026, 3, 2), 5.0), (date(2026, 3, 5), -5.0)]}
    (line,) = drawn(curves("Equity", lines, unit="%").value).iter(
        "{http://www.w3.org/2000/svg}polyline"
    )
    (x1, y1), (x2, y2), (x3, y3) = (
        tuple(map(float, point.split(","))) for point in line.attrib["points"].split()
    )
    assert x3 - x1 == pytest.approx(4 * (x2 - x1), abs=0.3)
    assert y2 < y1 < y3
    assert y1 - y2 == pytest.approx(y3 - y1, abs=0.2)


@pytest.mark.parametrize("lines", [{}, {"a": []}, {"a": [(date(2026, 3, 1), 1.0)]}])
def test_little_or_nothing_is_drawn_without_complaint(
    lines: dict[str, list[tuple[date, float]]],
) -> None:
    assert drawn(curves("Equity", lines, unit="%").value) is not None


def test_a_line_of_one_day_is_seen() -> None:
    (dot,) = drawn(curves("Share", {"a": [(date(2026, 11, 20), 60.0)]}, unit="%").value).iter(
        "{http://www.w3.org/2000/svg}circle"
    )
    assert float(dot.attrib["r"]) > 0
