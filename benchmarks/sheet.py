"""The figures of one run, as a table that can be put into docs/performance.md as it is."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Sheet:
    """Rows of (what, measured, beside, target)."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    load_before: float = field(default_factory=lambda: os.getloadavg()[0])

    def add(self, what: str, measured: str, *, beside: str = "", target: str = "") -> None:
        """Write a figure, what it is compared with in this very run, and what it should be."""
        self.rows.append((what, measured, beside, target))

    def lines(self) -> list[str]:
        """Return the table, and the machine that it was made on."""
        if not self.rows:
            return []
        table = [
            ("what", "measured", "beside it, in the same run", "target"),
            ("---",) * 4,
            *self.rows,
        ]
        load = f"load {self.load_before:.1f} before, {os.getloadavg()[0]:.1f} after"
        pace = f"adding up a million integers takes {yardstick() * 1e3:.0f} ms"
        machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {load}, {pace}"
        return ["", *(f"| {' | '.join(row)} |" for row in table), "", machine]


def yardstick() -> float:
    """Return the seconds of a fixed piece of Python, so that sheets of a busy and an idle machine can be compared."""
    began = time.perf_counter()
    total = 0
    for number in range(1_000_000):
        total += number
    return time.perf_counter() - began


def per_second(count: int, seconds: float) -> str:
    """Return a rate."""
    return f"{count / seconds:,.0f}/s"


def micros(seconds: float) -> str:
    """Return a short time."""
    return f"{seconds * 1e6:.1f} µs"


def percentile(times: list[float], share: float) -> float:
    """Return the time that ``share`` of all stay below; ``times`` are sorted."""
    return times[min(len(times) - 1, int(len(times) * share))]
