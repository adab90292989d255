"""Small plots for asset metadata: drawn as SVG by hand, since a run should load no plotting library."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import date
from html import escape

import dagster as dg

COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#b07aa1")

_WIDTH, _LABEL, _BAR, _GAP = 720, 210, 22, 8
_MARGIN, _CURVES, _DOT = 90, 180, 3


def stacked_bars(
    title: str, rows: Sequence[tuple[str, Mapping[str, float]]], *, unit: str
) -> dg.MetadataValue[str]:
    """Return a bar for each row, made of its parts; negative parts are drawn to the left of zero.

    Parameters
    ----------
    rows
        A label, and the size of each part by its name; parts of one name have one colour.
    unit
        What sizes are counted in.
    """
    names = list(dict.fromkeys(name for _, parts in rows for name in parts))
    colour = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    highest = max((_sum(parts, 1) for _, parts in rows), default=0.0)
    lowest = min((_sum(parts, -1) for _, parts in rows), default=0.0)
    scale = (_WIDTH - _LABEL - 70) / ((highest - lowest) or 1.0)
    zero = _LABEL - lowest * scale
    drawn = [_text(0, 16, title, weight="bold"), *_legend(colour)]
    for number, (label, parts) in enumerate(rows):
        y = 48 + number * (_BAR + _GAP)
        drawn.append(_text(0, y + 15, label))
        right = left = zero
        for name, value in parts.items():
            width = abs(value) * scale
            left -= width if value < 0 else 0
            x = left if value < 0 else right
            right += width if value > 0 else 0
            drawn.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour[name]}"/>'
            )
        drawn.append(_text(right + 6, y + 15, f"{sum(parts.values()):.2f} {unit}"))
    height = 56 + len(rows) * (_BAR + _GAP)
    return _picture(title, height, drawn)


def curves(
    title: str, lines: Mapping[str, Sequence[tuple[date, float]]], *, unit: str
) -> dg.MetadataValue[str]:
    """Return lines over days, with the least and the greatest value and the first and the last day told.

    Each line ends in a dot, so that one of a single day is seen.

    Parameters
    ----------
    lines
        Points (day, value) by the line's name, oldest first.
    unit
        What values are counted in.
    """
    points = [point for line in lines.values() for point in line] or [(date.min, 0.0)]
    first, last = min(day for day, _ in points), max(day for day, _ in points)
    lowest, highest = min(0.0, *(y for _, y in points)), max(0.0, *(y for _, y in points))
    across = (_WIDTH - _MARGIN - _DOT) / max((last - first).days, 1)
    up = _CURVES / ((highest - lowest) or 1.0)
    top = 34
    colour = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(lines)}

    def place(day: date, value: float) -> tuple[float, float]:
        return _MARGIN + (day - first).days * across, top + (highest - value) * up

    drawn = [_text(0, 16, title, weight="bold")]
    for value in {lowest, 0.0, highest}:
        _, y = place(first, value)
        drawn.append(
            f'<line x1="{_MARGIN}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        )
        drawn.append(_text(0, y + 4, f"{value:.1f} {unit}"))
    for name, line in lines.items():
        path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in line)
        drawn.append(
            f'<polyline points="{path}" fill="none" stroke="{colour[name]}" stroke-width="1.6"/>'
        )
        if line:
            x, y = place(*line[-1])
            drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_DOT}" fill="{colour[name]}"/>')
    bottom = top + _CURVES + 18
    drawn.append(_text(_MARGIN, bottom, str(first)))
    if last > first:
        drawn.append(_text(_WIDTH - 75, bottom, str(last)))
    for number, (name, shade) in enumerate(colour.items(), start=1):
        y = bottom + number * 18
        drawn.append(f'<rect x="{_MARGIN}" y="{y - 9}" width="10" height="10" fill="{shade}"/>')
        drawn.append(_text(_MARGIN + 16, y, name))
    return _picture(title, bottom + 18 * len(colour) + 8, drawn)


def _picture(title: str, height: int, drawn: Sequence[str]) -> dg.MetadataValue[str]:
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(drawn)}</svg>"
    )
    encoded = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/svg+xml;base64,{encoded})")


def _sum(parts: Mapping[str, float], sign: int) -> float:
    return sum(value for value in parts.values() if value * sign > 0)


def _legend(colour: Mapping[str, str]) -> list[str]:
    drawn = []
    for number, (name, shade) in enumerate(colour.items()):
        x = _LABEL + number * 110
        drawn.append(f'<rect x="{x}" y="26" width="10" height="10" fill="{shade}"/>')
        drawn.append(_text(x + 14, 35, name))
    return drawn


def _text(x: float, y: float, text: str, *, weight: str = "normal") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-weight="{weight}">{escape(text)}</text>'
