"""A PostgreSQL server of the home's own: no installation, no account, no port to choose."""

from agentwhere_store.embedded.server import EmbeddedPostgres, ServerAddress, ServerStatus

__all__ = ["EmbeddedPostgres", "ServerAddress", "ServerStatus"]
