"""What changed: the tables that triggers announce, once per transaction, as soon as it is committed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from psycopg import AsyncConnection
from sqlalchemy import Engine

CHANNEL = "agentwhere_changes"


async def listen(engine: Engine) -> AsyncIterator[str]:
    """Yield the name of each table that changes from now on; the first item is empty and says that it listens.

    Holds a connection of its own.

    Raises
    ------
    psycopg.OperationalError
        If the connection cannot be made, or is lost.
    """
    _, options = engine.dialect.create_connect_args(engine.url)
    async with await AsyncConnection.connect(
        autocommit=True, **options, connect_timeout=5, application_name="agentwhere changes"
    ) as connection:
        await connection.execute(f"LISTEN {CHANNEL}")
        yield ""
        async for notice in connection.notifies():
            yield notice.payload
