"""What a command works with: a database that runs, a simulator where the profile has one, a `System` over both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from agentwhere_app import probes, services
from agentwhere_app.children import Child
from agentwhere_app.home import (
    find_running,
    is_explicit,
    load_settings,
    remember_sim_port,
    service_environment,
)
from agentwhere_app.ports import choose_port
from agentwhere_core.domain.errors import ConfigurationError, UnreachableError

if TYPE_CHECKING:
    from agentwhere_flow.settings import Settings
    from agentwhere_flow.system import System

SIMULATOR_READY_WITHIN_S = 30.0


@contextmanager
def open_system(*, simulator: bool = False) -> Iterator[System]:
    """Open the system of the home for one command.

    Parameters
    ----------
    simulator
        Whether the command talks to the outside: then a simulator is started for its length, where the profile has
        one and none runs.
    """
    from agentwhere_flow.system import System

    with ExitStack() as stack:
        stack.enter_context(_database_errors_explained())
        settings = stack.enter_context(open_database(load_settings()))
        if simulator:
            settings = stack.enter_context(open_simulator(settings))
        system = System(settings)
        stack.callback(system.close)
        yield system


@contextmanager
def open_database(settings: Settings) -> Iterator[Settings]:
    """Have the database running, and give the settings with its URL."""
    if settings.database_url is not None:
        yield settings
        return
    from pydantic import SecretStr

    from agentwhere_store.embedded import EmbeddedPostgres

    with EmbeddedPostgres(settings.home).running() as address:
        yield settings.model_copy(update={"database_url": SecretStr(address.url())})


@contextmanager
def open_simulator(settings: Settings) -> Iterator[Settings]:
    """Have the profile's simulator running, and give the settings with its port.

    Raises
    ------
    UnreachableError
        If it does not come up in time; the message names its log.
    """
    if not services.has_simulator(settings) or _is_ours(settings):
        yield settings
        return
    if find_running(settings.home) is not None:
        _await(lambda: _is_ours(settings), "the simulator of the running `up` does not answer")
        yield settings
        return
    chosen = choose_port(
        "AGENTWHERE_SIM_PORT",
        settings.sim_port,
        explicit=is_explicit("sim_port"),
        taken=frozenset(),
    )
    settings = settings.model_copy(update={"sim_port": chosen.port})
    remember_sim_port(settings.home, chosen.port)
    environment = service_environment(settings, database_url_of(settings))
    child = Child(
        services.simulator(settings), environment, settings.home / "logs", settings.home / "sim"
    )
    child.start()
    try:
        _await(child.is_ready, f"it did not come up; see {child.log_file}")
        yield settings
    finally:
        child.request_stop()
        child.finish()


def database_url_of(settings: Settings) -> str:
    """Return the database's URL; `open_database` has put it there."""
    if settings.database_url is None:
        from agentwhere_store.embedded import EmbeddedPostgres

        return EmbeddedPostgres(settings.home).url()
    return settings.database_url.get_secret_value()


@contextmanager
def _database_errors_explained() -> Iterator[None]:
    from sqlalchemy.exc import OperationalError, ProgrammingError

    try:
        yield
    except ProgrammingError as error:
        if type(error.orig).__name__ not in {"UndefinedTable", "UndefinedColumn"}:
            raise
        raise ConfigurationError(
            "the database lacks what this version needs: run `agentwhere setup`"
        ) from error
    except OperationalError as error:
        said = str(error.orig).splitlines()[0]
        raise UnreachableError("database", f"{said}. Start it, or check DATABASE_URL") from error


def _is_ours(settings: Settings) -> bool:
    return probes.simulator_home(settings.sim_port) == str(settings.home / "sim")


def _await(is_ready: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + SIMULATOR_READY_WITHIN_S
    while not is_ready():
        if time.monotonic() > deadline:
            raise UnreachableError("simulator", complaint)
        time.sleep(0.05)
