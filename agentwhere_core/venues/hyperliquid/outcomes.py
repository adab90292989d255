"""What Hyperliquid's answers mean for an order.

The venue has three ways to say no: a string instead of a response, an error in an order's status, and a status that a
later lookup shows. All three are definite, except that a nonce that was used before says only that these very bytes
have arrived already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from agentwhere_core.domain.enums import OrderState
from agentwhere_core.domain.errors import MalformedReplyError, RefusedError
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import OrderReport
from agentwhere_core.venues.checked import parse
from agentwhere_core.venues.hyperliquid import replies
from agentwhere_core.venues.hyperliquid.replies import Failed, Filled, Resting

SERVICE: Final = "hyperliquid"

_ZERO = Decimal(0)
_DUPLICATE_NONCE = "duplicate nonce"

# Only for the reader's sake: what follows from a refusal does not depend on its text.
_REASONS_BY_TEXT = (
    ("could not immediately match", Reason.NOT_FILLED),
    ("no liquidity", Reason.NOT_FILLED),
    ("minimum value", Reason.BELOW_MINIMUM),
    ("insufficient margin", Reason.UNFUNDED),
)
_REASONS_BY_STATUS = {
    "iocCancelRejected": Reason.NOT_FILLED,
    "marketOrderNoLiquidityRejected": Reason.NOT_FILLED,
    "minTradeNtlRejected": Reason.BELOW_MINIMUM,
    "perpMarginRejected": Reason.UNFUNDED,
    "insufficientSpotBalanceRejected": Reason.UNFUNDED,
    "siblingFilledCanceled": Reason.POSITION_CLOSED,
    "reduceOnlyCanceled": Reason.POSITION_CLOSED,
    "reduceOnlyRejected": Reason.POSITION_CLOSED,
    "liquidatedCanceled": Reason.POSITION_CLOSED,
}
_NOT_FILLED_STATUSES = frozenset({"iocCancelRejected", "marketOrderNoLiquidityRejected"})
_RESTING_STATUSES = frozenset({"open", "triggered"})
_CANCEL_STATUSES = frozenset({"canceled", "scheduledCancel"})


def reports_of_reply(
    reply: Any, sizes: Mapping[str, Decimal], client_ids: Sequence[str]
) -> list[OrderReport]:
    """Return what the answer to an order request says of each of ``client_ids``.

    Parameters
    ----------
    sizes
        Size asked for, by client id, in the order of the request.

    Raises
    ------
    MalformedReplyError
        If the answer does not follow the protocol: the outcome is unclear.
    """
    answer = parse(SERVICE, "the answer to a request", replies.EXCHANGE, reply)
    if isinstance(answer, replies.Refused):
        return [_of_refusal(client_id, answer.response) for client_id in client_ids]
    placed = parse(SERVICE, "order statuses", replies.ORDER_RESPONSE, answer.response).data.statuses
    if len(placed) == 1 < len(sizes) and isinstance(placed[0], Failed):
        # A batch that fails the checks before matching is answered by one error for all.
        placed = placed * len(sizes)
    if len(placed) != len(sizes):
        raise MalformedReplyError(
            SERVICE, f"expected {len(sizes)} order statuses, got {len(placed)}; look the orders up"
        )
    by_id = dict(zip(sizes, placed, strict=True))
    return [_of_placed(client_id, by_id[client_id], sizes[client_id]) for client_id in client_ids]


def require_accepted(reply: Any) -> None:
    """Check the answer to an action that places no order.

    Raises
    ------
    RefusedError
        If the venue refused it.
    """
    answer = parse(SERVICE, "the answer to a request", replies.EXCHANGE, reply)
    if isinstance(answer, replies.Refused):
        raise RefusedError(SERVICE, f"{answer.response}; nothing was changed")


def report_of_refused_request(client_id: str, detail: str) -> OrderReport:
    """Return the report of an order whose whole request was refused before the venue read it."""
    return _report(client_id, OrderState.REJECTED, Reason.VENUE_REJECTED, detail)


def may_have_fills(known: replies.OrderWithStatus) -> bool:
    """Tell whether an order in this status can have executed, so that its fills must be asked for."""
    if known.status in _RESTING_STATUSES:
        return known.order.sz < known.order.orig_sz
    return not _is_refusal(known.status) or known.status in _NOT_FILLED_STATUSES


def report_of_status(
    client_id: str, known: replies.OrderWithStatus, fills: Sequence[replies.UserFill]
) -> OrderReport:
    """Return what a lookup says of an order; ``fills`` are all of this order's, and give its average price.

    Raises
    ------
    MalformedReplyError
        If the status is one that we do not know.
    """
    order, status = known.order, known.status
    executed = sum((fill.sz for fill in fills), _ZERO)
    # Only while an order lives, or at its full size, is what remains of it told reliably.
    is_counted = status == "filled" or status in _RESTING_STATUSES
    filled = max(executed, order.orig_sz - order.sz) if is_counted else executed
    value = sum((fill.sz * fill.px for fill in fills), _ZERO)
    fallback = Reason.VENUE_REJECTED if _is_refusal(status) else None
    return OrderReport(
        client_id=client_id,
        state=_state_of(status, filled),
        reason=_REASONS_BY_STATUS.get(status, fallback),
        venue_order_id=str(order.oid),
        filled_size=filled,
        average_price=value / executed if executed else None,
        detail=status,
        raw=known.raw(),
    )


def _state_of(status: str, filled: Decimal) -> OrderState:
    if status == "filled":
        return OrderState.FILLED
    if status in _RESTING_STATUSES:
        return OrderState.PARTIAL if filled else OrderState.ACKED
    if status in _CANCEL_STATUSES or status.endswith("Canceled"):
        return OrderState.CANCELLED
    if _is_refusal(status):
        # What an immediate order could not fill is refused; the part that it filled stands.
        return OrderState.CANCELLED if filled else OrderState.REJECTED
    raise MalformedReplyError(
        SERVICE, f"order status {status!r} is not one we know; nothing is concluded from it"
    )


def _is_refusal(status: str) -> bool:
    return status == "rejected" or status.endswith("Rejected")


def _of_refusal(client_id: str, text: str) -> OrderReport:
    if _DUPLICATE_NONCE in text.lower():
        return _report(client_id, OrderState.UNKNOWN, Reason.OUTCOME_UNCLEAR, text)
    return _report(client_id, OrderState.REJECTED, _reason_in(text), text)


def _of_placed(client_id: str, placed: replies.Placed, asked: Decimal) -> OrderReport:
    if isinstance(placed, Failed):
        return _report(client_id, OrderState.REJECTED, _reason_in(placed.error), placed.error)
    if isinstance(placed, Filled):
        filled = placed.filled
        is_whole = filled.total_sz >= asked
        return OrderReport(
            client_id=client_id,
            state=OrderState.FILLED if is_whole else OrderState.CANCELLED,
            reason=None if is_whole else Reason.NOT_FILLED,
            venue_order_id=str(filled.oid),
            filled_size=filled.total_sz,
            average_price=filled.avg_px,
            detail="filled" if is_whole else f"filled {filled.total_sz} of {asked}",
            raw=placed.raw(),
        )
    if isinstance(placed, Resting):
        return OrderReport(
            client_id=client_id,
            state=OrderState.ACKED,
            reason=None,
            venue_order_id=str(placed.resting.oid),
            filled_size=_ZERO,
            average_price=None,
            detail="resting",
            raw=placed.raw(),
        )
    return _report(client_id, OrderState.ACKED, None, placed)


def _report(client_id: str, state: OrderState, reason: Reason | None, detail: str) -> OrderReport:
    return OrderReport(
        client_id=client_id,
        state=state,
        reason=reason,
        venue_order_id=None,
        filled_size=_ZERO,
        average_price=None,
        detail=detail,
        raw={"response": detail},
    )


def _reason_in(text: str) -> Reason:
    lowered = text.lower()
    return next((r for part, r in _REASONS_BY_TEXT if part in lowered), Reason.VENUE_REJECTED)
