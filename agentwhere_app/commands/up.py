"""``up``: the whole system, until Ctrl-C; ``sim``: the simulator by itself."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from agentwhere_app.output import Json, command, print_json
from agentwhere_core.domain.errors import AgentWhereError

if TYPE_CHECKING:
    from agentwhere_app.home import Running
    from agentwhere_app.probes import DagsterState
    from agentwhere_app.supervisor import Supervisor
    from agentwhere_flow.settings import Settings
    from agentwhere_flow.system import System

FIRST_PASS_WATCH_S = 180.0
LAST_STEPS = {"agent_metrics", "health_report", "routing_regret", "source_scores"}


@command
def up(as_json: Json = False) -> None:
    """Start everything: PostgreSQL, simulator, Dagster with schedules and sensors, API, dashboard. Ctrl-C stops it."""
    from agentwhere_app import home
    from agentwhere_app.supervisor import StoppedError, stop_on_signals

    settings = home.load_settings()
    with home.only_one_up(settings.home), stop_on_signals() as stop:
        settings = _choose_ports(settings)
        with _database(settings) as (settings, keep_database):
            from agentwhere_app.session import database_url_of
            from agentwhere_app.supervisor import Supervisor

            environment = home.service_environment(settings, database_url_of(settings))
            supervisor = Supervisor(settings, environment, say, stop, keep_database)
            try:
                _start(supervisor, as_json=as_json)
                supervisor.run()
                say("stopping")
            except StoppedError:
                say("stopping")
            finally:
                supervisor.shut_down()
    say("stopped")


@command
def sim(
    port: Annotated[int, typer.Option(help="TCP port on 127.0.0.1; 0 chooses a free one.")] = 8765,
    seed: Annotated[int, typer.Option(help="Seed of prices and posts (first start only).")] = 7,
    as_json: Json = False,
) -> None:
    """Run the simulator by itself: venues, X, feeds and language model by their wire protocols."""
    from agentwhere_app.home import REPOSITORY, load_settings

    folder = load_settings().home / "sim"
    folder.mkdir(parents=True, exist_ok=True)
    if as_json:
        print_json(
            {"port": port, "home": str(folder), "control": f"http://127.0.0.1:{port}/control"}
        )
        sys.stdout.flush()
    inherited = os.environ.get("PYTHONPATH", "")
    paths = os.pathsep.join([str(REPOSITORY), inherited]).rstrip(os.pathsep)
    arguments = ["--port", str(port), "--home", str(folder), "--seed", str(seed)]
    os.execve(  # noqa: S606  # the command becomes the simulator
        sys.executable,
        [sys.executable, "-m", "agentwhere_sim", *arguments],
        {**os.environ, "PYTHONPATH": paths},
    )


def say(text: str) -> None:
    """Tell a person what happened, with the time, on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _choose_ports(settings: Settings) -> Settings:
    """Return the settings with ports that are free, saying where one is not the usual."""
    from agentwhere_app.home import is_explicit, remember_sim_port
    from agentwhere_app.ports import choose_port
    from agentwhere_app.services import has_simulator

    wanted = {
        "dagster_port": "the Dagster UI",
        "code_server_port": "the code server",
        "api_port": "the API with the dashboard",
    }
    if has_simulator(settings):
        wanted = {"sim_port": "the simulator", **wanted}
    chosen: dict[str, int] = {}
    for name, service in wanted.items():
        choice = choose_port(
            f"AGENTWHERE_{name.upper()}",
            getattr(settings, name),
            explicit=is_explicit(name),
            taken=frozenset(chosen.values()),
        )
        if choice.instead_of is not None:
            say(f"port {choice.instead_of} is taken: {service} goes to {choice.port}")
        chosen[name] = choice.port
    if "sim_port" in chosen:
        remember_sim_port(settings.home, chosen["sim_port"])
    return settings.model_copy(update=chosen)


@contextmanager
def _database(settings: Settings) -> Iterator[tuple[Settings, Callable[[], object] | None]]:
    """Have the database for the length of `up`; the second value keeps the embedded one alive."""
    if settings.database_url is not None:
        yield settings, None
        return
    from pydantic import SecretStr

    from agentwhere_store.embedded import EmbeddedPostgres

    say("starting PostgreSQL")
    server = EmbeddedPostgres(settings.home)
    with server.running() as address:
        url = SecretStr(address.url())
        yield settings.model_copy(update={"database_url": url}), server.ensure_running


def _start(supervisor: Supervisor, *, as_json: bool) -> None:
    """Bring everything up in the order of need, and say where it is."""
    from agentwhere_app import services
    from agentwhere_app.home import record_running
    from agentwhere_flow.system import System

    settings = supervisor.settings
    simulated = services.has_simulator(settings)
    simulator = supervisor.launch(services.simulator(settings)) if simulated else None
    system = System(settings)
    try:
        _set_up(system)
        say("starting Dagster")
        services.check_workspace()
        code_server = supervisor.launch(services.code_server(settings))
        webserver = supervisor.launch(services.webserver(settings))
        api = supervisor.launch(services.api(settings))
        if simulator is not None:
            supervisor.await_ready(simulator)
            _create_demo(system)
        # A daemon that finds no code server fails its first ticks.
        supervisor.await_ready(code_server)
        daemon = supervisor.launch(services.daemon(settings))
        supervisor.await_ready(webserver)
        supervisor.await_ready(daemon)
        supervisor.await_ready(api)
        running = _running(settings)
        record_running(settings.home, running)
        _announce(settings, running, as_json=as_json)
        _follow_first_pass(supervisor, system)
    finally:
        system.close()


def _set_up(system: System) -> None:
    from agentwhere_flow.setup import setup

    say("setting up the database")
    for problem in setup(system, system.clock()).problems:
        say(f"to do: {problem}")


def _create_demo(system: System) -> None:
    from agentwhere_flow.settings import Profile

    if system.settings.profile is not Profile.SIM:
        return
    from agentwhere_flow.arena.demo import create_arena_demo
    from agentwhere_flow.demo import create_demo

    try:
        create_demo(system, system.clock())
        create_arena_demo(system, system.clock())
    except AgentWhereError as error:
        say(f"the demonstration could not be made in full, everything else goes on: {error}")


def _running(settings: Settings) -> Running:
    from agentwhere_app.home import Running
    from agentwhere_app.services import has_simulator
    from agentwhere_core.domain.time import utc_now

    return Running(
        pid=os.getpid(),
        started_at=utc_now().isoformat(),
        profile=settings.profile.value,
        sim_port=settings.sim_port if has_simulator(settings) else None,
        dagster_port=settings.dagster_port,
        code_server_port=settings.code_server_port,
        api_port=settings.api_port,
    )


def _announce(settings: Settings, running: Running, *, as_json: bool) -> None:
    from agentwhere_app.probes import dagster_state

    state = dagster_state(running.dagster_port)
    places = {
        "Dashboard": running.api_url,
        "Dagster UI": running.dagster_url,
        "Simulator": f"{running.sim_url}/control" if running.sim_url else None,
        "Home": str(settings.home),
        "Logs": str(settings.home / "logs"),
        "Profile": running.profile,
    }
    if as_json:
        names = {name.lower().replace(" ", "_"): place for name, place in places.items()}
        print_json({"ready": True, "pid": running.pid, **names})
        sys.stdout.flush()
        return
    _print_panel({name: place for name, place in places.items() if place}, state)


def _print_panel(places: dict[str, str], state: DagsterState | None) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for name, place in places.items():
        table.add_row(f"[bold]{name}[/bold]", place)
    if state is not None:
        at_work = f"{state.schedules_running} schedules and {state.sensors_running} sensors"
        table.add_row("[bold]Running[/bold]", at_work)
    Console().print(
        Panel(table, title="Agent Where is up", subtitle="Ctrl-C stops everything", expand=False)
    )


def _follow_first_pass(supervisor: Supervisor, system: System) -> None:
    """On a fresh database, tell how the first pass goes, step by step, while looking after the children."""
    from agentwhere_flow.triggers import FirstPass, first_pass
    from agentwhere_flow.views import steps_since

    if first_pass(system) is FirstPass.DONE:
        return
    say("the first pass starts by itself; its steps:")
    began, start, told = time.monotonic(), system.clock(), dict[UUID, str]()
    while not supervisor.stop and time.monotonic() - began < FIRST_PASS_WATCH_S:
        for step in steps_since(system, start):
            if step.id not in told:
                say(f"  {step.summary()}")
                told[step.id] = step.step
        if set(told.values()) >= LAST_STEPS:
            say(f"the first pass is done, {time.monotonic() - began:.0f} s after the start")
            return
        supervisor.watch()
        time.sleep(0.5)
