"""Connections: one way to make an engine for our tables, and the URL that Dagster's own storage needs.

Any ``postgresql://`` spelling is accepted. Ours goes through psycopg 3; Dagster's through psycopg2, into a schema of
its own in the same database, so that neither sees the other's tables.
"""

from __future__ import annotations

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError

from agentwhere_core.domain.errors import ConfigurationError

DAGSTER_SCHEMA = "dagster"

_DIALECTS = ("postgresql", "postgres")


def make_engine(
    url: str,
    *,
    pool_size: int = 5,
    max_overflow: int = 15,
    connect_timeout_s: int = 10,
    statement_timeout_s: int = 120,
) -> Engine:
    """Return an engine for our tables. No connection is made yet.

    Parameters
    ----------
    url
        Any PostgreSQL URL; driver names are replaced.
    pool_size, max_overflow
        Connections kept, and how many more may be open at once.
    connect_timeout_s, statement_timeout_s
        Longest wait for a connection and for one statement.

    Raises
    ------
    ConfigurationError
        If the URL is not one of PostgreSQL.
    """
    settings = {
        "timezone": "UTC",
        "statement_timeout": f"{statement_timeout_s}s",
        "idle_in_transaction_session_timeout": "300s",
    }
    return create_engine(
        _with_options(_parse(url).set(drivername="postgresql+psycopg"), settings),
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_pre_ping=True,
        connect_args={"connect_timeout": connect_timeout_s, "application_name": "agentwhere"},
    )


def dagster_url(url: str) -> str:
    """Return ``url`` as Dagster needs it: by psycopg2, in the schema that `migrate` makes for it.

    A bare URL, or one with psycopg 3, makes Dagster fail when it notifies its watchers.
    """
    translated = _parse(url).set(drivername="postgresql+psycopg2")
    return _with_options(translated, {"search_path": DAGSTER_SCHEMA}).render_as_string(
        hide_password=False
    )


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(
            "DATABASE_URL cannot be read: write postgresql://user:password@host:5432/database"
        ) from None
    if parsed.drivername.split("+")[0] not in _DIALECTS:
        raise ConfigurationError(
            f"DATABASE_URL names {parsed.drivername!r}: Agent Where keeps its data in PostgreSQL; "
            "write postgresql://user:password@host:5432/database"
        )
    return parsed


def _with_options(url: URL, settings: dict[str, str]) -> URL:
    """Add server settings to those that the URL already carries; an explicit one of the URL wins."""
    given = url.query.get("options", "")
    present = given if isinstance(given, str) else " ".join(given)
    added = " ".join(f"-c{name}={value}" for name, value in settings.items())
    return url.update_query_dict({"options": f"{added} {present}".strip()})
