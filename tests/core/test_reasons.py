"""The table of reason codes is complete, and the page in docs/ is what the code says."""

from __future__ import annotations

from pathlib import Path

from agentwhere_core.domain.reasons import REASON_TEXTS, Reason, reason_table

PAGE = Path(__file__).parents[2] / "docs" / "reasons.md"


def test_every_reason_says_what_it_means_and_what_to_do() -> None:
    assert set(REASON_TEXTS) == set(Reason)
    for text in REASON_TEXTS.values():
        assert text.meaning.endswith(".")
        assert text.remedy.endswith(".")


def test_the_page_of_reasons_is_up_to_date() -> None:
    regenerate = "run: python -m agentwhere_core.domain.reasons > docs/reasons.md"
    assert PAGE.read_text(encoding="utf-8") == reason_table(), regenerate
