"""Run a whole system until told to stop: database, simulator, Dagster.

Everything is started on the main thread, and dies with it, also by ``kill -9``. What dies by itself is started again
with growing pauses, and said. Ctrl-C, SIGTERM or a closed terminal end everything in order: first what starts new work,
then what does it, last what it works on. A second Ctrl-C ends it at once.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from agentwhere_app.children import Child, ChildSpec
from agentwhere_core.domain.errors import AgentWhereError

if TYPE_CHECKING:
    from agentwhere_flow.settings import Settings

POLL_S = 0.2
READY_WITHIN_S = 120.0
DATABASE_CHECK_EVERY_S = 5.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Say = Callable[[str], None]


class StartFailedError(AgentWhereError):
    """A service did not come up; the message shows the end of its log."""


class StoppedError(AgentWhereError):
    """The system was told to stop while it was starting."""


@dataclass(slots=True)
class StopFlag:
    """Whether somebody asked the supervisor to stop, and how often."""

    times: int = 0

    def __bool__(self) -> bool:
        return self.times > 0

    def raise_if_set(self) -> None:
        """Leave a start-up that nobody wants any more."""
        if self.times:
            raise StoppedError("stopped while starting")


@contextmanager
def stop_on_signals() -> Iterator[StopFlag]:
    """Turn the signals that end a process into a flag, for the length of a block."""
    flag = StopFlag()

    def note(_number: int, _frame: FrameType | None) -> None:
        flag.times += 1

    before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(slots=True)
class Supervisor:
    """The processes of one home.

    Parameters
    ----------
    settings
        With the ports to use.
    environment
        For every process.
    say
        Tells people what happened.
    stop
        Set when it is time to end.
    keep_database
        Called every few seconds: starts the embedded database again if it has gone.
    """

    settings: Settings
    environment: Mapping[str, str]
    say: Say
    stop: StopFlag
    keep_database: Callable[[], object] | None = None
    children: list[Child] = field(default_factory=list)
    _database_checked: float = 0.0
    _database_lost: bool = False

    def launch(self, spec: ChildSpec) -> Child:
        """Start a process and keep it from now on."""
        folder = Path(self.environment["DAGSTER_HOME"])
        child = Child(spec, self.environment, self.settings.home / "logs", folder)
        child.start()
        self.children.append(child)
        return child

    def await_ready(self, child: Child, within_s: float = READY_WITHIN_S) -> None:
        """Wait until a child does its work.

        Raises
        ------
        StartFailedError
            If it died thrice or took too long; the message shows the end of its log.
        StoppedError
            If the system was told to stop meanwhile.
        """
        deadline = time.monotonic() + within_s
        while not child.is_ready():
            self.stop.raise_if_set()
            self.watch()
            if time.monotonic() > deadline or child.restarts >= 3:
                raise StartFailedError(
                    f"{child.spec.title} did not come up. The end of {child.log_file}:\n{child.log_tail()}"
                )
            time.sleep(POLL_S)

    def watch(self) -> None:
        """Look after all children and the database once."""
        for child in self.children:
            if news := child.watch():
                self.say(news)
        if self.keep_database is not None:
            self._look_after_database(self.keep_database)

    def run(self) -> None:
        """Look after everything until told to stop."""
        while not self.stop:
            self.watch()
            time.sleep(POLL_S)

    def shut_down(self) -> None:
        """End all children: first what starts new work, last what that work needs."""
        by_rank = groupby(sorted(self.children, key=_stop_rank), key=_stop_rank)
        for together in [list(group) for _, group in by_rank]:
            for child in together:
                child.request_stop()
            for child in together:
                if not child.finish():
                    self.say(f"{child.spec.title} did not end when asked and was killed")
        self.children.clear()

    def _look_after_database(self, keep: Callable[[], object]) -> None:
        now = time.monotonic()
        if now - self._database_checked < DATABASE_CHECK_EVERY_S:
            return
        try:
            keep()
        except AgentWhereError as error:
            if not self._database_lost:
                self.say(f"the database is gone: {error}")
            self._database_lost = True
        else:
            if self._database_lost:
                self.say("the database is back")
            self._database_lost = False
        self._database_checked = time.monotonic()


def _stop_rank(child: Child) -> int:
    return child.spec.stop_rank
