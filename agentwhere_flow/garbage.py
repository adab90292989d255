"""Garbage in larger portions while a step works.

Steps make objects by the hundred thousand and hardly a cycle among them. To look for cycles after every 700 new ones,
Python's own choice, took a third to a half of a large step; see docs/performance.md. Between steps that choice stands,
so that what Dagster leaves behind, connections among it, is given back as ever.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

COLLECT_AFTER = 50_000
"""New objects after which Python looks for cycles among them, while a step works."""

_lock = Lock()
_at_work = 0
_before = gc.get_threshold()


@contextmanager
def collected_rarely() -> Iterator[None]:
    """Let Python collect rarely for the length of a block; blocks may overlap in threads, the last one ends it."""
    global _at_work, _before  # noqa: PLW0603 - the interpreter has one collector
    with _lock:
        if _at_work == 0:
            _before = gc.get_threshold()
            gc.set_threshold(COLLECT_AFTER, *_before[1:])
        _at_work += 1
    try:
        yield
    finally:
        with _lock:
            _at_work -= 1
            if _at_work == 0:
                gc.set_threshold(*_before)
