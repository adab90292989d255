"""Set-up: bring the database up to date, give it its defaults, and say what else the profile needs.

Safe to run at any time, by any number of processes: what is there already stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from agentwhere_core.domain.enums import RoutingStrategy, Venue
from agentwhere_core.domain.errors import InvariantError
from agentwhere_core.domain.routing import RoutingConfig
from agentwhere_flow.settings import Profile
from agentwhere_store import deployments as deployment_store
from agentwhere_store import routing as routing_store
from agentwhere_store.leases import lease
from agentwhere_store.migrate import MigrationReport, migrate_engine
from agentwhere_store.tables import SCHEMA, metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentwhere_flow.system import System

LEASE = "setup"
LEASE_WAIT_S = 120

DEFAULT_ROUTING = RoutingConfig(
    venue_priority=(Venue.HYPERLIQUID, Venue.OSTIUM, Venue.LIGHTER),
    routing_strategy=RoutingStrategy.FIRST_AVAILABLE,
    failover_enabled=True,
)


@dataclass(frozen=True, slots=True)
class SetupReport:
    """What `setup` did and found, one sentence per line; ``problems`` say what is missing and how to supply it."""

    lines: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is missing."""
        return not self.problems


def setup(system: System, now: datetime) -> SetupReport:
    """Migrate the database, write the default routing configuration where there is none, and verify the rest.

    Raises
    ------
    ConfigurationError
        If the database was written by a newer version.
    InvariantError
        If tables are missing although every migration was applied.
    """
    lines = [_said(migrate_engine(system.engine))]
    holder = system.run_id or "setup"
    with (
        lease(system.engine, LEASE, holder, now, wait_s=LEASE_WAIT_S),
        system.engine.begin() as conn,
    ):
        lines.append(_verify_tables(conn))
        lines.append(_default_routing(conn, now))
        names = [
            account.key_name
            for deployment in deployment_store.deployments(conn)
            for account in deployment.accounts
            if account.is_enabled
        ]
    lines.append(_profile(system))
    problems = [*_missing_tokens(system), *_missing_keys(system, names)]
    lines.append(
        f"keys: {len(names)} accounts, {'all keys' if not problems else 'not all keys'} found"
    )
    return SetupReport(tuple(lines), tuple(problems))


def _said(report: MigrationReport) -> str:
    if not report.applied:
        return f"database: up to date at revision {report.after}"
    return f"database: migrated from {report.before or 'nothing'} to revision {report.after}"


def _verify_tables(conn: Connection) -> str:
    from sqlalchemy import inspect

    wanted = {table.name for table in metadata.tables.values()}
    missing = sorted(wanted - set(inspect(conn).get_table_names(schema=SCHEMA)))
    if missing:
        raise InvariantError(
            f"schema {SCHEMA} lacks {', '.join(missing)} although its migrations are recorded as done: "
            "restore the database from a backup, or drop the schema and set it up anew"
        )
    return f"tables: all {len(wanted)} present in schema {SCHEMA}"


def _default_routing(conn: Connection, now: datetime) -> str:
    config = routing_store.routing_configs(conn).get(None)
    was_there = config is not None
    if config is None:
        config = DEFAULT_ROUTING
        routing_store.put_routing_config(conn, None, config, now, author="setup")
    order = ", ".join(config.venue_priority)
    failover = "on" if config.failover_enabled else "off"
    text = f"{order}; {config.routing_strategy}; failover {failover}"
    return f"routing: {'kept' if was_there else 'wrote the default'}: {text}"


def _profile(system: System) -> str:
    settings = system.settings
    venues = ", ".join(settings.venues)
    if not settings.may_send:
        return f"profile: {settings.profile} on {venues}: no orders leave until AGENTWHERE_LIVE=yes"
    if settings.profile is Profile.LIVE:
        return f"profile: live on {venues}: REAL MONEY"
    return f"profile: {settings.profile} on {venues}; no real money"


def _missing_tokens(system: System) -> Iterator[str]:
    settings = system.settings
    if settings.profile is Profile.SIM:
        return
    if settings.x_bearer_token is None:
        yield "no token for X: set AGENTWHERE_X_BEARER_TOKEN, else X accounts cannot be read"
    if settings.llm_api_key is None:
        yield "no key for the language model: set AGENTWHERE_LLM_API_KEY, else posts stay pending"


def _missing_keys(system: System, names: list[str]) -> Iterator[str]:
    for name in sorted(set(names)):
        if not system.secrets.has(name):
            yield f"no signing key {name!r}: write it with `agentwhere secrets put {name}`"
