"""The processes of a home: what each is called, how it is started, and how one knows that it works."""

from __future__ import annotations

import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

from agentwhere_app import probes
from agentwhere_app.children import ChildSpec
from agentwhere_app.home import HOST, REPOSITORY
from agentwhere_core.domain.enums import Venue
from agentwhere_core.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from agentwhere_flow.settings import Settings

WORKSPACE = REPOSITORY / "workspace.yaml"


def check_workspace() -> None:
    """Make sure that Dagster can be told where the code is.

    Raises
    ------
    ConfigurationError
        If this is not a checkout of the repository.
    """
    if not WORKSPACE.exists():
        raise ConfigurationError(
            f"{WORKSPACE} is missing: run `up` from a checkout of the repository"
        )


def has_simulator(settings: Settings) -> bool:
    """Return whether the profile trades in the simulator."""
    return settings.trades_here


def simulator(settings: Settings) -> ChildSpec:
    """Venues, X, feeds and language model by their wire protocols; in ``paper`` it follows public prices."""
    home = settings.home / "sim"
    home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "agentwhere_sim", "--port", str(settings.sim_port)]
    for source in _public_prices(settings):
        command += ["--follow", source]
    return ChildSpec(
        name="simulator",
        title="Simulator",
        command=[*command, "--home", str(home)],
        is_ready=lambda: probes.simulator_home(settings.sim_port) == str(home),
        stop_rank=3,
    )


def _public_prices(settings: Settings) -> list[str]:
    from agentwhere_flow.profiles import endpoints
    from agentwhere_flow.settings import Profile

    if settings.profile is not Profile.PAPER:
        return []
    public = endpoints(settings)
    sources = {
        Venue.HYPERLIQUID: public.hyperliquid_data,
        Venue.OSTIUM: public.ostium_data,
        Venue.LIGHTER: public.lighter_data,
    }
    return [f"{venue.lower()}={sources[venue]}" for venue in settings.venues if venue in sources]


def code_server(settings: Settings) -> ChildSpec:
    """Our definitions, and the process that runs are started from.

    Not ``dagster code-server start``: that is a process in front of this one, and stays when this one is killed.
    """
    port = str(settings.code_server_port)
    return ChildSpec(
        name="code-server",
        title="Dagster code server",
        command=[
            *(sys.executable, "-m", "dagster", "api", "grpc"),
            *("--host", HOST, "--port", port),
            *("--module-name", "agentwhere_dagster.definitions"),
            *("--location-name", "agentwhere", *_logging(settings)),
            "--use-python-environment-entry-point",
        ],
        is_ready=partial(probes.port_answers, settings.code_server_port),
        stop_rank=2,
        # Runs that are under way come to their end.
        stop_after_s=20.0,
    )


def _logging(settings: Settings) -> tuple[str, ...]:
    """Return how Dagster's own processes are to log."""
    known = ("--log-level", "warning")
    return (*known, "--log-format", "json") if settings.log_format == "json" else known


def webserver(settings: Settings) -> ChildSpec:
    """Show the Dagster UI."""
    return ChildSpec(
        name="webserver",
        title="Dagster UI",
        command=[
            *(sys.executable, "-m", "dagster_webserver", "--host", HOST),
            *("--port", str(settings.dagster_port), "--workspace", str(WORKSPACE)),
            *_logging(settings),
        ],
        is_ready=partial(probes.webserver_answers, settings.dagster_port),
        stop_rank=1,
        orphaned_by=signal.SIGKILL,
    )


def daemon(settings: Settings) -> ChildSpec:
    """Schedules, sensors, the run queue and run monitoring."""
    return ChildSpec(
        name="daemon",
        title="Dagster daemon",
        command=[
            *(sys.executable, "-m", "dagster._daemon", "run"),
            *("--workspace", str(WORKSPACE), *_logging(settings)),
        ],
        is_ready=lambda: bool(
            (state := probes.dagster_state(settings.dagster_port)) and state.is_ready
        ),
        stop_rank=1,
        orphaned_by=signal.SIGKILL,
    )


def api(settings: Settings) -> ChildSpec:
    """Serve the HTTP API and the dashboard."""
    return ChildSpec(
        name="api",
        title="API",
        command=[
            *(sys.executable, "-m", "agentwhere_app", "serve"),
            *("--host", settings.api_host, "--port", str(settings.api_port)),
        ],
        is_ready=partial(probes.api_answers, settings.api_port),
        stop_rank=1,
        stop_after_s=10.0,
    )
