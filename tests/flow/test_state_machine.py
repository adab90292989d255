"""Plays of chance: whatever happens in whatever order, it ends with one order per intent and the venues' own truth.

A rule is one thing that can happen: a signal, a tick, a tick whose worker dies or is overtaken, a venue that
misbehaves, a price that runs, somebody who trades by hand, time, a kill switch. After each run the faults are taken
away and a few ticks pass; then our books are compared with the venues' own.

``PLAYS`` sets the number of runs: the default keeps CI short, the proof is ``PLAYS=500``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.exc import DBAPIError

from agentwhere_core.domain.enums import KillScope, Side, Venue
from agentwhere_core.domain.errors import AgentWhereError
from agentwhere_flow.execution import execute_orders
from agentwhere_flow.kill_switches import engage, release
from agentwhere_flow.positions import monitor_positions
from agentwhere_sim.testing import Simulator
from tests.conftest import Administration, ServerAddress
from tests.flow import books
from tests.flow.by_hand import Hand, SignedByHand
from tests.flow.scenes import place_signal
from tests.flow.stage import DEPLOYMENT, PRICES, VENUES, KilledError, Play, Stage, Worker

PLAYS = int(os.environ.get("PLAYS", "12"))
STEPS = 8
MOST_ROUNDS = 8
ROUND_S = 25
LONG_S = 11 * 60
MOST_SENDS = 6
TICKS = {"execute": execute_orders, "monitor": monitor_positions}
TOKENS = tuple(PRICES)
WIDE_BPS = Decimal(800)
Ending = tuple[str, int, str]
ENDINGS: st.SearchStrategy[Ending] = st.tuples(
    st.sampled_from(["lives", "lives", "dies", "is overtaken"]),
    st.integers(min_value=1, max_value=25),
    st.sampled_from(list(TICKS)),
)

# What each venue's wire can do: the services, and what tells orders from other requests.
SERVICES = {
    Venue.HYPERLIQUID: ("hyperliquid.exchange", "hyperliquid.info"),
    Venue.OSTIUM: ("ostium",),
    Venue.LIGHTER: ("lighter",),
}
WRITES = {
    Venue.HYPERLIQUID: '"signature"',
    Venue.OSTIUM: "eth_sendRawTransaction",
    Venue.LIGHTER: "tx_info",
}
KINDS = (
    "drop_before",
    "drop_after",
    "5xx",
    "5xx_after",
    "malformed",
    "duplicate",
    "429",
    "reject",
    "late",
    "down",
)
OWN_KINDS = {
    Venue.HYPERLIQUID: (),
    Venue.OSTIUM: ("keeper_dead", "stuck"),
    Venue.LIGHTER: ("sequencer_drop",),
}


class Trading(RuleBasedStateMachine):
    """One run."""

    stage: ClassVar[Stage]
    sim: ClassVar[Simulator]

    def __init__(self) -> None:
        super().__init__()
        self.play: Play
        self.worker: Worker
        self.outside: dict[Venue, set[str]] = {}

    @initialize(
        venues=st.sampled_from([*((venue,) for venue in VENUES), VENUES]), has_begun=st.booleans()
    )
    def begin(self, venues: tuple[Venue, ...], has_begun: bool) -> None:
        self.play = self.stage.open(venues)
        self.worker = self.play.worker()
        self.outside = {venue: set() for venue in venues}
        for venue in venues:
            self._place(TOKENS[0], Side.LONG, venue)
        if has_begun:
            self._work(self.worker, "execute")

    def teardown(self) -> None:
        if not hasattr(self, "play"):
            return
        try:
            self.come_to_rest()
            for venue in self.play.venues:
                adapter: Any = self.worker.system.venues[venue]
                account = self.play.accounts[venue]
                books.check(
                    self.worker.system, self.sim, adapter, account, outside=self.outside[venue]
                )
        finally:
            self.play.close()

    @rule(
        token=st.sampled_from(TOKENS),
        side=st.sampled_from(list(Side)),
        number=st.integers(0, 2),
        holding=st.sampled_from([None, None, "0"]),
        ending=ENDINGS,
    )
    def signal(
        self, token: str, side: Side, number: int, holding: str | None, ending: Ending
    ) -> None:
        """A signal comes, and is traded at once."""
        self._place(token, side, self._venue(number), holding)
        self.tick("execute", ending)

    @rule(kind=st.sampled_from(list(TICKS)), ending=ENDINGS)
    def tick(self, kind: str, ending: Ending) -> None:
        """A worker works: to the end, or until it dies, or with a sleep in which another one takes over."""
        way, boundary, other = ending
        if way == "lives":
            self._work(self.worker, kind)
        elif way == "dies":
            self._die(kind, boundary)
        else:
            self._be_overtaken(kind, boundary, other)

    def _place(self, token: str, side: Side, venue: Venue, holding: str | None = None) -> None:
        place_signal(
            self.worker.system,
            token,
            deployment=DEPLOYMENT,
            side=side,
            venue=venue,
            max_holding_h=holding,
        )

    def _work(self, worker: Worker, kind: str) -> None:
        TICKS[kind](worker.system, self.play.clock.now())

    def _die(self, kind: str, boundary: int) -> None:
        self.worker.fate.ordain(boundary, None)
        try:
            self._work(self.worker, kind)
        except KilledError:
            self.worker = self.play.worker()
        finally:
            self.worker.fate.forgive()

    def _be_overtaken(self, kind: str, boundary: int, other: str) -> None:
        second = self.play.worker()

        def overtake() -> None:
            with ThreadPoolExecutor(1) as elsewhere:
                elsewhere.submit(self._take_over, second, other).result()

        self.worker.fate.ordain(boundary % MOST_SENDS + 1, overtake)
        # It lost its lease, and says so: what it had not sent by then is not sent any more.
        with suppress(AgentWhereError, DBAPIError):
            self._work(self.worker, kind)
        self.worker.fate.forgive()

    def _take_over(self, second: Worker, kind: str) -> None:
        with second.system.engine.begin() as conn:
            conn.exec_driver_sql(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND granted "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        self._work(second, kind)

    @rule(first=st.sampled_from(list(TICKS)), second=st.sampled_from(list(TICKS)))
    def two_workers_at_once(self, first: str, second: str) -> None:
        other = self.play.worker()
        with ThreadPoolExecutor(2) as both:
            for run in (
                both.submit(TICKS[first], self.worker.system, self.play.clock.now()),
                both.submit(TICKS[second], other.system, self.play.clock.now()),
            ):
                run.result()

    @rule(
        number=st.integers(0, 2),
        kind=st.integers(0, 50),
        service=st.integers(0, 1),
        only_writes=st.booleans(),
        times=st.integers(1, 3),
        seconds=st.sampled_from([3, 18, 40, 700]),
        then=st.sampled_from(list(TICKS)),
        ending=ENDINGS,
    )
    def fault(  # noqa: PLR0917 - each is drawn
        self,
        number: int,
        kind: int,
        service: int,
        only_writes: bool,
        times: int,
        seconds: int,
        then: str,
        ending: Ending,
    ) -> None:
        """A venue misbehaves, and is met by a tick, perhaps with a fresh signal."""
        venue = self._venue(number)
        services = SERVICES[venue]
        kinds = (*KINDS, *OWN_KINDS[venue], *OWN_KINDS[venue])
        name = kinds[kind % len(kinds)]
        is_own = name in OWN_KINDS[venue]
        at = services[0] if only_writes or is_own else services[service % len(services)]
        # What a venue answers late is about a moment in the past; only what acts there matters.
        match = WRITES[venue] if (only_writes or name == "late") and not is_own else ""
        self.sim.fault(
            services[0] if name == "late" else at, name, count=times, seconds=seconds, match=match
        )
        if then == "execute":
            self._place(TOKENS[1], Side.SHORT, venue)
        self.tick(then, ending)

    @rule(
        token=st.sampled_from(TOKENS),
        percent=st.sampled_from([-60, -7, -2, 1, 3, 12, 90]),
        ending=ENDINGS,
    )
    def price_runs(self, token: str, percent: int, ending: Ending) -> None:
        price = Decimal(PRICES[token]) * (100 + percent) / 100
        self.sim.control("prices", **{token: str(price)})
        self.tick("monitor", ending)

    @rule(
        seconds=st.sampled_from([1, 20, 120, LONG_S]),
        then=st.sampled_from(list(TICKS)),
        ending=ENDINGS,
    )
    def time_passes(self, seconds: int, then: str, ending: Ending) -> None:
        self.play.clock.sleep(seconds)
        self.tick(then, ending)

    @precondition(lambda self: self.stops is False)
    @rule(closes=st.booleans())
    def stop_everything(self, closes: bool) -> None:
        self._switch(engage, close_all=closes)
        self.stops = True

    @precondition(lambda self: self.stops)
    @rule()
    def go_on(self) -> None:
        self._switch(release)
        self.stops = False

    stops = False

    def _switch(self, act: Any, **options: Any) -> None:
        now = self.play.clock.now()
        act(self.worker.system, now, KillScope.GLOBAL, reason="a play", by="chance", **options)

    @rule(
        number=st.integers(0, 2), token=st.sampled_from(TOKENS), part=st.sampled_from(["0.5", "1"])
    )
    def reduce_by_hand(self, number: int, token: str, part: str) -> None:
        venue = self._venue(number)
        self._by_hand(venue, lambda hand: hand.signed_reduction(token, Decimal(part)))
        self._work(self.worker, "monitor")

    @rule(number=st.integers(0, 2), token=st.sampled_from(TOKENS))
    def open_by_hand(self, number: int, token: str) -> None:
        venue = self._venue(number)
        self._by_hand(venue, lambda hand: hand.signed_open(token))
        self._work(self.worker, "execute")

    def _by_hand(self, venue: Venue, sign: Callable[[Hand], SignedByHand | None]) -> None:
        """Trade past the ledger; a venue that misbehaves just now is left alone."""
        system = self.worker.system
        adapter: Any = system.venues[venue]
        hand = Hand(system, self.play.accounts[venue], adapter)
        with suppress(AgentWhereError):
            signed = sign(hand)
            if signed is not None:
                self.outside[venue].add(signed.key)
                hand.send(signed)

    def _venue(self, number: int) -> Venue:
        return self.play.venues[number % len(self.play.venues)]

    def come_to_rest(self) -> None:
        """Take everything away that disturbs, and let ticks pass until no order is in doubt."""
        self.sim.http.delete("/control/faults").raise_for_status()
        if self.stops:
            self.go_on()
        system, clock = self.worker.system, self.play.clock
        for number in range(MOST_ROUNDS):
            clock.sleep(ROUND_S if number != MOST_ROUNDS // 2 else LONG_S)
            execute_orders(system, clock.now())
            report = monitor_positions(system, clock.now())
            if number > 0 and not books.unsettled(system) and not report.problems:
                break
        assert books.unsettled(system) == []
        assert report.problems == ()


@pytest.fixture
def stage(
    simulator_process: Simulator,
    postgres_server: ServerAddress,
    administration: Administration,
    template_database: str,
    tmp_path: Any,
) -> Iterator[Stage]:
    stage = Stage(
        simulator_process, postgres_server, administration, template_database, tmp_path / "home"
    )
    yield stage
    stage.close()


@pytest.mark.timeout(60 + 30 * PLAYS)
def test_whatever_happens_every_intent_ends_as_one_order_and_the_venues_truth(
    stage: Stage, simulator_process: Simulator
) -> None:
    play = type("Play", (Trading,), {"stage": stage, "sim": simulator_process})
    run_state_machine_as_test(
        play,
        settings=settings(
            max_examples=PLAYS,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # A run has a clock of its own, and shrinking would take hours: the failing one is printed whole.
            phases=[Phase.explicit, Phase.generate],
            print_blob=True,
        ),
    )
