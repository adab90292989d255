"""How a tool call ended, read off the ledger: the same rows give the same answer, however often it is asked.

So nothing is lost when a process dies between executing and recording: the next tick reads the ledger again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from agentwhere_core.arena.values import ToolCallStatus
from agentwhere_core.domain.enums import OrderState, PolicyOutcome, PositionStatus, Venue
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.execution.orders import is_final

GRACE = timedelta(seconds=90)
"""How long after its expiry a call may still be on its way through another process's hands."""


@dataclass(frozen=True, slots=True)
class EntryAttempt:
    """The last entry order of a signal."""

    venue: Venue
    state: OrderState
    filled_size: Decimal
    average_price: Decimal | None
    reason: Reason | None
    detail: str | None
    may_be_repeated: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a createPosition came: through policy, routing, and to its last entry order."""

    policy: PolicyOutcome | None = None
    policy_reasons: tuple[Reason, ...] = ()
    is_routed: bool = False
    selected_venue: Venue | None = None
    routing_reason: Reason | None = None
    entry: EntryAttempt | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """A position that was to be closed."""

    position_id: UUID
    token: str
    status: PositionStatus
    exit_price: Decimal | None
    realized_pnl_usd: Decimal
    is_pending: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a tool call."""

    status: ToolCallStatus
    reason: Reason | None = None
    detail: str | None = None
    result: dict[str, Any] = field(default_factory=dict)


def end_of_entry(progress: Progress, expires_at: datetime, now: datetime) -> Ending | None:
    """Return how a createPosition ended, or None while it may still be executed."""
    if progress.policy is PolicyOutcome.REFUSED:
        reasons = progress.policy_reasons
        return _failed(reasons[0] if reasons else Reason.DEPLOYMENT_INACTIVE, "refused by policy")
    if progress.is_routed and progress.selected_venue is None:
        return _failed(
            progress.routing_reason or Reason.NO_VENUE_AVAILABLE, "no venue could take it"
        )
    entry = progress.entry
    if entry is not None and is_final(entry.state):
        if entry.filled_size > 0:
            return Ending(
                ToolCallStatus.EXECUTED,
                progress.policy_reasons[0] if progress.policy_reasons else None,
                None,
                {
                    "venue": entry.venue.value,
                    "size": str(entry.filled_size),
                    "price": str(entry.average_price),
                },
            )
        if not entry.may_be_repeated or now >= expires_at:
            return _failed(entry.reason or Reason.VENUE_REJECTED, entry.detail)
    if entry is None and now >= expires_at + GRACE:
        return _failed(Reason.CALL_EXPIRED, "no order was made in time")
    return None


def end_of_closing(
    closings: Sequence[Closing], expires_at: datetime, now: datetime
) -> Ending | None:
    """Return how a closeAllPosition ended, or None while something is still to be closed."""
    if not closings:
        return _failed(
            Reason.NOTHING_TO_CLOSE, "none of the positions shown was known to the ledger"
        )
    still_open = [item for item in closings if item.status is PositionStatus.OPEN]
    result = {
        "closed": [
            {
                "token": item.token,
                "price": None if item.exit_price is None else str(item.exit_price),
                "realized_pnl_usd": str(item.realized_pnl_usd),
            }
            for item in closings
            if item.status is PositionStatus.CLOSED
        ]
    }
    if not still_open:
        return Ending(ToolCallStatus.EXECUTED, None, None, result)
    if now < expires_at or any(item.is_pending for item in still_open):
        return None
    names = ", ".join(item.token for item in still_open)
    return Ending(ToolCallStatus.FAILED, Reason.CALL_EXPIRED, f"still open: {names}", result)


def _failed(reason: Reason, detail: str | None) -> Ending:
    return Ending(ToolCallStatus.FAILED, reason, detail)
