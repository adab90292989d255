"""Pictures of a step's outcome, as images that the Dagster UI shows within Markdown; no file is written."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from agentwhere_flow.report import Plot

WIDTH_IN, HEIGHT_IN, DPI = 7.2, 3.0, 90


def image(plot: Plot) -> str:
    """Return a plot as a Markdown image that holds its own PNG."""
    # Not pyplot: it keeps global state and looks for a display.
    from matplotlib.dates import date2num
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    for label, points in plot.lines.items():
        days = date2num([day for day, _ in points])
        axes.plot(days, [float(value) for _, value in points], label=label, linewidth=1.4)
    if plot.bars:
        axes.barh(list(plot.bars), [float(value) for value in plot.bars.values()], height=0.6)
        axes.invert_yaxis()
    _dress(axes, plot)
    written = io.BytesIO()
    figure.savefig(written, format="png")
    return f"![{plot.title}](data:image/png;base64,{base64.b64encode(written.getvalue()).decode()})"


def _dress(axes: Axes, plot: Plot) -> None:
    axes.set_title(plot.title, fontsize=10, loc="left")
    (axes.set_xlabel if plot.bars else axes.set_ylabel)(plot.unit, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(visible=True, alpha=0.3, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if plot.lines:
        axes.legend(fontsize=8, frameon=False, loc="upper left")
        axes.xaxis.axis_date()
        axes.figure.autofmt_xdate(rotation=0, ha="center")
