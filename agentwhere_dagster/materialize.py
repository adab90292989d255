"""From a use case's report to what the Dagster UI shows of a materialization."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import dagster as dg

from agentwhere_core.domain.errors import AgentWhereError
from agentwhere_dagster.plots import curves

if TYPE_CHECKING:
    from agentwhere_dagster.resources import AgentWhere
    from agentwhere_flow.report import StepReport
    from agentwhere_flow.system import System

P = ParamSpec("P")
MOST_TABLE_ROWS = 20
BAR_WIDTH = 24

OWNERS = ["team:agentwhere"]
INCIDENT = "incident"
"""Metadata of a failure that names the alert which the step itself has opened."""


def materialize(
    context: dg.AssetExecutionContext,
    agent_where: AgentWhere,
    use_case: Callable[Concatenate[System, datetime, P], StepReport],
    *args: P.args,
    **kwargs: P.kwargs,
) -> dg.MaterializeResult[Any]:
    """Run one use case and return its report as a materialization.

    Raises
    ------
    dagster.Failure
        If the use case raised one of our own errors; its message says what to do.
    """
    try:
        system = agent_where.system()
        report = use_case(system, system.clock(), *args, **kwargs)
    except AgentWhereError as error:
        known = {"error": type(error).__name__}
        if incident := getattr(error, "incident", None):
            known[INCIDENT] = incident
        raise dg.Failure(description=str(error), metadata=known) from error
    for problem in report.problems:
        context.log.warning(problem)
    return dg.MaterializeResult(metadata=metadata_of(report))


def metadata_of(report: StepReport) -> dict[str, dg.MetadataValue[Any]]:
    """Return what a report says: figures that the UI plots over time, and small tables for people."""
    metadata: dict[str, dg.MetadataValue[Any]] = {
        "dagster/row_count": dg.MetadataValue.int(report.rows_out),
        "rows_in": dg.MetadataValue.int(report.rows_in),
        "rows_out": dg.MetadataValue.int(report.rows_out),
        "refused": dg.MetadataValue.int(sum(report.refusals.values())),
        "problem_count": dg.MetadataValue.int(len(report.problems)),
        "seconds": dg.MetadataValue.float(round(report.seconds, 3)),
    }
    if report.refusals:
        metadata["refusals"] = dg.MetadataValue.md(bars(report.refusals))
    if report.problems:
        metadata["problems"] = dg.MetadataValue.md("\n".join(f"- {p}" for p in report.problems))
    if report.details:
        metadata["details"] = dg.MetadataValue.json(plain(report.details))
    if report.table:
        metadata["table"] = dg.MetadataValue.md(markdown_table(report.table))
    for plot in report.plots:
        metadata[plot.title] = curves(plot.title, plot.lines, unit=plot.unit)
    return metadata


def bars(counts: Mapping[str, int]) -> str:
    """Return counts as a bar chart in Markdown, largest first."""
    largest = max(counts.values(), default=0) or 1
    width = max((len(name) for name in counts), default=0)
    lines = [
        f"{name:<{width}}  {'█' * max(1, round(BAR_WIDTH * count / largest))} {count}"
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    return "\n".join(["```", *lines, "```"])


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a Markdown table, its columns in the order of their first appearance."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    lines += [
        f"| {' | '.join(_cell(row.get(column)) for column in columns)} |"
        for row in rows[:MOST_TABLE_ROWS]
    ]
    if len(rows) > MOST_TABLE_ROWS:
        lines += ["", f"… and {len(rows) - MOST_TABLE_ROWS} more"]
    return "\n".join(lines)


def plain(value: Any) -> Any:
    """Return ``value`` as JSON can hold it; what JSON does not know becomes text."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
