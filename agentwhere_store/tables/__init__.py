"""All tables, in the schema ``agentwhere``; constraints carry the invariants.

``ideas`` holds Agent What, ``routing`` and ``trading`` Agent How and Agent Where, ``operations`` performance,
health and locks, ``arena`` the traders that compete, ``access`` the keys of the HTTP API.
"""

from agentwhere_store.tables import access, arena, ideas, operations, routing, trading
from agentwhere_store.tables.base import SCHEMA, metadata

__all__ = ["SCHEMA", "access", "arena", "ideas", "metadata", "operations", "routing", "trading"]
