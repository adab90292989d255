"""The order ledger: what the database itself refuses, and who may send."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from agentwhere_core.domain.enums import (
    OrderPurpose,
    OrderSide,
    OrderState,
    PolicyOutcome,
    RoutingStrategy,
    Venue,
)
from agentwhere_core.domain.errors import (
    IllegalTransitionError,
    InvariantError,
    LeaseHeldError,
)
from agentwhere_core.domain.idea import Signal
from agentwhere_core.domain.ids import new_id
from agentwhere_core.domain.reasons import Reason
from agentwhere_core.domain.routing import RoutingConfig, RoutingDecision
from agentwhere_core.domain.trade import (
    Deployment,
    Fill,
    Order,
    OrderReport,
    PolicyDecision,
    Submission,
)
from agentwhere_core.execution.client_ids import client_id, entry_key
from agentwhere_core.where.scene import Scene
from agentwhere_store import agents as agent_store
from agentwhere_store import deployments as deployment_store
from agentwhere_store import fills as fill_store
from agentwhere_store import open_orders
from agentwhere_store import orders as store
from agentwhere_store import policy as policy_store
from agentwhere_store import signals as signal_store
from agentwhere_store.agents import FollowedSources
from agentwhere_store.decisions import RoutedSignal, save_decisions
from agentwhere_store.engine import make_engine
from agentwhere_store.leases import Lease, lease
from tests.store import examples
from tests.store.examples import NOW

ENTRY = OrderPurpose.ENTRY
STOP = OrderPurpose.STOP_LOSS
LIVE = (
    OrderState.PLANNED,
    OrderState.SENDING,
    OrderState.UNKNOWN,
    OrderState.ACKED,
    OrderState.PARTIAL,
)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def held(engine: Engine) -> Iterator[Lease]:
    with lease(engine, "execution", "the test", NOW) as held:
        yield held


class Book:
    """A deployment with routed signals, and the orders that a test writes for them."""

    def __init__(self, engine: Engine, held: Lease) -> None:
        self.engine, self.held = engine, held
        agent = examples.agent()
        self.deployment: Deployment = examples.deployment(agent.id)
        self.account = self.deployment.accounts[0]
        self.nonce = 0
        with engine.begin() as conn:
            agent_store.create_agent(conn, agent, FollowedSources(), NOW)
            deployment_store.create_deployment(conn, self.deployment, NOW)

    def signal(self, token: str = "BTC") -> Signal:
        """Write a signal that passed its policy and was routed to Hyperliquid."""
        made = examples.signal(self.deployment.agent_id, token, batch=f"batch {new_id()}")
        decision = PolicyDecision(
            made.id, self.deployment.id, PolicyOutcome.PASSED, Decimal(5), Decimal(2), ()
        )
        routed = RoutedSignal(
            made,
            self.deployment.id,
            RoutingDecision(
                Venue.MULTI,
                Venue.HYPERLIQUID,
                Reason.SELECTED,
                "a test chose it",
                (),
                RoutingStrategy.FIRST_AVAILABLE,
                1,
                inputs={},
            ),
            new_id(),
            Decimal(500),
            Decimal(1),
        )
        with self.engine.begin() as conn:
            signal_store.insert_signals(conn, [made])
            policy_store.save_policy_decisions(conn, [decision], NOW)
            config = RoutingConfig((Venue.HYPERLIQUID,), RoutingStrategy.FIRST_AVAILABLE, True)
            scenes = {routed.scene_id: Scene(token, config, {}, NOW)}
            save_decisions(conn, scenes, [routed], NOW)
        return made

    def order(
        self,
        signal: Signal,
        purpose: OrderPurpose = ENTRY,
        attempt: int = 1,
        state: OrderState = OrderState.PLANNED,
    ) -> Order:
        """Return an order for a signal, not written yet."""
        key = entry_key(self.deployment.id, signal.id, 0, purpose)
        return Order(
            id=new_id(),
            submission_id=None,
            deployment_id=self.deployment.id,
            account_id=self.account.id,
            signal_id=signal.id,
            position_id=None,
            leg=0,
            attempt=attempt,
            purpose=purpose,
            venue=Venue.HYPERLIQUID,
            token=signal.token,
            market_name=signal.token,
            side=OrderSide.BUY if purpose is ENTRY else OrderSide.SELL,
            reduce_only=purpose is not ENTRY,
            size=Decimal("0.5"),
            limit_price=Decimal(100),
            trigger_price=None,
            leverage=Decimal(2),
            client_id=client_id(Venue.HYPERLIQUID, key, attempt),
            state=state,
            filled_size=Decimal(0),
            average_price=None,
            venue_order_id=None,
            reason=None,
        )

    def submission(self, nonce: int | None = None) -> Submission:
        """Return bytes to send, not written yet."""
        self.nonce += 1
        return Submission(
            id=new_id(),
            account_id=self.account.id,
            venue=Venue.HYPERLIQUID,
            signer_address=self.account.signer_address,
            nonce=self.nonce if nonce is None else nonce,
            deadline=NOW + timedelta(seconds=15),
            payload=b"bytes",
        )

    def plan(self, *orders: Order, nonce: int | None = None) -> Submission:
        """Write orders as one submission."""
        sent = self.submission(nonce)
        given = [replace(order, submission_id=sent.id) for order in orders]
        with self.engine.begin() as conn:
            store.plan(conn, sent, given, lease=self.held, routing_id=None, now=NOW)
        return sent

    def end(
        self, order: Order, state: OrderState, reason: Reason | None, filled: str = "0"
    ) -> None:
        """Move a planned order to a state by the way that the ledger goes."""
        with self.engine.begin() as conn:
            conn.execute(
                text("UPDATE agentwhere.orders SET state = 'SENDING' WHERE id = :id"),
                {"id": order.id},
            )
            sending = replace(order, state=OrderState.SENDING)
            store.record(conn, sending, report(order, state, reason, filled), NOW)

    def unplaced(self) -> list[tuple[str, int]]:
        """Return token and attempt of the entries that execution would place now."""
        with self.engine.begin() as conn:
            return [
                (item.signal.token, item.attempt)
                for item in open_orders.unplaced_entries(conn, NOW)
            ]


@pytest.fixture
def book(engine: Engine, held: Lease) -> Book:
    return Book(engine, held)


def report(
    order: Order, state: OrderState, reason: Reason | None = None, filled: str = "0"
) -> OrderReport:
    """Return a venue's word about an order."""
    return OrderReport(
        client_id=order.client_id,
        state=state,
        reason=reason,
        venue_order_id="77",
        filled_size=Decimal(filled),
        average_price=None,
        detail="",
        raw={},
    )


def set_state(conn: Connection, order: Order, state: OrderState, filled: str = "0") -> None:
    """Put an order into a state without asking whether it may go there."""
    conn.execute(
        text("UPDATE agentwhere.orders SET state = :state, filled_size = :filled WHERE id = :id"),
        {"state": state.value, "filled": Decimal(filled), "id": order.id},
    )


def states(engine: Engine) -> list[tuple[Any, ...]]:
    """Return purpose, attempt and state of every order."""
    with engine.begin() as conn:
        query = "SELECT purpose, attempt, state FROM agentwhere.orders ORDER BY purpose, attempt"
        return [tuple(row) for row in conn.execute(text(query))]


@pytest.mark.parametrize("state", LIVE)
def test_the_database_refuses_a_second_live_entry_for_one_intent(
    book: Book, engine: Engine, state: OrderState
) -> None:
    signal = book.signal()
    first = book.order(signal)
    book.plan(first)
    with engine.begin() as conn:
        set_state(conn, first, state)

    with pytest.raises(InvariantError, match="second order"):
        book.plan(book.order(signal, attempt=2))

    assert states(engine) == [("ENTRY", 1, state.value)]


def test_the_database_refuses_a_second_entry_once_one_filled_in_part(
    book: Book, engine: Engine
) -> None:
    signal = book.signal()
    first = book.order(signal)
    book.plan(first)
    with engine.begin() as conn:
        set_state(conn, first, OrderState.CANCELLED, filled="0.1")

    with pytest.raises(InvariantError, match="second order"):
        book.plan(book.order(signal, attempt=2))


@pytest.mark.parametrize("state", LIVE)
def test_the_database_refuses_a_second_pending_entry_in_a_token(
    book: Book, engine: Engine, state: OrderState
) -> None:
    first = book.order(book.signal("BTC"))
    book.plan(first)
    with engine.begin() as conn:
        set_state(conn, first, state)

    with pytest.raises(InvariantError, match="second order"):
        book.plan(book.order(book.signal("BTC")))
    book.plan(book.order(book.signal("ETH")))


def test_a_client_id_is_never_used_twice(book: Book, engine: Engine) -> None:
    signal, other = book.signal("BTC"), book.signal("ETH")
    first = book.order(signal)
    book.plan(first)

    with pytest.raises(InvariantError, match="second order"):
        book.plan(replace(book.order(other), client_id=first.client_id))


def test_a_nonce_is_used_by_one_submission_of_its_signer(book: Book) -> None:
    book.plan(book.order(book.signal("BTC")), nonce=5)

    with pytest.raises(InvariantError, match="nonce"):
        book.plan(book.order(book.signal("ETH")), nonce=5)


def test_a_refused_intent_leaves_nothing_behind(book: Book, engine: Engine) -> None:
    signal = book.signal()
    book.plan(book.order(signal))

    with pytest.raises(InvariantError):
        book.plan(book.order(signal, attempt=2))

    with engine.begin() as conn:
        counts = [
            conn.execute(text(f"SELECT count(*) FROM agentwhere.{table}")).scalar_one()
            for table in ("submissions", "orders", "order_events")
        ]
    assert counts == [1, 1, 1]


def test_nonces_grow_although_the_clock_stands_still_or_goes_back(
    engine: Engine, book: Book
) -> None:
    signer = book.account.signer_address
    with engine.begin() as conn:
        taken = [
            store.next_nonce(conn, Venue.HYPERLIQUID, signer, at)
            for at in (NOW, NOW, NOW - timedelta(hours=1), NOW + timedelta(seconds=1))
        ]
    first = taken[0]
    assert taken == [first, first + 1, first + 2, first + 1000]


def test_nonces_are_unique_among_threads(engine: Engine, book: Book) -> None:
    taken: list[int] = []

    def take() -> None:
        for _ in range(25):
            with engine.begin() as conn:
                taken.append(store.next_nonce(conn, Venue.HYPERLIQUID, "0xsigner", NOW))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == 100


def test_who_lost_the_lease_cannot_send(book: Book, engine: Engine, database_url: str) -> None:
    """The old holder's connection dies, another process takes over; the old one wakes up and must not send."""
    sent = book.plan(book.order(book.signal()))
    with engine.begin() as conn:
        conn.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )
    second = make_engine(database_url)
    with lease(second, "execution", "another", NOW, wait_s=10) as newer:
        assert newer.fencing_token > book.held.fencing_token
        with pytest.raises(LeaseHeldError), engine.begin() as conn:
            store.begin_sending(conn, book.held, sent.id, NOW)
        with pytest.raises(LeaseHeldError), engine.begin() as conn:
            store.check_lease(conn, book.held)
        assert states(engine) == [("ENTRY", 1, "PLANNED")]
        with engine.begin() as conn:
            store.begin_sending(conn, newer, sent.id, NOW)
    second.dispose()
    assert states(engine) == [("ENTRY", 1, "SENDING")]


def test_a_submission_begins_to_be_sent_once(book: Book, engine: Engine) -> None:
    sent = book.plan(book.order(book.signal()))
    with engine.begin() as conn:
        store.begin_sending(conn, book.held, sent.id, NOW)

    with pytest.raises(LeaseHeldError), engine.begin() as conn:
        store.begin_sending(conn, book.held, sent.id, NOW)


def test_what_was_read_before_another_moved_it_is_not_written(book: Book, engine: Engine) -> None:
    order = book.order(book.signal())
    book.plan(order)
    book.end(order, OrderState.FILLED, None, "0.5")

    stale = replace(order, state=OrderState.SENDING)
    with pytest.raises(InvariantError, match="no longer SENDING"), engine.begin() as conn:
        store.record(conn, stale, report(order, OrderState.UNKNOWN), NOW)
    assert states(engine) == [("ENTRY", 1, "FILLED")]


def test_a_final_order_never_moves_again(book: Book, engine: Engine) -> None:
    order = book.order(book.signal())
    book.plan(order)
    book.end(order, OrderState.FILLED, None, "0.5")

    filled = replace(order, state=OrderState.FILLED, filled_size=Decimal("0.5"))
    with pytest.raises(IllegalTransitionError), engine.begin() as conn:
        store.record(conn, filled, report(order, OrderState.CANCELLED), NOW)


@pytest.mark.parametrize("reason", [Reason.NEVER_SENT, Reason.NEVER_ARRIVED, Reason.NOT_FILLED])
def test_an_attempt_that_provably_left_nothing_is_repeated_under_a_new_number(
    book: Book, reason: Reason
) -> None:
    signal = book.signal()
    assert book.unplaced() == [("BTC", 1)]
    for attempt in (1, 2, 3):
        order = book.order(signal, attempt=attempt)
        book.plan(order)
        assert book.unplaced() == []
        book.end(order, OrderState.REJECTED, reason)
    assert book.unplaced() == [], "three attempts are enough"


@pytest.mark.parametrize("reason", [Reason.VENUE_REJECTED, Reason.UNFUNDED, None])
@pytest.mark.parametrize("state", [OrderState.REJECTED, OrderState.CANCELLED])
def test_an_order_that_ended_for_any_other_reason_is_not_repeated(
    book: Book, state: OrderState, reason: Reason | None
) -> None:
    """Cancelled without a reason may mean that its fills are not listed yet: that proves nothing."""
    order = book.order(book.signal())
    book.plan(order)
    book.end(order, state, reason)

    assert book.unplaced() == []


def test_an_entry_waits_until_the_protection_of_its_last_attempt_has_ended(
    book: Book, engine: Engine
) -> None:
    signal = book.signal()
    entry, stop = book.order(signal), book.order(signal, STOP)
    book.plan(entry, stop)
    book.end(entry, OrderState.REJECTED, Reason.NOT_FILLED)
    with engine.begin() as conn:
        set_state(conn, stop, OrderState.UNKNOWN)
    assert book.unplaced() == []

    with engine.begin() as conn:
        set_state(conn, stop, OrderState.REJECTED)

    assert book.unplaced() == [("BTC", 2)]
    book.plan(book.order(signal, attempt=2), book.order(signal, STOP, attempt=2))


def test_a_signal_that_expired_lately_is_handed_out_for_its_end_to_be_recorded(
    book: Book, engine: Engine
) -> None:
    book.signal()
    with engine.begin() as conn:
        assert len(open_orders.unplaced_entries(conn, NOW + timedelta(days=2))) == 1
        assert open_orders.unplaced_entries(conn, NOW + timedelta(days=8)) == []


@pytest.mark.parametrize("state", LIVE)
def test_every_unsettled_entry_is_looked_up_and_blocks_its_token(
    book: Book, engine: Engine, state: OrderState
) -> None:
    """An entry fills or ends at once: one that seems to rest hides news, and would block its token for ever."""
    order = book.order(book.signal())
    book.plan(order)
    with engine.begin() as conn:
        set_state(conn, order, state)
        found = open_orders.in_doubt(conn, [Venue.HYPERLIQUID])
        pending = open_orders.pending_tokens(conn, [book.account.id])
    assert [item.orders[0].id for item in found] == [order.id]
    assert pending == {book.account.id: frozenset({"BTC"})}


def test_a_stop_that_rests_is_not_in_doubt(book: Book, engine: Engine) -> None:
    signal = book.signal()
    entry, stop = book.order(signal), book.order(signal, STOP)
    book.plan(entry, stop)
    with engine.begin() as conn:
        set_state(conn, entry, OrderState.FILLED, filled="0.5")
        set_state(conn, stop, OrderState.ACKED)
        assert open_orders.in_doubt(conn, [Venue.HYPERLIQUID]) == []


def test_a_history_of_many_fills_is_stored_at_once_and_only_once(
    book: Book, engine: Engine
) -> None:
    """A statement takes 65,535 values; the first look at a busy account brings more."""
    fills = [
        Fill(
            venue=Venue.HYPERLIQUID,
            account_id=book.account.id,
            fill_id=str(number),
            venue_order_id="1",
            client_id=None,
            token="BTC" if number % 2 else "ETH",
            market_name="BTC" if number % 2 else "ETH",
            side=OrderSide.BUY,
            size=Decimal(1),
            price=Decimal(100),
            fee_usd=Decimal(0),
            closed_pnl_usd=Decimal(0),
            at=NOW + timedelta(seconds=number),
            is_liquidation=False,
            raw={},
        )
        for number in range(4000)
    ]
    with engine.begin() as conn:
        assert fill_store.insert_fills(conn, book.account.id, fills, NOW) == {"BTC", "ETH"}
        assert fill_store.insert_fills(conn, book.account.id, fills, NOW) == frozenset()
        assert len(fill_store.fills_in(conn, book.account.id, "BTC")) == 2000
