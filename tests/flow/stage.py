"""A stage for plays of chance: workers that may die or be overtaken anywhere, venues that misbehave, time that is ours.

The workers run the product's own steps on a real database and on the simulated venues' real wires. What is theirs to
suffer comes from outside: a worker dies where a transaction would commit, or before or after something is sent. Nobody
sleeps: who waits lets time pass, for the worker and for the venues alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any, cast

from psycopg import sql
from sqlalchemy import event

from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.time import utc_now
from agentwhere_core.domain.trade import OrderReport, VenueAccount
from agentwhere_core.http import HttpClient
from agentwhere_core.venues.hyperliquid import Hyperliquid
from agentwhere_core.venues.lighter import TESTNET_CHAIN_ID, Lighter
from agentwhere_core.venues.ostium import Ostium
from agentwhere_core.venues.protocol import Execution
from agentwhere_flow.demo import create_demo
from agentwhere_flow.markets import sync_markets
from agentwhere_flow.settings import Settings
from agentwhere_flow.setup import setup
from agentwhere_flow.system import System
from agentwhere_sim.testing import Simulator
from agentwhere_store import deployments as deployment_store
from tests.conftest import Administration, ServerAddress

DEPLOYMENT = "bold"
PRICES = {"BTC": "100000", "ETH": "4000"}
VENUES = (Venue.HYPERLIQUID, Venue.OSTIUM, Venue.LIGHTER)
HOST = "127.0.0.1"
OTHERS = "USING agentwhere.deployments d WHERE d.id = deployment_id AND d.name <> 'bold'"
ONLY_BOLD = (
    f"DELETE FROM agentwhere.venue_accounts {OTHERS}",
    f"DELETE FROM agentwhere.policies {OTHERS}",
    "DELETE FROM agentwhere.deployments WHERE name <> 'bold'",
)

numbers = count(1)


class KilledError(BaseException):
    """A worker dies here; nothing in the product catches it."""


class Fate:
    """Counts the boundaries that a worker passes, and lets something happen at one of them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._left = 0
        self._happening: Callable[[], None] | None = None
        self.is_dead = False

    def ordain(self, boundary: int, happening: Callable[[], None] | None) -> None:
        """Let ``happening`` take place at a boundary from now on, counted from one; None: the worker dies there.

        A worker dies anywhere. It only falls asleep outside of transactions: whoever takes over would wait for what an
        open one has locked, until the server ends it.
        """
        self._left, self._happening, self.is_dead = boundary, happening, False

    def forgive(self) -> bool:
        """Let the worker live on, or its successor; tell whether what was ordained took place."""
        took_place = self._left == 0
        self._left, self.is_dead = 0, False
        return took_place

    def pass_boundary(self, *, in_transaction: bool = False) -> None:
        """Pass a boundary, if one lives."""
        with self._lock:
            if self.is_dead:
                raise KilledError
            if self._left == 0 or (in_transaction and self._happening is not None):
                return
            self._left -= 1
            if self._left > 0:
                return
            if self._happening is None:
                self.is_dead = True
                raise KilledError
        self._happening()


class Mortal:
    """An adapter in a worker that may die before or after it sends."""

    def __init__(self, adapter: Execution, fate: Fate) -> None:
        self._adapter = adapter
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def send(self, payload: bytes, client_ids: Sequence[str], now: datetime) -> list[OrderReport]:
        self._fate.pass_boundary()
        reports = self._adapter.send(payload, client_ids, now)
        self._fate.pass_boundary()
        return reports


class Clock:
    """The time of the stage: real time, and what was let pass."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self._lock = Lock()
        self._passed_s = 0.0

    @property
    def passed_ms(self) -> int:
        return int(self._passed_s * 1000)

    def now(self) -> datetime:
        return utc_now() + timedelta(seconds=self._passed_s)

    def sleep(self, seconds: float) -> None:
        """Let time pass, at the venues first: a worker's clock is never ahead of them."""
        with self._lock:
            self._sim.control("clock", pass_s=seconds)
            self._passed_s += seconds


class TimedLighter(Lighter):
    """Lighter's adapter; its native signer takes the real time from the machine, and is given the stage's instead."""

    stage_clock: Clock

    def _in_time(self, payload: bytes) -> bytes:
        def later(found: re.Match[bytes]) -> bytes:
            return found[1] + str(int(found[2]) + self.stage_clock.passed_ms).encode()

        return re.sub(rb"(ExpiredAt%(?:5C%)?22%3A)(\d+)", later, payload)

    def sign_orders(self, *args: Any) -> bytes:
        return self._in_time(super().sign_orders(*args))

    def sign_cancel(self, *args: Any) -> bytes:
        return self._in_time(super().sign_cancel(*args))

    def sign_leverage(self, *args: Any) -> Any:
        payload = super().sign_leverage(*args)
        return payload if payload is None else self._in_time(payload)


@dataclass
class Worker:
    """A process that could run anywhere: its own connections, its own fate."""

    system: System
    fate: Fate
    closing: ExitStack

    def close(self) -> None:
        self.closing.close()
        self.system.close()


@dataclass
class Play:
    """One run: a fresh database and fresh venues."""

    stage: Stage
    sim: Simulator
    clock: Clock
    venues: tuple[Venue, ...]
    database: str
    accounts: dict[Venue, VenueAccount] = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)

    def worker(self) -> Worker:
        """Start a process."""
        settings = self.stage.settings(self.database)
        worker = Worker(System(settings, clock=self.clock.now), Fate(), ExitStack())
        adapters = {
            venue: Mortal(self._adapter(worker, venue), worker.fate) for venue in self.venues
        }
        worker.system.__dict__["venues"] = cast("dict[Venue, Execution]", adapters)
        engine = worker.system.engine
        event.listen(engine, "commit", lambda _conn: worker.fate.pass_boundary(in_transaction=True))
        self.workers.append(worker)
        return worker

    def _adapter(self, worker: Worker, venue: Venue) -> Execution:
        http = HttpClient(venue.value.lower(), allowed_hosts=frozenset({HOST}), attempts=1)
        worker.closing.callback(http.close)
        at = worker.system.endpoints
        if venue is Venue.HYPERLIQUID:
            url = at.hyperliquid_data
            return Hyperliquid(http, data_url=url, trade_url=url, is_mainnet=False)
        if venue is Venue.OSTIUM:
            return Ostium(
                http,
                data_url=at.ostium_data,
                subgraph_url=at.ostium_subgraph,
                chain=at.ostium_chain,
                receipt_wait_s=2.0,
                settle_wait_s=2.0,
                pause=self.clock.sleep,
            )
        adapter = TimedLighter(
            http,
            data_url=at.lighter_data,
            trade_url=at.lighter_trade,
            chain_id=TESTNET_CHAIN_ID,
            keys=lambda account: worker.system.secrets.get(account.key_name).get_secret_value(),
            sleep=self.clock.sleep,
            clock=self.clock.now,
        )
        adapter.stage_clock = self.clock
        return adapter

    def close(self) -> None:
        """End the run, and forget its database."""
        for worker in self.workers:
            worker.close()
        self.stage.drop(self.database)


class Stage:
    """What all runs share: a simulator, a database server, and a prepared database that each run copies."""

    def __init__(
        self,
        sim: Simulator,
        server: ServerAddress,
        administration: Administration,
        template: str,
        home: Path,
    ) -> None:
        self._sim = sim
        self._server = server
        self._administration = administration
        self._home = home
        self._prepared = self._copy(template)
        self._sim.control("reset")
        system = System(self.settings(self._prepared))
        setup(system, utc_now())
        create_demo(system, utc_now())
        for venue in VENUES:
            sync_markets(system, utc_now(), venue=venue)
        with system.engine.begin() as conn:
            for statement in ONLY_BOLD:
                conn.exec_driver_sql(statement)
            [bold] = deployment_store.deployments(conn)
        self._wallet, self._accounts = bold.subscriber_wallet, bold.accounts
        self._lighter_key = system.secrets.get("demo-bold-lighter-public").get_secret_value()
        system.close()

    def settings(self, database: str) -> Settings:
        port = int(self._sim.url.rsplit(":", 1)[1])
        url = self._server.url(database)
        return Settings(DATABASE_URL=url, home=self._home, sim_port=port)

    def open(self, venues: Sequence[Venue]) -> Play:
        """Begin a run at some of the venues."""
        sim = self._sim
        sim.control("reset")
        sim.control("prices", **PRICES)
        for account in self._accounts:
            wish = {"venue": account.venue.value, "address": self._wallet, "usdc": "10000"}
            if account.venue is Venue.LIGHTER:
                wish |= {"api_key_index": "4", "public_key": self._lighter_key}
            made = sim.control("accounts", **wish)
            # Accounts are numbered as they are opened, so that the database's copy stays true.
            assert str(made.get("account_index", account.address)) == account.address
        play = Play(self, sim, Clock(sim), tuple(venues), self._copy(self._prepared))
        play.accounts = {account.venue: account for account in self._accounts}
        return play

    def drop(self, database: str) -> None:
        self._administration.execute(
            sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database))
        )

    def close(self) -> None:
        """Forget the prepared database."""
        self.drop(self._prepared)

    def _copy(self, template: str) -> str:
        name = f"stage_{id(self)}_{next(numbers)}"
        copy = "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"
        names = sql.Identifier(name), sql.Identifier(template)
        self._administration.execute(sql.SQL(copy).format(*names))
        return name
