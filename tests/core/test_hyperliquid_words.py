"""Every word that Hyperliquid has for an order or a movement of money, and what it means to us."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from agentwhere_core.domain.enums import CashFlowKind, OrderState, Venue
from agentwhere_core.domain.errors import MalformedReplyError
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.trade import OrderReport, VenueAccount
from agentwhere_core.venues.hyperliquid import accounts, outcomes, replies

ADDRESS = "0x" + "aB" * 20
ACCOUNT = VenueAccount(UUID(int=1), UUID(int=2), Venue.HYPERLIQUID, ADDRESS, ADDRESS, "DESK_KEY")


def answer(*statuses: Any) -> dict[str, Any]:
    return {"status": "ok", "response": {"type": "order", "data": {"statuses": list(statuses)}}}


def read_answer(reply: Any, orders: int = 1) -> list[OrderReport]:
    sizes = {f"id{number}": Decimal(2) for number in range(orders)}
    return outcomes.reports_of_reply(reply, sizes, list(sizes))


def test_every_form_of_a_status_is_understood() -> None:
    filled = {"filled": {"totalSz": "2", "avgPx": "10.5", "oid": 7}}
    partly = {"filled": {"totalSz": "0.5", "avgPx": "10.5", "oid": 8}}
    reports = read_answer(
        answer(filled, partly, {"resting": {"oid": 9}}, "waitingForFill", "waitingForTrigger"), 5
    )
    assert [report.state.value for report in reports] == [
        "FILLED",
        "CANCELLED",
        "ACKED",
        "ACKED",
        "ACKED",
    ]
    assert (reports[1].filled_size, reports[1].reason) == (Decimal("0.5"), Reason.NOT_FILLED)


def test_one_error_for_a_batch_refuses_all_of_it() -> None:
    reports = read_answer(answer({"error": "Order must have minimum value of $10."}), 3)
    assert [report.state for report in reports] == [OrderState.REJECTED] * 3
    assert {report.reason for report in reports} == {Reason.BELOW_MINIMUM}


@pytest.mark.parametrize(
    "reply",
    [
        None,
        [],
        {},
        "ok",
        {"status": "ok"},
        {"status": "maybe", "response": "x"},
        {"status": "ok", "response": {"type": "default"}},
        answer(),
        answer("waitingForGodot"),
        answer({"resting": {"oid": 1}}, {"resting": {"oid": 2}}),
        answer({"filled": {"totalSz": "NaN", "avgPx": "1", "oid": 1}}),
    ],
)
def test_an_answer_outside_the_protocol_leaves_the_outcome_open(reply: Any) -> None:
    with pytest.raises(MalformedReplyError):
        read_answer(reply)


STATUSES = {
    "open": OrderState.ACKED,
    "triggered": OrderState.ACKED,
    "filled": OrderState.FILLED,
    **dict.fromkeys(
        (
            "canceled",
            "marginCanceled",
            "vaultWithdrawalCanceled",
            "openInterestCapCanceled",
            "selfTradeCanceled",
            "reduceOnlyCanceled",
            "siblingFilledCanceled",
            "delistedCanceled",
            "liquidatedCanceled",
            "scheduledCancel",
        ),
        OrderState.CANCELLED,
    ),
    **dict.fromkeys(
        (
            "rejected",
            "tickRejected",
            "minTradeNtlRejected",
            "perpMarginRejected",
            "reduceOnlyRejected",
            "badAloPxRejected",
            "iocCancelRejected",
            "badTriggerPxRejected",
            "marketOrderNoLiquidityRejected",
            "positionIncreaseAtOpenInterestCapRejected",
            "positionFlipAtOpenInterestCapRejected",
            "tooAggressiveAtOpenInterestCapRejected",
            "openInterestIncreaseRejected",
            "insufficientSpotBalanceRejected",
            "oracleRejected",
            "perpMaxPositionRejected",
        ),
        OrderState.REJECTED,
    ),
}


def known_order(status: str, remaining: str = "2") -> replies.OrderWithStatus:
    order = {"coin": "BTC", "side": "B", "limitPx": "1", "sz": remaining, "origSz": "2"}
    return replies.OrderWithStatus.model_validate(
        {
            "order": order | {"oid": 7, "timestamp": 1},
            "status": status,
            "statusTimestamp": 2,
        }
    )


@pytest.mark.parametrize(("status", "state"), STATUSES.items())
def test_every_documented_status_has_a_state(status: str, state: OrderState) -> None:
    remaining = "0" if status == "filled" else "2"
    report = outcomes.report_of_status("id", known_order(status, remaining), [])
    assert report.state is state
    assert (report.reason is not None) >= (state is OrderState.REJECTED)


def test_an_unknown_status_concludes_nothing() -> None:
    with pytest.raises(MalformedReplyError, match="not one we know"):
        outcomes.report_of_status("id", known_order("mislaid"), [])


def test_what_an_immediate_order_did_fill_stands_although_the_rest_was_refused() -> None:
    fill = replies.UserFill.model_validate(
        {
            "coin": "BTC",
            "px": "10",
            "sz": "0.5",
            "side": "B",
            "closedPnl": "0",
            "oid": 7,
            "tid": 1,
            "fee": "0",
            "time": 1,
        }
    )
    report = outcomes.report_of_status("id", known_order("iocCancelRejected"), [fill])
    assert (report.state, report.filled_size) == (OrderState.CANCELLED, Decimal("0.5"))
    assert report.average_price == 10


ENTRIES = [
    ({"type": "deposit", "usdc": "100"}, "100"),
    ({"type": "withdraw", "usdc": "100", "fee": "1"}, "-101"),
    ({"type": "accountClassTransfer", "usdc": "5", "toPerp": True}, "5"),
    ({"type": "accountClassTransfer", "usdc": "5", "toPerp": False}, "-5"),
    ({"type": "internalTransfer", "usdc": "5", "fee": "1", "destination": ADDRESS}, "5"),
    ({"type": "internalTransfer", "usdc": "5", "fee": "1", "destination": "0x0"}, "-6"),
    ({"type": "vaultDeposit", "usdc": "5"}, "-5"),
    ({"type": "vaultWithdraw", "requestedUsd": "9", "netWithdrawnUsd": "8"}, "8"),
    (
        {"type": "send", "token": "USDC", "amount": "5", "sourceDex": "", "destinationDex": "spot"}
        | {"user": ADDRESS, "destination": ADDRESS},
        "-5",
    ),
]


def ledger_entry(delta: dict[str, Any]) -> replies.LedgerEntry:
    return replies.LedgerEntry.model_validate({"time": 1, "hash": "0x1", "delta": delta})


@pytest.mark.parametrize(("delta", "amount"), ENTRIES)
def test_money_that_enters_or_leaves_is_counted_once(delta: dict[str, Any], amount: str) -> None:
    [flow] = accounts.transfer_flows([ledger_entry(delta)], ACCOUNT)
    assert flow.amount_usd == Decimal(amount)
    assert flow.kind is (CashFlowKind.DEPOSIT if flow.amount_usd > 0 else CashFlowKind.WITHDRAWAL)


def test_money_that_moves_elsewhere_is_no_cash_flow() -> None:
    spot = {"type": "spotTransfer", "token": "USDC", "amount": "5", "usdcValue": "5"}
    assert accounts.transfer_flows([ledger_entry(spot)], ACCOUNT) == []


def test_a_movement_of_an_unknown_kind_is_not_passed_over() -> None:
    with pytest.raises(MalformedReplyError, match="unknown kind 'airdrop'"):
        accounts.transfer_flows([ledger_entry({"type": "airdrop", "usdc": "5"})], ACCOUNT)
