"""What every simulated service shares: a clock, a seed, a memory and the faults that tests order.

A service module exposes ``routes(world) -> list[Route]`` and keeps what must survive a restart in ``world.db``
(``world.db.define`` for its tables). Work that time alone causes (triggers, funding) is registered with ``on_tick``.

Two clocks, on purpose: ``now`` is the simulated time that prices, posts, funding and fills live in
and that ``/control`` may move; ``wall_ms`` is the real time that a signed request's nonce and
expiry are checked against, because its signer has no other. A test that keeps its own time may let
both pass together.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from agentwhere_sim.database import Database
from agentwhere_sim.faults import Faults
from agentwhere_sim.hours import MarketHours
from agentwhere_sim.prices import Prices

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class World:
    """Hold the state that the simulated services have in common.

    Attributes
    ----------
    home
        Folder of ``world.sqlite``.
    seed
        Seed of everything random; remembered with the home, so a restart with another value changes nothing.
    genesis
        Simulated instant of the home's first start.
    """

    def __init__(self, home: Path, seed: int) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.db = Database(home / "world.sqlite")
        self.faults = Faults(self.db, self.wall_ms)
        self._ticks: list[Callable[[], None]] = []
        self._resets: list[Callable[[], None]] = []
        self._configured_seed = seed
        self._load()
        self.hours = MarketHours(self.db)
        self.prices = Prices(self)

    def _load(self) -> None:
        self.seed = int(self.db.get("seed") or self._configured_seed)
        self.db.put("seed", str(self.seed))
        self._offset = timedelta(seconds=float(self.db.get("clock_offset_s") or 0))
        self._passed_s = float(self.db.get("clock_passed_s") or 0)
        frozen = self.db.get("clock_frozen_at")
        self._frozen = None if frozen is None else datetime.fromisoformat(frozen)
        genesis = self.db.get("genesis")
        self.genesis = self.now() if genesis is None else datetime.fromisoformat(genesis)
        self.db.put("genesis", self.genesis.isoformat())

    def now(self) -> datetime:
        """Tell the simulated time (UTC)."""
        return self._frozen if self._frozen is not None else datetime.now(UTC) + self._offset

    def now_ms(self) -> int:
        """Tell the simulated time in milliseconds since 1970."""
        return int(self.now().timestamp() * 1000)

    def wall_ms(self) -> int:
        """Tell the real time in milliseconds since 1970: what clients sign with."""
        return time.time_ns() // 1_000_000 + int(self._passed_s * 1000)

    def set_clock(self, now: datetime, *, frozen: bool = False) -> None:
        """Move the simulated time; it runs on from there at real speed unless ``frozen``."""
        self._frozen = now if frozen else None
        self._offset = now - datetime.now(UTC)
        self.db.put("clock_frozen_at", now.isoformat() if frozen else None)
        self.db.put("clock_offset_s", str(self._offset.total_seconds()))
        self.tick()

    def advance_clock(self, seconds: float) -> None:
        """Move the simulated time by ``seconds``, keeping a frozen clock frozen."""
        self.set_clock(self.now() + timedelta(seconds=seconds), frozen=self._frozen is not None)

    def pass_time(self, seconds: float) -> None:
        """Let ``seconds`` pass for everything, signed requests included."""
        self._passed_s += seconds
        self.db.put("clock_passed_s", str(self._passed_s))
        self.advance_clock(seconds)

    @property
    def clock_is_frozen(self) -> bool:
        """Whether the simulated time stands still."""
        return self._frozen is not None

    def on_tick(self, work: Callable[[], None]) -> None:
        """Register work that is due when time passes; it runs every second and after every clock or price change."""
        self._ticks.append(work)

    def tick(self) -> None:
        """Do what time has made due."""
        for work in self._ticks:
            work()

    def on_reset(self, work: Callable[[], None]) -> None:
        """Register work that rebuilds a service's state after the memory was wiped."""
        self._resets.append(work)

    def reset(self, begin: datetime | None = None) -> None:
        """Forget everything, as if the home were new: real time, no faults, no accounts, no orders, fresh posts.

        With ``begin`` the new world starts then, and its clock stands still: everything in it can be foretold.
        """
        with self.db.transaction():
            self.db.wipe()
            if begin is not None:
                self.db.put("clock_frozen_at", begin.isoformat())
            self.faults.reload()
            self.faults.forget()
            self._load()
            for work in self._resets:
                work()

    def close(self) -> None:
        """Close the memory."""
        self.db.close()
