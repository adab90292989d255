"""PostgreSQL: tables, migrations, queries by aggregate, and the embedded server."""
