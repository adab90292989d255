"""What Lighter's answers mean for an order, in our words.

``sendTx`` answers 200 when a transaction got its place in the queue. That is not execution: an order exists once the
venue lists it. Until then its outcome is unclear.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final

from agentwhere_core.domain.enums import OrderState
from agentwhere_core.domain.errors import MalformedReplyError, NotFoundError, RefusedError
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import OrderReport
from agentwhere_core.venues.checked import parse
from agentwhere_core.venues.lighter import replies
from agentwhere_core.venues.lighter.replies import SERVICE

INVALID_NONCE: Final = 21104
INVALID_EXPIRY: Final = 21111
CLIENT_INDEX_IN_USE: Final = 21728
NOT_ENOUGH_MARGIN: Final = 21739
_ACCOUNT_NOT_FOUND: Final = 21100
_INVALID_AMOUNT: Final = 21706

# A repeated request is refused so after its first copy was accepted, or when its life is over: it says nothing of the
# first copy.
_SAID_OF_A_REPETITION = frozenset({INVALID_NONCE, INVALID_EXPIRY, CLIENT_INDEX_IN_USE})
_REASONS_BY_CODE = {
    NOT_ENOUGH_MARGIN: Reason.UNFUNDED,
    _INVALID_AMOUNT: Reason.BELOW_MINIMUM,
}
_REASONS_BY_STATUS = {
    "canceled-too-much-slippage": Reason.NOT_FILLED,
    "canceled-not-enough-liquidity": Reason.NOT_FILLED,
    "canceled-margin-not-allowed": Reason.UNFUNDED,
    "canceled-invalid-balance": Reason.UNFUNDED,
    "canceled-reduce-only": Reason.POSITION_CLOSED,
    "canceled-oco": Reason.POSITION_CLOSED,
    "canceled-child": Reason.POSITION_CLOSED,
    "canceled-liquidation": Reason.POSITION_CLOSED,
    "canceled-position-not-allowed": Reason.VENUE_REJECTED,
    "canceled-post-only": Reason.VENUE_REJECTED,
    "canceled-self-trade": Reason.VENUE_REJECTED,
}
# Ends in which the matching engine turned the order away.
_REFUSALS = frozenset(
    {
        "canceled-too-much-slippage",
        "canceled-not-enough-liquidity",
        "canceled-margin-not-allowed",
        "canceled-invalid-balance",
        "canceled-position-not-allowed",
        "canceled-post-only",
        "canceled-self-trade",
    }
)
_LIVE = frozenset({"in-progress", "pending", "open"})


def require_ok(reply: Any) -> None:
    """Check the code that Lighter puts into every answer.

    Raises
    ------
    RefusedError
        If it is not 200; the message holds the venue's own.
    """
    answer = parse(SERVICE, "an answer with a code", replies.ANSWER, reply)
    if answer.code != replies.OK:
        raise RefusedError(
            SERVICE, f"code {answer.code}: {answer.message}", body=json.dumps({"code": answer.code})
        )


def code_of(error: RefusedError) -> int | None:
    """Return the code of a refusal, if the venue gave one."""
    try:
        code = json.loads(error.body)["code"]
    except (ValueError, KeyError, TypeError):
        return None
    return code if isinstance(code, int) else None


def no_such_account(error: RefusedError, account: str) -> RefusedError | NotFoundError:
    """Return what to raise when a question about an account was refused."""
    if code_of(error) != _ACCOUNT_NOT_FOUND:
        return error
    return NotFoundError(
        SERVICE,
        f"there is no account {account}; an account exists once USDC was deposited from its wallet",
    )


def is_said_of_a_repetition(error: RefusedError) -> bool:
    """Tell whether a refusal may come from an earlier copy of the same request having been accepted."""
    return code_of(error) in _SAID_OF_A_REPETITION


def report_of_refusal(client_id: str, error: RefusedError) -> OrderReport:
    """Return what the refusal of a whole request says of one of its orders."""
    code = code_of(error)
    if is_said_of_a_repetition(error):
        return _report(client_id, OrderState.UNKNOWN, Reason.OUTCOME_UNCLEAR, str(error))
    reason = _REASONS_BY_CODE.get(code, Reason.VENUE_REJECTED) if code else Reason.VENUE_REJECTED
    return _report(client_id, OrderState.REJECTED, reason, str(error))


def report_of_unlisted(client_id: str, error: RefusedError) -> OrderReport:
    """Return what such a refusal says of an order that the venue does not list either.

    When the life of the bytes is over no copy can be accepted any more, and one that was would be listed.
    """
    if code_of(error) == INVALID_EXPIRY:
        return _report(client_id, OrderState.REJECTED, Reason.VENUE_REJECTED, str(error))
    return report_of_refusal(client_id, error)


def report_of_queued(client_id: str, tx_hash: str) -> OrderReport:
    """Return what is known of an order whose transaction was queued, but which the venue does not list yet."""
    return _report(
        client_id,
        OrderState.UNKNOWN,
        Reason.OUTCOME_UNCLEAR,
        f"queued as {tx_hash}, not executed yet: it is looked up",
    )


def report_of_order(client_id: str, order: replies.Order) -> OrderReport:
    """Return what the venue's list says of an order.

    Raises
    ------
    MalformedReplyError
        If its status is one that we do not know.
    """
    filled, status = order.filled_base_amount, order.status
    return OrderReport(
        client_id=client_id,
        state=_state_of(status, filled),
        reason=_REASONS_BY_STATUS.get(status),
        venue_order_id=str(order.order_index),
        filled_size=filled,
        average_price=order.filled_quote_amount / filled if filled else None,
        detail=status,
        raw=order.raw(),
    )


def _state_of(status: str, filled: Decimal) -> OrderState:
    if status == "filled":
        return OrderState.FILLED
    if status in _LIVE:
        return OrderState.PARTIAL if filled else OrderState.ACKED
    if status in _REFUSALS and not filled:
        return OrderState.REJECTED
    if status.startswith("canceled"):
        return OrderState.CANCELLED
    raise MalformedReplyError(
        SERVICE, f"order status {status!r} is not one we know; nothing is concluded from it"
    )


def _report(client_id: str, state: OrderState, reason: Reason, detail: str) -> OrderReport:
    return OrderReport(
        client_id=client_id,
        state=state,
        reason=reason,
        venue_order_id=None,
        filled_size=Decimal(0),
        average_price=None,
        detail=detail,
        raw={"response": detail},
    )
