"""The generated tables of ``docs/runbook.md``: what each alert, check, event and state means, and what to do.

``python -m agentwhere_dagster.runbook docs/runbook.md`` writes the tables anew between their marks; the prose around
them is written by hand. Tables are made from the enumerations themselves, so that none can be missing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from agentwhere_core.domain.enums import ExitReason, OrderState
from agentwhere_core.domain.events import EVENT_TEXTS, INCIDENT_TEXTS, PositionEvent
from agentwhere_core.domain.reasons import ReasonText
from agentwhere_dagster.checks import described

W = TypeVar("W", bound=StrEnum)

_NOTHING = "Nothing to do."

ALERTS: Final[Mapping[str, ReasonText]] = MappingProxyType(
    {
        "check": ReasonText(
            "`check:ASSET:NAME`: an asset check fails; the next section has each of them.",
            "As the check says. The alert closes when the check passes.",
        ),
        "stale": ReasonText(
            "`stale:ASSET`: an asset was not materialized for longer than its freshness policy allows.",
            "See in the Dagster UI whether its schedule is on, the daemon runs and its last run failed.",
        ),
        "run": ReasonText(
            "`run:JOB`: a job's run failed, or its process died. Critical where the job moves money.",
            "Read the run's error in the Dagster UI. The next tick starts from the ledger: never repair orders by "
            "hand.",
        ),
        "daemon": ReasonText(
            "`daemon:silent`: no step has ended for 15 minutes (`AGENTWHERE_HEALTH_DAEMON_SILENT_MIN`). Positions are "
            "not watched; the venues' stops hold.",
            "See whether `agentwhere up` or the Dagster daemon runs, and read its log. It closes with the next step.",
        ),
        "classifier": ReasonText(
            "`classifier:outage`: the language model answers nothing usable. `classifier:budget`: its daily budget is "
            "used up. Posts stay pending, and no trade is guessed.",
            "Check its address, key and credit; or wait for midnight UTC, or raise AGENTWHERE_LLM_DAILY_BUDGET_USD.",
        ),
        "arena": ReasonText(
            "`arena:budget:MODEL`: a model of the arena has used up its own daily budget, and is not asked again "
            "that day.",
            "Wait for midnight UTC, or give it a larger budget. It closes with the model's next turn.",
        ),
        **{incident.value: text for incident, text in INCIDENT_TEXTS.items()},
    }
)
"""Kinds of incidents: the part of an incident's name before its first colon."""

CHECK_REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "is_fresh": "Run `agentwhere sync-markets VENUE`; if it fails, its message says why.",
        "lists_markets": (
            "Run `agentwhere sync-markets VENUE`. A list that shrank by half is not believed: see `--may-shrink`."
        ),
        "is_reachable": (
            "Look at the venue's status page and at your network. Other venues go on; positions there keep their "
            "stops."
        ),
        "backlog_is_short": "Check the language model's address, key, credit and budget.",
        "is_quick": "See the durations of `routing_decisions`; look for a slow database or a venue that answers late.",
        "finds_venues": "Run `agentwhere route TOKEN --explain` for a token that was skipped: each venue says why.",
        "execution_rate": (
            "Read the reasons of the last step `orders` in `agentwhere status`; see [reasons.md](reasons.md)."
        ),
        "nothing_in_doubt": (
            "Nothing while it is young: the next tick looks it up. If it stays, see “An order stays UNKNOWN”."
        ),
        "monitor_runs": (
            "See whether the schedule `position_monitoring` is on and the daemon runs; `agentwhere cycle` runs it "
            "now."
        ),
        "monitor_latency": (
            "See which venue answers late in the step's details; raise AGENTWHERE_EXECUTION_CONCURRENCY for many "
            "accounts."
        ),
        "marks_are_fresh": (
            "Run `agentwhere positions`; the token's market may be suspended, its stop at the venue still holds."
        ),
        "replays_equal": (
            "Run `agentwhere route --replay ID` for a decision that differs. After an upgrade, replay it with the "
            "release that made it; else a row was changed by hand: restore it from a backup."
        ),
        "database_responds": "Look for long transactions in `pg_stat_activity`, and for a full disk.",
    }
)

ORDER_STATES: Final[Mapping[OrderState, ReasonText]] = MappingProxyType(
    {
        OrderState.PLANNED: ReasonText(
            "Its exact bytes are stored, and nothing was sent yet.",
            "The next tick sends them while they are valid, else cancels them with `NEVER_SENT`.",
        ),
        OrderState.SENDING: ReasonText(
            "It is being sent; or the process that sent it died before it wrote down the answer.",
            "The next tick calls it UNKNOWN and looks it up.",
        ),
        OrderState.ACKED: ReasonText(
            "The venue has it. Stops and take profits rest like this for as long as their position lives.",
            "Nothing for protection. An entry or exit that stays ACKED is looked up by every tick.",
        ),
        OrderState.PARTIAL: ReasonText(
            "A part of it is filled, the rest is at the venue.", "The next tick reads the rest."
        ),
        OrderState.FILLED: ReasonText("All of it is filled. Final.", _NOTHING),
        OrderState.CANCELLED: ReasonText(
            "It ended without being filled whole; `filled_size` says how much was. Final.",
            "See its reason. What may be tried again is, by itself.",
        ),
        OrderState.REJECTED: ReasonText(
            "The venue refused it, or proved that it never arrived: nothing of it is there. Final.",
            "See its reason. A MULTI signal goes on to the next venue where failover is on.",
        ),
        OrderState.UNKNOWN: ReasonText(
            "The answer was lost: it may be at the venue, or not. It blocks its account and token, keeps its share of "
            "the funds, and is never sent as a new order.",
            "Every tick looks it up. See “An order stays UNKNOWN” if that goes on for more than 15 minutes.",
        ),
    }
)

EXITS: Final[Mapping[ExitReason, ReasonText]] = MappingProxyType(
    {
        ExitReason.TAKE_PROFIT: ReasonText("The price reached the take profit.", _NOTHING),
        ExitReason.STOP_LOSS: ReasonText("The price reached the stop loss.", _NOTHING),
        ExitReason.TRAILING_STOP: ReasonText(
            "The price fell back from its best by the trailing distance.", _NOTHING
        ),
        ExitReason.MAX_HOLDING_TIME: ReasonText(
            "The signal's longest holding time is over.", _NOTHING
        ),
        ExitReason.LIQUIDATION_DISTANCE: ReasonText(
            "It came too close to its liquidation price, and was closed before the venue would.",
            "Lower the leverage in the policy, or deposit.",
        ),
        ExitReason.LIQUIDATED: ReasonText(
            "The venue closed it for want of margin.",
            "Lower the leverage in the policy; look at the account's other positions at once.",
        ),
        ExitReason.KILL_SWITCH: ReasonText(
            "A kill switch with `--close-all` reached it.", "See `agentwhere kill-switch list`."
        ),
        ExitReason.UNPROTECTED: ReasonText(
            "Its stop loss did not rest at the venue in time.", "Read its events: they say why."
        ),
        ExitReason.CLOSED_OUTSIDE: ReasonText(
            "Somebody closed it at the venue, not through Agent Where.",
            "Nothing if it was you. Else change the account's keys.",
        ),
        ExitReason.MANUAL: ReasonText("It was closed by an order of ours on request.", _NOTHING),
    }
)


def alert_table() -> str:
    """Return every kind of incident."""
    return _table("Alert", ALERTS.items())


def check_table() -> str:
    """Return every asset check."""
    return _table(
        "Check",
        (
            (
                f"{asset}:{name}",
                ReasonText(description, CHECK_REMEDIES[name]),
            )
            for asset, name, description in described()
        ),
    )


def order_table() -> str:
    """Return every state of an order."""
    return _words("State", OrderState, ORDER_STATES)


def exit_table() -> str:
    """Return every reason for which a position closes."""
    return _words("Exit reason", ExitReason, EXITS)


def event_table() -> str:
    """Return everything that can happen to a position."""
    return _words("Event", PositionEvent, EVENT_TEXTS)


TABLES: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "alerts": alert_table,
        "checks": check_table,
        "orders": order_table,
        "events": event_table,
        "exits": exit_table,
    }
)

_MARKED = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render(text: str) -> str:
    """Return the page with every marked table made anew.

    Raises
    ------
    KeyError
        If a mark names no table.
    """
    return _MARKED.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)


def _words(title: str, words: type[W], texts: Mapping[W, ReasonText]) -> str:
    return _table(title, ((word.value, texts[word]) for word in words))


def _table(title: str, entries: Iterable[tuple[str, ReasonText]]) -> str:
    rows = "".join(f"| `{name}` | {text.meaning} | {text.remedy} |\n" for name, text in entries)
    return f"| {title} | Meaning | What to do |\n|---|---|---|\n{rows}"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(render(page.read_text()))
