"""What a materialization shows, and how a failure speaks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest

from agentwhere_dagster.materialize import MOST_TABLE_ROWS, bars, markdown_table, metadata_of, plain
from agentwhere_flow.report import Plot, StepReport


def report(**changes: Any) -> StepReport:
    facts: dict[str, Any] = {
        "step": "orders",
        "started_at": datetime(2026, 3, 1, tzinfo=UTC),
        "seconds": 1.23456,
        "rows_in": 7,
        "rows_out": 5,
        "refusals": {},
        "problems": (),
        "details": {},
        "table": (),
    }
    return StepReport(**{**facts, **changes})


def test_counts_and_seconds_are_numbers_that_the_ui_can_plot() -> None:
    metadata = metadata_of(report(refusals={"UNFUNDED": 2, "NOT_LISTED": 1}))
    values = {name: entry.value for name, entry in metadata.items()}
    assert values["dagster/row_count"] == values["rows_out"] == 5
    assert values["rows_in"] == 7
    assert values["refused"] == 3
    assert values["seconds"] == 1.235


def test_refusals_are_a_chart_with_the_commonest_first() -> None:
    lines = bars({"NOT_LISTED": 1, "UNFUNDED": 4}).splitlines()
    assert lines[1].startswith("UNFUNDED")
    assert lines[1].count("█") > lines[2].count("█") >= 1


def test_no_refusal_is_no_chart() -> None:
    assert not {"refusals", "problems", "details", "table"} & metadata_of(report()).keys()


def test_problems_and_details_are_shown() -> None:
    metadata = metadata_of(
        report(problems=("x: try again",), details={"price": Decimal("1.10"), "at": [Decimal(2)]})
    )
    assert metadata["problems"].value == "- x: try again"
    assert metadata["details"].value == {"price": "1.10", "at": ["2"]}


def test_a_table_keeps_every_column_and_cannot_be_broken_by_its_content() -> None:
    text = markdown_table([{"a": 1}, {"a": 2, "b": "x|y\nz"}])
    assert text.splitlines() == ["| a | b |", "| --- | --- |", "| 1 |  |", "| 2 | x\\|y z |"]


def test_a_long_table_says_how_much_is_left_out() -> None:
    text = markdown_table([{"n": n} for n in range(MOST_TABLE_ROWS + 5)])
    assert text.endswith("… and 5 more")


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "x"])
def test_what_json_knows_stays_as_it_is(value: object) -> None:
    assert plain(value) is value


def test_metadata_is_what_dagster_accepts() -> None:
    full = report(refusals={"X": 1}, problems=("p",), details={"d": 1}, table=({"a": 1},))
    assert dg.MaterializeResult(metadata=metadata_of(full)).metadata


def test_a_plot_is_shown_under_its_title() -> None:
    plot = Plot(
        "Equity", "USD", lines={"desk": [(date(2026, 3, day), float(day)) for day in (1, 2)]}
    )
    assert str(metadata_of(report(plots=(plot,)))["Equity"].value).startswith(
        "![Equity](data:image/"
    )
