"""Position events and incidents: what each one means, and what to do about it.

This is the only place that defines them; documents are made from these tables. An event is written once, with its
evidence, when something happened to a position. An incident is open for as long as it lasts, and raises one alert.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from agentwhere_core.domain.enums import ExitReason
from agentwhere_core.domain.reasons import ReasonText


class PositionEvent(StrEnum):
    """What happened to a position, in the order of its life."""

    OPENED = "OPENED"
    OPENED_OUTSIDE = "OPENED_OUTSIDE"
    INCREASED = "INCREASED"
    INCREASED_OUTSIDE = "INCREASED_OUTSIDE"
    REDUCED = "REDUCED"
    REDUCED_OUTSIDE = "REDUCED_OUTSIDE"
    REDUCED_BY_LIQUIDATION = "REDUCED_BY_LIQUIDATION"
    FUNDING_BOOKED = "FUNDING_BOOKED"
    DIFFERS_FROM_VENUE = "DIFFERS_FROM_VENUE"
    UNKNOWN_ORDERS_REST = "UNKNOWN_ORDERS_REST"
    PROTECTION_MISSING = "PROTECTION_MISSING"
    PROTECTION_PLACED = "PROTECTION_PLACED"
    PROTECTION_RESIZED = "PROTECTION_RESIZED"
    PROTECTION_REFUSED = "PROTECTION_REFUSED"
    EXIT_DECIDED = "EXIT_DECIDED"
    CLOSED_TAKE_PROFIT = "CLOSED_TAKE_PROFIT"
    CLOSED_STOP_LOSS = "CLOSED_STOP_LOSS"
    CLOSED_TRAILING_STOP = "CLOSED_TRAILING_STOP"
    CLOSED_MAX_HOLDING_TIME = "CLOSED_MAX_HOLDING_TIME"
    CLOSED_LIQUIDATION_DISTANCE = "CLOSED_LIQUIDATION_DISTANCE"
    CLOSED_UNPROTECTED = "CLOSED_UNPROTECTED"
    CLOSED_KILL_SWITCH = "CLOSED_KILL_SWITCH"
    CLOSED_MANUAL = "CLOSED_MANUAL"
    CLOSED_OUTSIDE = "CLOSED_OUTSIDE"
    LIQUIDATED = "LIQUIDATED"

    @classmethod
    def closed_by(cls, reason: ExitReason) -> PositionEvent:
        """Return the event of a close for ``reason``."""
        if reason in {ExitReason.CLOSED_OUTSIDE, ExitReason.LIQUIDATED}:
            return cls(reason.value)
        return cls(f"CLOSED_{reason.value}")


class Incident(StrEnum):
    """What an alert of execution is about; the first part of its incident's name."""

    RECONCILIATION = "reconciliation"
    PROTECTION = "protection"
    UNKNOWN_ORDERS = "unknown-orders"
    FILLS = "fills"
    OLDER_POSITION = "older-position"

    def of(self, *parts: object) -> str:
        """Return the name of one incident of this kind."""
        return ":".join([self.value, *(str(part) for part in parts)])


_NOTHING = "Nothing to do."
_LOOK_AT_EVIDENCE = (
    "Compare the fills in its evidence with the venue's; nothing else to do if somebody meant it."
)

EVENT_TEXTS: Final[Mapping[PositionEvent, ReasonText]] = MappingProxyType(
    {
        PositionEvent.OPENED: ReasonText("An entry of ours was filled.", _NOTHING),
        PositionEvent.OPENED_OUTSIDE: ReasonText(
            "Somebody opened it at the venue without an order of ours. It is shown and marked, not managed: it has no "
            "stop loss of ours, and no exit but the liquidation distance and the kill switch closes it.",
            "Close it at the venue, or keep it there: entries in this token are refused until it is flat.",
        ),
        PositionEvent.INCREASED: ReasonText("An order of ours added to it.", _NOTHING),
        PositionEvent.INCREASED_OUTSIDE: ReasonText(
            "Somebody added to it at the venue. Its protection is made as large as it is now.",
            _LOOK_AT_EVIDENCE,
        ),
        PositionEvent.REDUCED: ReasonText("An order of ours closed a part of it.", _NOTHING),
        PositionEvent.REDUCED_OUTSIDE: ReasonText(
            "Somebody closed a part of it at the venue. Its protection is made as small as it is now.",
            _LOOK_AT_EVIDENCE,
        ),
        PositionEvent.REDUCED_BY_LIQUIDATION: ReasonText(
            "The venue itself closed a part of it, for want of margin.",
            "Deposit margin or lower the leverage in the policy; the rest of it is still open.",
        ),
        PositionEvent.FUNDING_BOOKED: ReasonText(
            "Funding, or the cost of holding, was paid or received.", _NOTHING
        ),
        PositionEvent.DIFFERS_FROM_VENUE: ReasonText(
            "Twice in a row the venue held another size than our fills make. Nothing is changed by guessing.",
            "Compare the account's fills at the venue with ours. The alert closes itself when both agree.",
        ),
        PositionEvent.UNKNOWN_ORDERS_REST: ReasonText(
            "Orders rest in its market at the venue that are not ours. They are left alone.",
            "Cancel them at the venue if nobody meant them: they can hit this position.",
        ),
        PositionEvent.PROTECTION_MISSING: ReasonText(
            "The venue does not show a protective order that this position owes: it was lost, cancelled outside, or "
            "refused. It is placed again at once.",
            "Nothing to do if PROTECTION_PLACED follows. If it repeats, find out who cancels it.",
        ),
        PositionEvent.PROTECTION_PLACED: ReasonText(
            "A protective order rests at the venue again, at its old price.", _NOTHING
        ),
        PositionEvent.PROTECTION_RESIZED: ReasonText(
            "Protective orders were replaced by ones of the size that the position has now, at the same prices.",
            _NOTHING,
        ),
        PositionEvent.PROTECTION_REFUSED: ReasonText(
            "A protective order could not be placed. After the deadline in the evidence the position is closed.",
            "Read the detail: it is the venue's own reason. Close by hand if you do not want to wait.",
        ),
        PositionEvent.EXIT_DECIDED: ReasonText(
            "A rule wants it closed; the order for it follows in the ledger.", _NOTHING
        ),
        PositionEvent.CLOSED_TAKE_PROFIT: ReasonText("It reached its take profit.", _NOTHING),
        PositionEvent.CLOSED_STOP_LOSS: ReasonText("It reached its stop loss.", _NOTHING),
        PositionEvent.CLOSED_TRAILING_STOP: ReasonText(
            "It fell back to its trailing stop.", _NOTHING
        ),
        PositionEvent.CLOSED_MAX_HOLDING_TIME: ReasonText(
            "It was held for the longest time that its signal allows.", _NOTHING
        ),
        PositionEvent.CLOSED_LIQUIDATION_DISTANCE: ReasonText(
            "It was closed before the venue would have liquidated it.",
            "Lower the leverage or the size in the policy if it happens again.",
        ),
        PositionEvent.CLOSED_UNPROTECTED: ReasonText(
            "Its stop loss did not rest at the venue by the deadline, so it was closed.",
            "Read its events before this one: they say why the stop could not be placed.",
        ),
        PositionEvent.CLOSED_KILL_SWITCH: ReasonText(
            "A kill switch closed it.", "Release the switch once the cause is understood."
        ),
        PositionEvent.CLOSED_MANUAL: ReasonText("An order of ours closed it on request.", _NOTHING),
        PositionEvent.CLOSED_OUTSIDE: ReasonText(
            "Somebody closed it at the venue. Its protective orders were taken away.",
            _LOOK_AT_EVIDENCE,
        ),
        PositionEvent.LIQUIDATED: ReasonText(
            "The venue closed it for want of margin.",
            "Lower leverage or size in the policy; look whether its stop loss was in place.",
        ),
    }
)

INCIDENT_TEXTS: Final[Mapping[Incident, ReasonText]] = MappingProxyType(
    {
        Incident.RECONCILIATION: ReasonText(
            "The venue holds another size in a token than our fills make.",
            "Compare the account's fills at the venue with ours. Entries in the token wait meanwhile.",
        ),
        Incident.PROTECTION: ReasonText(
            "A position's stop loss does not rest at its venue, and could not be placed there.",
            "Read the detail. After the deadline the position is closed; close it by hand if that fails too.",
        ),
        Incident.UNKNOWN_ORDERS: ReasonText(
            "Orders that are not ours rest at a venue on one of our accounts.",
            "Cancel them there, or leave them: entries in their token are refused meanwhile.",
        ),
        Incident.FILLS: ReasonText(
            "The fills of an account in a token contradict each other, so that its position is not known.",
            "The token is stopped, the rest of the account goes on. Fetch the fills anew, or close it at the venue.",
        ),
        Incident.OLDER_POSITION: ReasonText(
            "The account held a position in a token before it was registered here. It is not adopted.",
            "Close it at the venue, or keep it there: entries in this token are refused until it is flat.",
        ),
    }
)
