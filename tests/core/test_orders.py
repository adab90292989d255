"""The order state machine: what may follow what, and what an order in doubt is allowed to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from agentwhere_core.domain.enums import OrderPurpose, OrderState, Venue
from agentwhere_core.domain.errors import ConfigurationError, IllegalTransitionError
from agentwhere_core.domain.trade import OrderReport
from agentwhere_core.execution.client_ids import client_id, entry_key, exit_key, protection_key
from agentwhere_core.execution.orders import (
    ALLOWED,
    FINAL,
    Action,
    Lookup,
    is_final,
    keeps_risk_budget,
    move,
    next_action,
    permits_new_attempt,
    reported_state,
)

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
MARGIN = timedelta(seconds=5)
ACCEPTED = (OrderState.ACKED, OrderState.PARTIAL)
DOUBTFUL = (OrderState.SENDING, OrderState.UNKNOWN)
DEPLOYMENT = UUID(int=1)
SIGNAL = UUID(int=2)


def report(state: OrderState, filled: Decimal = Decimal(0)) -> OrderReport:
    return OrderReport("0x1", state, None, None, filled, None, "", {})


def ask(
    state: OrderState, lookup: OrderReport | Lookup | None, seconds_after_deadline: float
) -> Action:
    now = NOW + timedelta(seconds=seconds_after_deadline)
    return next_action(state, lookup, NOW, now, MARGIN)


def test_the_states_form_the_machine_of_the_design() -> None:
    arrows = {(a.value, b.value) for a, following in ALLOWED.items() for b in following}
    reportable = ("ACKED", "PARTIAL", "FILLED", "CANCELLED", "REJECTED")
    assert arrows == {
        ("PLANNED", "SENDING"),
        ("PLANNED", "CANCELLED"),
        *product(("SENDING",), (*reportable, "UNKNOWN")),
        *product(("UNKNOWN",), reportable),
        *product(("ACKED",), ("PARTIAL", "FILLED", "CANCELLED")),
        *product(("PARTIAL",), ("FILLED", "CANCELLED")),
    }
    assert set(ALLOWED) == set(OrderState)


@pytest.mark.parametrize(("current", "following"), list(product(OrderState, OrderState)))
def test_a_move_outside_the_machine_raises(current: OrderState, following: OrderState) -> None:
    if following in ALLOWED[current]:
        assert move(current, following) is following
    else:
        with pytest.raises(IllegalTransitionError, match=f"{current} to {following}"):
            move(current, following)


def test_final_states_are_never_left() -> None:
    assert set(FINAL) == {OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED}
    for state in OrderState:
        assert is_final(state) == (not ALLOWED[state])


def test_an_unknown_order_is_never_planned_or_sent_anew() -> None:
    assert not ALLOWED[OrderState.UNKNOWN] & {OrderState.PLANNED, OrderState.SENDING}


@pytest.mark.parametrize("state", OrderState)
def test_only_a_definite_end_without_fills_permits_a_new_attempt(state: OrderState) -> None:
    definite = state in {OrderState.REJECTED, OrderState.CANCELLED}
    assert permits_new_attempt(state, Decimal(0)) == definite
    assert not permits_new_attempt(state, Decimal("0.001"))


@pytest.mark.parametrize("state", OrderState)
def test_every_order_that_may_still_fill_keeps_its_risk_budget(state: OrderState) -> None:
    assert keeps_risk_budget(state) == (not is_final(state))


def test_a_planned_order_is_sent_before_its_deadline_and_cancelled_after() -> None:
    assert ask(OrderState.PLANNED, Lookup.NOT_YET, 0) is Action.SEND
    assert ask(OrderState.PLANNED, None, -1) is Action.SEND
    assert ask(OrderState.PLANNED, None, 0.001) is Action.CANCEL_UNSENT


@pytest.mark.parametrize("state", DOUBTFUL)
@pytest.mark.parametrize("seconds", [-10, 0, 3, 3600])
def test_a_doubtful_order_is_looked_up_before_anything_else(
    state: OrderState, seconds: float
) -> None:
    assert ask(state, Lookup.NOT_YET, seconds) is Action.LOOK_UP


@pytest.mark.parametrize("state", DOUBTFUL)
def test_absence_is_proven_only_after_deadline_and_margin(state: OrderState) -> None:
    assert ask(state, None, 0) is Action.RESEND
    assert ask(state, None, 0.001) is Action.WAIT
    assert ask(state, None, MARGIN.total_seconds()) is Action.WAIT
    assert ask(state, None, MARGIN.total_seconds() + 0.001) is Action.DECLARE_ABSENT


@pytest.mark.parametrize("state", DOUBTFUL)
@pytest.mark.parametrize("found", [s for s in OrderState if s in ALLOWED[OrderState.UNKNOWN]])
def test_what_a_lookup_finds_is_adopted_at_any_time(state: OrderState, found: OrderState) -> None:
    assert {ask(state, report(found), s) for s in (-10, 2, 600)} == {Action.ADOPT}
    assert move(state, found) is found


@pytest.mark.parametrize("state", DOUBTFUL)
def test_a_lookup_that_knows_the_order_but_not_its_state_settles_nothing(state: OrderState) -> None:
    assert ask(state, report(OrderState.UNKNOWN), 600) is Action.WAIT


@pytest.mark.parametrize("state", ACCEPTED)
def test_an_accepted_order_is_never_declared_absent(state: OrderState) -> None:
    assert ask(state, Lookup.NOT_YET, 600) is Action.LOOK_UP
    assert ask(state, None, 600) is Action.WAIT
    assert ask(state, report(OrderState.FILLED), 600) is Action.ADOPT
    assert ask(state, report(OrderState.ACKED), 600) is Action.WAIT


@pytest.mark.parametrize("state", sorted(FINAL))
@pytest.mark.parametrize("lookup", [Lookup.NOT_YET, None, report(OrderState.FILLED)])
def test_nothing_is_done_with_a_final_order(
    state: OrderState, lookup: OrderReport | Lookup | None
) -> None:
    assert ask(state, lookup, -1) is Action.NONE


@given(
    st.sampled_from(OrderState),
    st.one_of(st.none(), st.just(Lookup.NOT_YET), st.sampled_from(OrderState).map(report)),
    st.floats(-1e6, 1e6),
)
def test_bytes_leave_only_before_their_deadline(
    state: OrderState, lookup: OrderReport | Lookup | None, seconds: float
) -> None:
    action = ask(state, lookup, seconds)
    if action in {Action.SEND, Action.RESEND}:
        assert seconds <= 1e-6
    if action is Action.ADOPT:
        assert isinstance(lookup, OrderReport)
        target = reported_state(state, lookup.state)
        assert target is state or target in ALLOWED[state]


def test_an_accepted_order_that_the_venue_drops_is_cancelled_not_rejected() -> None:
    assert reported_state(OrderState.ACKED, OrderState.REJECTED) is OrderState.CANCELLED
    assert reported_state(OrderState.PARTIAL, OrderState.REJECTED) is OrderState.CANCELLED
    assert reported_state(OrderState.UNKNOWN, OrderState.REJECTED) is OrderState.REJECTED


def test_a_report_that_lags_behind_changes_nothing() -> None:
    assert reported_state(OrderState.PARTIAL, OrderState.ACKED) is OrderState.PARTIAL
    assert reported_state(OrderState.ACKED, OrderState.UNKNOWN) is OrderState.ACKED


@dataclass
class Book:
    """A venue that answers the same bytes once and for all, and refuses them after their deadline."""

    orders: dict[str, OrderState] = field(default_factory=dict)
    ever_accepted: list[str] = field(default_factory=list)

    def receive(self, client: str, state: OrderState) -> OrderState:
        if client not in self.orders:
            self.orders[client] = state
            if state is not OrderState.REJECTED:
                self.ever_accepted.append(client)
        return self.orders[client]


class LedgerAgainstVenue(RuleBasedStateMachine):
    """Sends one intent through losses, crashes and delays, doing only what `next_action` allows."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Book()
        self.now = NOW
        self.attempt = 0
        self.history: list[tuple[int, OrderState]] = []
        self.in_flight: list[tuple[str, OrderState]] = []

    @initialize()
    def first_attempt(self) -> None:
        self.plan()

    def plan(self) -> None:
        self.attempt += 1
        self.state = OrderState.PLANNED
        self.deadline = self.now + timedelta(seconds=15)
        self.client = client_id(Venue.HYPERLIQUID, entry_key(DEPLOYMENT, SIGNAL, 0), self.attempt)

    def become(self, state: OrderState) -> None:
        previous = self.state
        if state is not previous:
            self.state = move(previous, state)
        self.history.append((self.attempt, self.state))

    def send(self, outcome: OrderState, arrives: str) -> OrderState | None:
        """Return the venue's answer, or None if none comes back; ``late`` bytes may arrive at another time."""
        if arrives == "late":
            self.in_flight.append((self.client, outcome))
            return None
        if arrives == "never" or self.now > self.deadline:
            return None
        answer = self.book.receive(self.client, outcome)
        return answer if arrives == "yes" else None

    @rule(
        outcome=st.sampled_from([OrderState.ACKED, OrderState.FILLED, OrderState.REJECTED]),
        arrives=st.sampled_from(["late", "answer lost", "never", "yes"]),
        crash=st.booleans(),
    )
    def tick(self, outcome: OrderState, arrives: str, crash: bool) -> None:
        lookup: OrderReport | Lookup | None = Lookup.NOT_YET
        action = next_action(self.state, lookup, self.deadline, self.now, MARGIN)
        if action is Action.LOOK_UP:
            found = self.book.orders.get(self.client)
            lookup = None if found is None else report(found)
            action = next_action(self.state, lookup, self.deadline, self.now, MARGIN)
        if action in {Action.SEND, Action.RESEND}:
            if action is Action.SEND:
                self.become(OrderState.SENDING)
            answer = self.send(outcome, arrives)
            if not crash:
                self.become(answer or OrderState.UNKNOWN)
        elif action is Action.CANCEL_UNSENT:
            self.become(OrderState.CANCELLED)
        elif action is Action.DECLARE_ABSENT:
            self.become(OrderState.REJECTED)
        elif action is Action.ADOPT:
            assert isinstance(lookup, OrderReport)
            self.become(reported_state(self.state, lookup.state))

    @rule(seconds=st.sampled_from([4, 16]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        # The venue's clock runs behind ours by up to the margin: until then it takes late bytes.
        if self.now > self.deadline + MARGIN:
            self.in_flight.clear()

    @precondition(lambda self: self.in_flight)
    @rule()
    def late_bytes_arrive(self) -> None:
        client, outcome = self.in_flight.pop()
        self.book.receive(client, outcome)

    @rule(outcome=st.sampled_from([OrderState.PARTIAL, OrderState.FILLED, OrderState.CANCELLED]))
    def the_book_goes_on(self, outcome: OrderState) -> None:
        at_venue = self.book.orders.get(self.client)
        if at_venue is not None and outcome in ALLOWED[at_venue]:
            self.book.orders[self.client] = outcome

    @precondition(lambda self: permits_new_attempt(self.state, self.filled()))
    @rule()
    def try_again(self) -> None:
        self.plan()

    def filled(self) -> Decimal:
        at_venue = self.book.orders.get(self.client)
        return Decimal(at_venue in {OrderState.PARTIAL, OrderState.FILLED})

    @invariant()
    def the_venue_never_holds_two_orders_of_one_intent(self) -> None:
        alive = [
            client
            for client, state in self.book.orders.items()
            if state in {*ACCEPTED, OrderState.FILLED}
        ]
        assert len(alive) <= 1

    @invariant()
    def no_final_state_is_left(self) -> None:
        seen: set[int] = set()
        for attempt, state in self.history:
            assert attempt not in seen
            if is_final(state):
                seen.add(attempt)

    @invariant()
    def an_order_that_is_over_for_us_is_over_at_the_venue(self) -> None:
        if self.state in {OrderState.REJECTED, OrderState.CANCELLED}:
            assert self.book.orders.get(self.client) not in {*ACCEPTED, OrderState.FILLED}


TestLedgerAgainstVenue = LedgerAgainstVenue.TestCase
TestLedgerAgainstVenue.settings = settings(max_examples=200, stateful_step_count=20)


def test_a_client_id_is_the_same_after_every_restart() -> None:
    key = entry_key(DEPLOYMENT, SIGNAL, 0)
    assert client_id(Venue.HYPERLIQUID, key, 1) == client_id(Venue.HYPERLIQUID, key, 1)
    assert client_id(Venue.HYPERLIQUID, key, 1) == "0xdb82c74e3571e89e2b5b19b42331183f"
    assert client_id(Venue.LIGHTER, key, 1) == "262387856416919"


def test_client_ids_have_the_form_that_each_venue_takes() -> None:
    keys = [exit_key(UUID(int=n)) for n in range(500)]
    hyperliquid = {client_id(Venue.HYPERLIQUID, key, 1) for key in keys}
    lighter = {client_id(Venue.LIGHTER, key, 1) for key in keys}
    assert len(hyperliquid) == len(lighter) == len(keys)
    assert all(len(cid) == 34 and int(cid, 16) for cid in hyperliquid)
    assert all(0 < int(cid) < 2**48 and cid == str(int(cid)) for cid in lighter)


def ids_of_one_signal() -> Iterable[str]:
    for deployment, leg, purpose, attempt, venue in product(
        (UUID(int=1), UUID(int=3)),
        (0, 1),
        OrderPurpose,
        (1, 2),
        (Venue.HYPERLIQUID, Venue.LIGHTER, Venue.OSTIUM),
    ):
        yield client_id(venue, entry_key(deployment, SIGNAL, leg, purpose), attempt)
    for purpose in OrderPurpose:
        yield client_id(Venue.HYPERLIQUID, protection_key(SIGNAL, purpose), 1)
    yield client_id(Venue.HYPERLIQUID, exit_key(SIGNAL), 1)


def test_every_intent_and_attempt_has_an_id_of_its_own() -> None:
    ids = list(ids_of_one_signal())
    assert len(set(ids)) == len(ids)


def test_an_intent_without_a_venue_has_no_client_id() -> None:
    with pytest.raises(ConfigurationError, match="route it"):
        client_id(Venue.MULTI, exit_key(SIGNAL), 1)
    with pytest.raises(ConfigurationError, match="count from 1"):
        client_id(Venue.HYPERLIQUID, exit_key(SIGNAL), 0)
