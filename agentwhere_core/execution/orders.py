"""Order states: which moves exist, and what to do next with an order whose outcome is in doubt.

::

    PLANNED ─→ SENDING ─→ ACKED ─→ PARTIAL ─→ FILLED
       │          │         └─────────┴─────→ CANCELLED
       │          ├─→ REJECTED              definitely refused: nothing is at the venue
       │          └─→ UNKNOWN               the answer was lost; only a lookup leads on
       └─→ CANCELLED                        never sent

A venue may skip steps (an order can be FILLED in the reply to its sending). UNKNOWN may become any state that a venue
can report, and nothing else: it is never planned or sent anew. Sending its identical bytes again keeps it UNKNOWN.
FILLED, CANCELLED and REJECTED are final.

What `next_action` decides (``absent``: the venue was asked and never saw the order):

=====================  ================  =====================================  ==================
state                  lookup            time                                   action
=====================  ================  =====================================  ==================
PLANNED                any               until the deadline                     SEND
PLANNED                any               after the deadline                     CANCEL_UNSENT
SENDING, UNKNOWN       not yet           any                                    LOOK_UP
SENDING, UNKNOWN       a known state     any                                    ADOPT
SENDING, UNKNOWN       no known state    any                                    WAIT
SENDING, UNKNOWN       absent            until the deadline                     RESEND
SENDING, UNKNOWN       absent            after the deadline, within the margin  WAIT
SENDING, UNKNOWN       absent            after deadline and margin              DECLARE_ABSENT
ACKED, PARTIAL         not yet           any                                    LOOK_UP
ACKED, PARTIAL         something new     any                                    ADOPT
ACKED, PARTIAL         nothing new       any                                    WAIT
ACKED, PARTIAL         absent            any                                    WAIT
final                  any               any                                    NONE
=====================  ================  =====================================  ==================

An order that the venue once accepted cannot be declared absent: a lookup that misses it is the venue's gap, and its
fills and the account's position tell the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final, Literal

from agentwhere_core.domain.enums import OrderState
from agentwhere_core.domain.errors import IllegalTransitionError
from agentwhere_core.domain.trade import OrderReport

_S = OrderState

_REPORTABLE = frozenset({_S.ACKED, _S.PARTIAL, _S.FILLED, _S.CANCELLED, _S.REJECTED})

ALLOWED: Final[Mapping[OrderState, frozenset[OrderState]]] = MappingProxyType(
    {
        _S.PLANNED: frozenset({_S.SENDING, _S.CANCELLED}),
        _S.SENDING: _REPORTABLE | {_S.UNKNOWN},
        _S.UNKNOWN: _REPORTABLE,
        _S.ACKED: frozenset({_S.PARTIAL, _S.FILLED, _S.CANCELLED}),
        _S.PARTIAL: frozenset({_S.FILLED, _S.CANCELLED}),
        _S.FILLED: frozenset(),
        _S.CANCELLED: frozenset(),
        _S.REJECTED: frozenset(),
    }
)
"""States that may follow each state."""

FINAL: Final = frozenset(state for state, following in ALLOWED.items() if not following)
"""States that are never left."""

IN_DOUBT: Final = frozenset({_S.PLANNED, _S.SENDING, _S.UNKNOWN})
"""States in which nobody knows yet what the venue has; they block their account and token."""


class Lookup(Enum):
    """Marks that the venue has not been asked; None means that it was asked and never saw the order."""

    NOT_YET = "NOT_YET"


class Action(StrEnum):
    """What to do next with an order; the table above says when."""

    SEND = "SEND"
    CANCEL_UNSENT = "CANCEL_UNSENT"
    LOOK_UP = "LOOK_UP"
    RESEND = "RESEND"
    DECLARE_ABSENT = "DECLARE_ABSENT"
    WAIT = "WAIT"
    ADOPT = "ADOPT"
    NONE = "NONE"


def move(current: OrderState, following: OrderState) -> OrderState:
    """Return ``following`` if an order may move there from ``current``.

    Raises
    ------
    IllegalTransitionError
        If it may not; the order must be read again, or the report is older than what is known.
    """
    if following not in ALLOWED[current]:
        allowed = ", ".join(sorted(ALLOWED[current])) or "nothing: it is final"
        raise IllegalTransitionError(
            f"an order cannot move from {current} to {following} (allowed: {allowed}); "
            "read it again, and look it up at its venue"
        )
    return following


def is_final(state: OrderState) -> bool:
    """Tell whether an order in ``state`` never changes again."""
    return state in FINAL


def permits_new_attempt(state: OrderState, filled_size: Decimal) -> bool:
    """Tell whether the intent may be tried again under a new client id, or at another venue.

    Only when it is certain that this attempt left nothing behind: REJECTED, or CANCELLED with nothing filled.
    """
    return state in {OrderState.REJECTED, OrderState.CANCELLED} and filled_size == 0


def keeps_risk_budget(state: OrderState) -> bool:
    """Tell whether the order's margin and exposure must stay reserved.

    Every order that may still fill keeps them, UNKNOWN above all. What has filled counts as a position instead.
    """
    return state not in FINAL


def reported_state(current: OrderState, reported: OrderState) -> OrderState:
    """Return the state to move to when a venue says ``reported`` of an order that is ``current``.

    An order that the venue had accepted and later refuses (a trigger order without margin when it fires, say) has left
    the book: it is CANCELLED. REJECTED stays reserved for orders that were never accepted. A report that lags behind
    what is known (ACKED after PARTIAL) changes nothing.
    """
    if current in {OrderState.ACKED, OrderState.PARTIAL}:
        if reported is OrderState.REJECTED:
            return OrderState.CANCELLED
        if reported not in ALLOWED[current]:
            return current
    return reported


def next_action(
    state: OrderState,
    lookup: OrderReport | Literal[Lookup.NOT_YET] | None,
    deadline: datetime,
    now: datetime,
    margin: timedelta,
) -> Action:
    """Decide what to do next with an order, by the table above.

    Parameters
    ----------
    state
        The order's state in the ledger.
    lookup
        What the venue said of it, None if it never saw the order, or `Lookup.NOT_YET`.
    deadline
        After this time the venue refuses the order's bytes.
    now
        The time; with a lookup, the time *before* it was asked. A slow answer that was already true before the
        deadline proves nothing about a request that was still under way.
    margin
        How far the venue's clock may differ from ours, and how long its books may lag.
    """
    if is_final(state):
        return Action.NONE
    if state is OrderState.PLANNED:
        return Action.SEND if now <= deadline else Action.CANCEL_UNSENT
    if lookup is Lookup.NOT_YET:
        return Action.LOOK_UP
    if lookup is not None:
        return Action.ADOPT if _says_something_new(state, lookup) else Action.WAIT
    if state in {OrderState.ACKED, OrderState.PARTIAL}:
        return Action.WAIT
    if now <= deadline:
        return Action.RESEND
    return Action.DECLARE_ABSENT if now > deadline + margin else Action.WAIT


def _says_something_new(state: OrderState, report: OrderReport) -> bool:
    """Tell whether adopting ``report`` can change the order; a further partial fill does."""
    if report.state not in _REPORTABLE:
        return False
    return report.state is OrderState.PARTIAL or reported_state(state, report.state) is not state
