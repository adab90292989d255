"""The worked numbers of docs/agents.md are what the code computes."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from agentwhere_core.domain.enums import PolicyOutcome, Side, Venue
from agentwhere_core.domain.idea import ScoredMention, Signal
from agentwhere_core.how.book import Book, Engagement
from agentwhere_core.how.schema import MAX_STYLE_MULTIPLIER, STYLES
from agentwhere_core.performance.sources import NEW_SOURCE_WEIGHT, SignalResult, track_records
from agentwhere_core.what.signals import SizingRules, build_signals
from agentwhere_core.what.sizing import scale_to_budget
from tests.core.examples import NOW
from tests.core.test_policy import SIGNAL, decided
from tests.core.test_signals import AGENT, counter

PAGE = (Path(__file__).parents[2] / "docs/agents.md").read_text(encoding="utf-8")
D = Decimal

# What each row of the page's table of worked numbers says, as (source, side, confidence, weight, context).
CASES: dict[str, list[tuple[int, Side, str, str, str]]] = {
    "a new source (0.5), plainly (0.6), calm market (1)": [(1, Side.LONG, "0.6", "0.5", "1")],
    "a new source, with conviction (0.8)": [(1, Side.LONG, "0.8", "0.5", "1")],
    "the same in a thin market (context 0.7)": [(1, Side.LONG, "0.8", "0.5", "0.7")],
    "two new sources, both with conviction: 1 − 0.6 · 0.6": [
        (1, Side.LONG, "0.8", "0.5", "1"),
        (2, Side.LONG, "0.8", "0.5", "1"),
    ],
    "one with conviction for it, one plainly against: 0.40 − 0.30": [
        (1, Side.LONG, "0.8", "0.5", "1"),
        (2, Side.SHORT, "0.6", "0.5", "1"),
    ],
    "a proven source (0.9) with conviction (0.9), alone: 13.56 % held at": [
        (1, Side.LONG, "0.9", "0.9", "1")
    ],
    "a perfect score of several voices": [
        (1, Side.LONG, "1", "1", "1"),
        (2, Side.LONG, "1", "1", "1"),
    ],
}


def table(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading or sentence, without its head."""
    lines = PAGE[PAGE.index(heading) :].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    cells = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells.append([cell.strip() for cell in line.strip("|").split("|")])
    return cells


WORKED = table("## Worked numbers")


def percent(cell: str) -> Decimal:
    return D(cell.replace("%", "").strip())


def signal_of(voices: list[tuple[int, Side, str, str, str]]) -> Signal:
    mentions = [
        ScoredMention(
            post_id=UUID(int=source),
            source_id=UUID(int=source),
            token="BTC",
            side=side,
            confidence=D(confidence),
            source_weight=D(weight),
            context_factor=D(context),
            published_at=NOW - timedelta(hours=1),
        )
        for source, side, confidence, weight, context in voices
    ]
    plan = build_signals(AGENT, mentions, {}, NOW, "b", settings=SizingRules(), make_id=counter())
    (signal,) = plan.signals
    return signal


def test_every_worked_number_of_the_page_has_its_case() -> None:
    assert [row[0] for row in WORKED] == list(CASES)


@pytest.mark.parametrize(("who", "score", "size"), WORKED, ids=[row[0][:30] for row in WORKED])
def test_a_worked_number_is_what_the_code_computes(who: str, score: str, size: str) -> None:
    signal = signal_of(CASES[who])
    assert D(signal.explanation["score"]) == D(score)
    assert signal.fund_percentage == percent(size)
    if held := re.search(r"([\d.]+) % held at", who):
        assert D(signal.explanation["size"]["by_score_pct"]) == D(held[1])


def test_the_page_states_the_code_s_own_limits() -> None:
    rules = SizingRules()
    assert (
        f"`size = {rules.cap_pct} % · (e^({rules.curvature}·score) − 1) / (e³ − 1)`, rounded down"
        in PAGE
    )
    assert f"Above {rules.corroboration_pct} % (`AGENTWHERE_CORROBORATION_PCT`)" in PAGE
    assert f"stay within {rules.budget_pct} % (`AGENTWHERE_SIZE_BUDGET_PCT`)" in PAGE
    assert f"A source without a record weighs {NEW_SOURCE_WEIGHT}" in PAGE


def test_a_batch_above_its_budget_is_scaled_as_the_page_says() -> None:
    said = re.search(r"sizes came to (\d+) %, each would be multiplied by (\d+) / (\d+)", PAGE)
    assert said is not None
    total, budget, of = (D(number) for number in said.groups())
    assert (total, budget) == (of, SizingRules().budget_pct)
    sizes = [D(20)] * 4
    assert sum(sizes) == total
    assert scale_to_budget(sizes) == tuple(size * budget / total for size in sizes)


def test_the_dollars_of_a_size_are_as_the_page_says() -> None:
    said = re.search(
        r"With \$([\d,]+) of capital, ([\d.]+) % is \$(\d+) of margin, at leverage\s+(\d+) a position of \$([\d,]+)",
        PAGE,
    )
    assert said is not None
    capital, size, margin, leverage, position = (D(each.replace(",", "")) for each in said.groups())
    assert size in {percent(row[2]) for row in WORKED}
    assert capital * size / 100 == margin
    assert margin * leverage == position


def test_ten_hits_of_ten_weigh_what_the_page_says() -> None:
    said = re.search(r"ten hits of ten make ([\d.]+) today, ([\d.]+)\s+in three months", PAGE)
    assert said is not None
    hits = [SignalResult(UUID(int=n), (UUID(int=1),), D(1), NOW) for n in range(10)]
    for days, weight in zip((0, 90), said.groups(), strict=True):
        record = track_records(hits, NOW + timedelta(days=days))[UUID(int=1)]
        assert record.weight.quantize(D("0.01")) == D(weight)


@pytest.mark.parametrize("style", STYLES)
def test_a_style_multiplies_by_what_the_page_says(style: str) -> None:
    said = re.search(rf"`{style}` ([\d.]+)", PAGE)
    assert said is not None
    assert D(said[1]) == STYLES[style]
    decision = decided(style_multiplier=STYLES[style])
    assert decision.fund_percentage == SIGNAL.fund_percentage * D(said[1])


def test_no_style_passes_the_page_s_bounds() -> None:
    assert f"or a number up to {MAX_STYLE_MULTIPLIER}: scales the size" in PAGE
    said = re.search(r"Only the style can enlarge a size, and never above (\d+) %", PAGE)
    assert said is not None
    large = replace(SIGNAL, fund_percentage=D(20))
    boldest = decided(signal=large, style_multiplier=MAX_STYLE_MULTIPLIER)
    assert boldest.fund_percentage == D(said[1])


def test_the_policy_s_worked_example_is_what_the_code_computes_rule_by_rule() -> None:
    """After each row only the rules up to it are set; all of them together are the last row."""
    rows = [[percent(cell) for cell in row[1:]] for row in table("A worked example: capital")]
    book = Book((Engagement("ETH", Venue.LIGHTER, D(30)),))
    rules = {
        "style_multiplier": STYLES["aggressive"],
        "max_leverage": D(2),
        "max_total_exposure_pct": D(50),
    }
    assert "`style_multiplier=aggressive max_leverage=2 max_total_exposure_pct=50`" in PAGE
    assert len(rows) == len(rules) + 1
    for number, (size, leverage, exposure) in enumerate(rows):
        decision = decided(book=book, **dict(list(rules.items())[:number]))
        assert decision.outcome is not PolicyOutcome.REFUSED
        assert (decision.fund_percentage, decision.leverage) == (size, leverage)
        assert size * leverage == exposure
