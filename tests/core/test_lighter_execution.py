"""What is Lighter's own in trading there: whole numbers, groups, nonces, and answers that are not yet outcomes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from agentwhere_core.domain.enums import CashFlowKind, OrderPurpose, OrderSide, OrderState, Venue
from agentwhere_core.domain.errors import (
    ConfigurationError,
    InvariantError,
    MalformedReplyError,
    NotFoundError,
    RefusedError,
)
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.time import to_ms
from agentwhere_core.domain.trade import OrderReport, OrderSpec, VenueAccount
from agentwhere_core.venues.lighter import TESTNET_CHAIN_ID, Lighter
from agentwhere_core.venues.lighter.accounts import moment
from agentwhere_core.venues.lighter.signer import ApiKey, Signer, WireOrder, new_api_key
from agentwhere_core.venues.lighter.transactions import api_key_of, transactions_in
from tests.core.wires import Answer, Wire, client, wire

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "lighter"
PRIVATE_KEY, _ = new_api_key()
ACCOUNT = VenueAccount(UUID(int=1), UUID(int=2), Venue.LIGHTER, "7", "7:4", "desk")
SPEC = OrderSpec(
    client_id="101",
    purpose=OrderPurpose.ENTRY,
    market_name="BTC",
    market_index=1,
    side=OrderSide.BUY,
    size=Decimal("0.02"),
    limit_price=Decimal("104237.5"),
    trigger_price=None,
    reduce_only=False,
    size_decimals=5,
    price_decimals=1,
)
STOP = replace(
    SPEC,
    client_id="102",
    purpose=OrderPurpose.STOP_LOSS,
    side=OrderSide.SELL,
    trigger_price=Decimal(99_000),
    limit_price=Decimal(90_000),
    reduce_only=True,
)
PROFIT = replace(
    STOP,
    client_id="103",
    purpose=OrderPurpose.TAKE_PROFIT,
    trigger_price=Decimal(110_000),
    limit_price=Decimal(100_000),
)
QUEUED = {"code": 200, "tx_hash": "ab12", "predicted_execution_time_ms": 0}
NOBODY: dict[str, Any] = {"code": 200, "orders": []}
NAMES = {
    "code": 200,
    "order_book_details": [
        {
            "symbol": "ETH",
            "market_id": 0,
            "status": "active",
            "taker_fee": "0",
            "min_base_amount": "0.005",
            "min_quote_amount": "10",
            "size_decimals": 4,
            "price_decimals": 2,
            "min_initial_margin_fraction": 200,
            "default_initial_margin_fraction": 500,
            "last_trade_price": 2000,
            "daily_quote_token_volume": 0,
            "daily_price_change": 0,
            "open_interest": 0,
        }
    ],
}


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Desk:
    """The adapter on a wire whose answers a test chose."""

    venue: Lighter
    served: Wire
    waited: list[float]

    def sign(self, *specs: OrderSpec, nonce: int = 5) -> bytes:
        deadline = self.venue.deadline(now(), timedelta(seconds=15))
        return self.venue.sign_orders(specs, ACCOUNT, PRIVATE_KEY, nonce, deadline)

    def send(self) -> OrderReport:
        [report] = self.venue.send(self.sign(SPEC), [SPEC.client_id], now())
        return report


@contextmanager
def desk(*answers: Any) -> Iterator[Desk]:
    waited: list[float] = []
    with wire(*answers) as served, client("lighter", attempts=1) as http:
        yield Desk(
            Lighter(
                http,
                data_url=served.url,
                trade_url=served.url,
                chain_id=TESTNET_CHAIN_ID,
                keys=lambda _account: PRIVATE_KEY,
                sleep=waited.append,
            ),
            served,
            waited,
        )


def order(status: str, filled: str = "0", quote: str = "0") -> dict[str, Any]:
    listed = {
        "order_index": 900,
        "client_order_index": 101,
        "status": status,
        "initial_base_amount": "0.02000",
        "filled_base_amount": filled,
        "filled_quote_amount": quote,
    }
    return {"code": 200, "orders": [listed]}


def refused(code: int) -> Answer:
    return Answer(json.dumps({"code": code, "message": "no"}), status=400)


def test_the_sdk_is_never_imported() -> None:
    code = (
        "import sys; from agentwhere_core.venues.lighter import signer; signer.new_api_key(); "
        "print(sorted({'lighter', 'aiohttp', 'urllib3'} & sys.modules.keys()))"
    )
    root = Path(__file__).parents[2]
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


def test_numbers_go_out_whole_and_exact() -> None:
    with desk({}) as at:
        [sent] = transactions_in(at.sign(SPEC))
    assert (sent["BaseAmount"], sent["Price"], sent["ClientOrderIndex"]) == (2000, 1042375, 101)
    assert (sent["AccountIndex"], sent["ApiKeyIndex"], sent["Nonce"]) == (7, 4, 5)
    assert (sent["Type"], sent["TimeInForce"], sent["ReduceOnly"]) == (1, 0, 0)
    assert (sent["TriggerPrice"], sent["OrderExpiry"], sent["IsAsk"]) == (0, 0, 0)


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, size=Decimal("0.000001")),
        replace(SPEC, limit_price=Decimal("104237.55")),
        replace(SPEC, size=Decimal(0)),
        replace(SPEC, limit_price=Decimal(2**32)),
        replace(SPEC, size_decimals=None),
        replace(SPEC, price_decimals=None),
        replace(SPEC, client_id="0x12"),
        replace(SPEC, client_id="0"),
        replace(SPEC, client_id=str(2**48)),
        replace(SPEC, trigger_price=Decimal(90_000)),
    ],
)
def test_nothing_is_rounded_or_guessed_while_signing(spec: OrderSpec) -> None:
    with desk({}) as at, pytest.raises(InvariantError):
        at.sign(spec)
    assert at.served.received == []


@pytest.mark.parametrize(
    ("specs", "tx_type", "grouping", "amounts"),
    [
        ((SPEC,), 14, None, [2000]),
        ((STOP,), 14, None, [2000]),
        ((SPEC, STOP), 28, 1, [2000, 0]),
        ((SPEC, PROFIT, STOP), 28, 3, [2000, 0, 0]),
        ((PROFIT, STOP), 28, 2, [2000, 2000]),
    ],
)
def test_what_belongs_together_is_sent_together(
    specs: tuple[OrderSpec, ...], tx_type: int, grouping: int | None, amounts: list[int]
) -> None:
    """What an entry triggers has no amount of its own: it closes the position, whatever it is by then."""
    with desk({}) as at:
        payload = at.sign(*specs)
    [sent] = transactions_in(payload)
    orders = sent.get("Orders", [sent])
    assert payload.startswith(f"tx_type={tx_type}&".encode())
    assert sent.get("GroupingType") == grouping
    assert [one["BaseAmount"] for one in orders] == amounts
    kinds = {OrderPurpose.ENTRY: 1, OrderPurpose.STOP_LOSS: 2, OrderPurpose.TAKE_PROFIT: 4}
    assert [one["Type"] for one in orders] == [kinds[spec.purpose] for spec in specs]


@pytest.mark.parametrize("specs", [(STOP,), (SPEC, STOP), (SPEC, PROFIT, STOP), (PROFIT, STOP)])
def test_what_waits_for_a_trigger_lapses_at_one_moment(specs: tuple[OrderSpec, ...]) -> None:
    """Lighter refuses a pair of which one lapses a millisecond after the other."""
    deadline = now() + timedelta(minutes=11)
    with desk({}) as at:
        [sent] = transactions_in(at.venue.sign_orders(specs, ACCOUNT, PRIVATE_KEY, 1, deadline))
    lapse_ms = to_ms(deadline + timedelta(days=28))
    assert [one["OrderExpiry"] for one in sent.get("Orders", [sent])] == [
        lapse_ms if spec.trigger_price else 0 for spec in specs
    ]


@pytest.mark.parametrize("specs", [(), (SPEC, SPEC), (STOP, SPEC), (SPEC, STOP, PROFIT, STOP)])
def test_groups_that_the_venue_does_not_have_are_not_signed(specs: tuple[OrderSpec, ...]) -> None:
    with desk({}) as at, pytest.raises(InvariantError):
        at.sign(*specs)


def test_bytes_never_outlive_the_deadline_that_the_ledger_keeps() -> None:
    soon = now() + timedelta(seconds=15)
    with desk({}) as at, pytest.raises(InvariantError, match="longer than its deadline"):
        at.venue.sign_orders([SPEC], ACCOUNT, PRIVATE_KEY, 1, soon)


def test_a_machine_that_is_slow_to_sign_keeps_the_deadline() -> None:
    with desk({}) as at:
        fixed = at.venue.deadline(now() - timedelta(seconds=20), timedelta(seconds=15))
        [signed] = transactions_in(at.venue.sign_orders([SPEC], ACCOUNT, PRIVATE_KEY, 1, fixed))
    assert signed["ExpiredAt"] <= fixed.timestamp() * 1000


def test_several_cancels_take_nonces_in_a_row() -> None:
    with desk({"code": 200, "tx_hash": ["a", "b"]}) as at:
        deadline = at.venue.deadline(now(), timedelta(seconds=15))
        payload = at.venue.sign_cancel([STOP, PROFIT], ACCOUNT, PRIVATE_KEY, 8, deadline)
        assert at.venue.send(payload, [], now()) == []
    assert [(one["Index"], one["Nonce"]) for one in transactions_in(payload)] == [
        (102, 8),
        (103, 9),
    ]


@pytest.mark.parametrize(
    "account",
    [
        replace(ACCOUNT, signer_address="0xabc"),
        replace(ACCOUNT, signer_address="7"),
        replace(ACCOUNT, signer_address="8:4"),
        replace(ACCOUNT, venue=Venue.OSTIUM),
    ],
)
def test_an_account_must_name_its_api_key(account: VenueAccount) -> None:
    with pytest.raises(ConfigurationError):
        api_key_of(account)


@pytest.mark.parametrize("key", ["zz", "ab" * 32, "", "0x"])
def test_a_wrong_key_is_named_and_never_shown(key: str) -> None:
    with pytest.raises(ConfigurationError, match="no private key") as raised:
        Signer(TESTNET_CHAIN_ID).learn(ApiKey(7, 4), key)
    assert len(key) < 3 or key not in str(raised.value)


def test_the_signer_serves_several_threads_and_keys_at_once() -> None:
    signer = Signer(TESTNET_CHAIN_ID)
    keys = [ApiKey(account, 4) for account in range(10, 14)]
    for key in keys:
        signer.learn(key, new_api_key()[0])
    wish = WireOrder(1, 5, 100, 100, False, 1, 0, False, 0, 0)

    def sign(number: int) -> tuple[int, int]:
        sent = json.loads(signer.order(keys[number % 4], wish, number).info)
        return sent["AccountIndex"], sent["Nonce"]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(sign, range(40))) == [(10 + n % 4, n) for n in range(40)]


@pytest.mark.parametrize(
    ("status", "filled", "state", "reason"),
    [
        ("in-progress", "0", OrderState.ACKED, None),
        ("pending", "0", OrderState.ACKED, None),
        ("open", "0", OrderState.ACKED, None),
        ("open", "0.01", OrderState.PARTIAL, None),
        ("filled", "0.02", OrderState.FILLED, None),
        ("canceled", "0", OrderState.CANCELLED, None),
        ("canceled", "0.01", OrderState.CANCELLED, None),
        ("canceled-too-much-slippage", "0", OrderState.REJECTED, Reason.NOT_FILLED),
        ("canceled-too-much-slippage", "0.01", OrderState.CANCELLED, Reason.NOT_FILLED),
        ("canceled-not-enough-liquidity", "0", OrderState.REJECTED, Reason.NOT_FILLED),
        ("canceled-margin-not-allowed", "0", OrderState.REJECTED, Reason.UNFUNDED),
        ("canceled-reduce-only", "0", OrderState.CANCELLED, Reason.POSITION_CLOSED),
        ("canceled-oco", "0", OrderState.CANCELLED, Reason.POSITION_CLOSED),
        ("canceled-child", "0", OrderState.CANCELLED, Reason.POSITION_CLOSED),
        ("canceled-liquidation", "0", OrderState.CANCELLED, Reason.POSITION_CLOSED),
        ("canceled-something-new", "0", OrderState.CANCELLED, None),
    ],
)
def test_every_status_has_its_state(
    status: str, filled: str, state: OrderState, reason: Reason | None
) -> None:
    with desk(order(status, filled, str(Decimal(filled) * 100_000))) as at:
        report = at.venue.look_up(ACCOUNT, "101")
    assert report is not None
    assert (report.state, report.reason) == (state, reason)
    assert report.filled_size == Decimal(filled)
    assert report.average_price == (100_000 if Decimal(filled) else None)
    assert (report.venue_order_id, report.detail) == ("900", status)


def test_a_status_that_nobody_knows_proves_nothing() -> None:
    with desk(order("resting")) as at, pytest.raises(MalformedReplyError, match="not one we know"):
        at.venue.look_up(ACCOUNT, "101")


def test_200_is_not_execution() -> None:
    """An order that the venue does not list yet is in doubt, however friendly the answer was."""
    with desk(QUEUED, NOBODY) as at:
        report = at.send()
    assert (report.state, report.reason) == (OrderState.UNKNOWN, Reason.OUTCOME_UNCLEAR)
    assert len(at.waited) == 2
    assert max(at.waited) <= 1


def test_200_is_followed_by_a_look_at_the_books() -> None:
    with desk(QUEUED, order("filled", "0.02", "2080")) as at:
        report = at.send()
    assert (report.state, report.average_price) == (OrderState.FILLED, 104_000)


def test_books_that_cannot_be_asked_leave_the_order_in_doubt() -> None:
    with desk(QUEUED, Answer("", status=502)) as at:
        assert at.send().state is OrderState.UNKNOWN


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (21739, Reason.UNFUNDED),
        (21706, Reason.BELOW_MINIMUM),
        (21120, Reason.VENUE_REJECTED),
        (29999, Reason.VENUE_REJECTED),
    ],
)
def test_a_refusal_is_definite(code: int, reason: Reason) -> None:
    with desk(refused(code)) as at:
        report = at.send()
    assert (report.state, report.reason) == (OrderState.REJECTED, reason)


@pytest.mark.parametrize("code", [21104, 21728])
def test_a_refusal_that_a_repetition_would_get_is_not(code: int) -> None:
    with desk(refused(code), NOBODY) as at:
        assert at.send().state is OrderState.UNKNOWN
    with desk(refused(code), order("filled", "0.02", "2080")) as at:
        assert at.send().state is OrderState.FILLED


def test_bytes_whose_time_is_over_are_refused_unless_a_copy_came_before() -> None:
    with desk(refused(21111), NOBODY) as at:
        assert at.send().state is OrderState.REJECTED
    with desk(refused(21111), Answer("", status=502)) as at:
        assert at.send().state is OrderState.UNKNOWN
    with desk(refused(21111), order("filled", "0.02", "2080")) as at:
        assert at.send().state is OrderState.FILLED


def test_bytes_of_which_a_part_is_listed_came_whole_however_old_they_are() -> None:
    entry = order("filled", "0.02", "2080")
    with desk(refused(21111), entry, entry) as at:
        sent = at.venue.send(at.sign(SPEC, STOP), [SPEC.client_id, STOP.client_id], now())
    assert [report.state for report in sent] == [OrderState.FILLED, OrderState.UNKNOWN]


def test_a_refused_action_without_orders_is_an_error() -> None:
    with desk(refused(21714)) as at:
        deadline = at.venue.deadline(now(), timedelta(seconds=15))
        payload = at.venue.sign_cancel([STOP], ACCOUNT, PRIVATE_KEY, 8, deadline)
        with pytest.raises(RefusedError):
            at.venue.send(payload, [], now())


def test_an_order_of_long_ago_is_found_among_the_inactive() -> None:
    page = {"code": 200, "orders": [], "next_cursor": "2"}
    with desk(NOBODY, page, order("filled", "0.02", "2080")) as at:
        report = at.venue.look_up(ACCOUNT, "101")
    assert report is not None
    assert report.state is OrderState.FILLED


@pytest.mark.parametrize(
    ("key_index", "nonce", "status", "is_ours", "void"),
    [
        (4, 5, 2, False, True),
        (4, 5, 0, True, True),
        (4, 5, 2, True, False),
        (4, 5, 1, True, False),
        (4, 6, 2, False, False),
        (9, 5, 2, False, False),
    ],
)
def test_bytes_are_void_when_another_request_took_their_nonce(
    key_index: int, nonce: int, status: int, is_ours: bool, void: bool
) -> None:
    with desk({"code": 200, "txs": []}) as at:
        payload = at.sign(SPEC)
        [sent] = transactions_in(payload)
        info = json.dumps(sent if is_ours else sent | {"Sig": "another"})
        tx = {"api_key_index": key_index, "nonce": nonce, "status": status, "info": info}
        assert not at.venue.is_void(ACCOUNT, payload)
        at.served.answers[:] = [Answer(json.dumps({"code": 200, "txs": [tx]}))]
        assert at.venue.is_void(ACCOUNT, payload) is void


def test_an_account_that_does_not_exist_is_told_from_an_empty_one() -> None:
    with desk(refused(21100)) as at, pytest.raises(NotFoundError, match="no account 7"):
        at.venue.account_state(ACCOUNT, now())
    with desk(refused(20013)) as at, pytest.raises(RefusedError, match="20013"):
        at.venue.account_state(ACCOUNT, now())


def trade(number: int, at_ms: int, **changes: Any) -> dict[str, Any]:
    return {
        "trade_id": number,
        "type": "trade",
        "market_id": 0,
        "size": "0.5",
        "price": "2000",
        "usd_amount": "1000",
        "timestamp": at_ms,
        "ask_id": 1,
        "bid_id": 2,
        "ask_client_id": 0,
        "bid_client_id": 101,
        "ask_account_id": 99,
        "bid_account_id": 7,
        "is_maker_ask": True,
    } | changes


def page(*trades: dict[str, Any], cursor: str | None = None) -> dict[str, Any]:
    return {"code": 200, "trades": list(trades), "next_cursor": cursor}


def test_fills_come_from_all_pages_oldest_first_and_once() -> None:
    since = moment(1_777_000_000)
    newest = trade(3, 1_777_000_003_000), trade(2, 1_777_000_002_000)
    older = trade(2, 1_777_000_002_000), trade(1, 1_777_000_001_000), trade(0, 1_776_999_999_000)
    with desk(page(*newest, cursor="a"), page(*older, cursor="b"), NAMES) as at:
        fills = at.venue.fills(ACCOUNT, since)
    assert [fill.fill_id for fill in fills] == ["1", "2", "3"]
    assert {fill.token for fill in fills} == {"ETH"}
    assert {fill.client_id for fill in fills} == {"101"}


def test_fees_are_parts_of_a_million_and_liquidations_are_told() -> None:
    paid = trade(1, 1_777_000_001_000, taker_fee=200, maker_fee=20, bid_account_pnl="-3.5")
    forced = trade(
        2, 1_777_000_002_000, type="liquidation", ask_account_id=7, bid_account_id=99,
        is_maker_ask=False, ask_client_id=0,
    )  # fmt: skip
    with desk(page(forced, paid), NAMES) as at:
        first, second = at.venue.fills(ACCOUNT, moment(1_777_000_000))
    assert (first.side, first.fee_usd, first.closed_pnl_usd) == (
        OrderSide.BUY,
        Decimal("0.2"),
        Decimal("-3.5"),
    )
    assert (second.side, second.is_liquidation, second.client_id) == (OrderSide.SELL, True, None)


def test_a_trade_with_oneself_has_two_sides() -> None:
    with desk(page(trade(1, 1_777_000_001_000, ask_account_id=7)), NAMES) as at:
        fills = at.venue.fills(ACCOUNT, moment(1_777_000_000))
    assert [(fill.fill_id, fill.side) for fill in fills] == [
        ("1:SELL", OrderSide.SELL),
        ("1:BUY", OrderSide.BUY),
    ]


def test_trades_of_what_is_no_perpetual_are_not_ours() -> None:
    with desk(page(trade(1, 1_777_000_001_000, market_id=2048)), NAMES) as at:
        assert at.venue.fills(ACCOUNT, moment(1_777_000_000)) == []


def test_a_recorded_trade_is_read() -> None:
    if not RECORDED.is_dir():
        pytest.skip(f"the recordings are not beside the project: no {RECORDED}")
    recorded = (RECORDED / "http_recent_trades.json").read_text()
    mine = replace(ACCOUNT, address="719347", signer_address="719347:4")
    with desk(Answer(recorded), NAMES) as at:
        [fill] = at.venue.fills(mine, moment(1_777_000_000))
    assert (fill.side, fill.size, fill.price) == (
        OrderSide.SELL,
        Decimal("0.0005"),
        Decimal("2361.31"),
    )
    assert fill.fee_usd == 0


def test_money_that_moves_without_a_trade_is_told() -> None:
    payment = {"timestamp": 1_777_000_100, "market_id": 0, "funding_id": 3, "change": "-0.5"}
    transfer = {"id": "9", "amount": "250", "timestamp": 1_777_000_050_000, "asset_id": 3}
    account = {
        "l1_address": "0xabc",
        "available_balance": "1",
        "total_asset_value": "1",
        "positions": [],
    }
    with desk(
        {"code": 200, "position_fundings": [payment]},
        NAMES,
        {"code": 200, "accounts": [account]},
        {"code": 200, "deposits": [transfer | {"status": s} for s in ("completed", "pending")]},
        {"code": 200, "withdraws": [transfer | {"status": "claimable"}, transfer | {"status": "failed"}]},
    ) as at:  # fmt: skip
        flows = at.venue.cash_flows(ACCOUNT, moment(1_777_000_000))
    assert [(flow.kind, flow.amount_usd) for flow in flows] == [
        (CashFlowKind.DEPOSIT, 250),
        (CashFlowKind.WITHDRAWAL, -250),
        (CashFlowKind.FUNDING, Decimal("-0.5")),
    ]
    assert flows[-1].at == moment(1_777_000_100_000)
