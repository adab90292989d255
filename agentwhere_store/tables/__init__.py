"""All tables, in the schema ``agentwhere``; constraints carry the invariants.

``ideas`` holds Agent What, ``trading`` Agent How and Agent Where, ``operations`` performance, health and locks.
"""

from agentwhere_store.tables import ideas, operations, trading
from agentwhere_store.tables.base import SCHEMA, metadata

__all__ = ["SCHEMA", "ideas", "metadata", "operations", "trading"]
