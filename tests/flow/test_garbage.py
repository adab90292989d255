"""Garbage is collected rarely while steps work, and as ever before and after."""

from __future__ import annotations

import gc

import pytest

from agentwhere_flow.garbage import COLLECT_AFTER, collected_rarely


def test_the_last_of_overlapping_steps_restores_what_was_before() -> None:
    before = gc.get_threshold()
    first, second = collected_rarely(), collected_rarely()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert gc.get_threshold()[0] == COLLECT_AFTER
    second.__exit__(None, None, None)
    assert gc.get_threshold() == before


def test_a_step_that_fails_restores_it_too() -> None:
    before = gc.get_threshold()
    with pytest.raises(ZeroDivisionError), collected_rarely():
        raise ZeroDivisionError
    assert gc.get_threshold() == before
