"""All tables, in the schema ``agentwhere``; constraints carry the invariants.

``ideas`` holds Agent What, ``trading`` Agent How and Agent Where, ``operations`` performance, health and locks,
``arena`` the traders that compete.
"""

from agentwhere_store.tables import arena, ideas, operations, trading
from agentwhere_store.tables.base import SCHEMA, metadata

__all__ = ["SCHEMA", "arena", "ideas", "metadata", "operations", "trading"]
