"""Alembic's entry point: work on the connection that `agentwhere_store.migrate` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from agentwhere_store.tables import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=SCHEMA,
    include_schemas=True,
    include_name=lambda name, kind, _parents: kind != "schema" or name == SCHEMA,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
