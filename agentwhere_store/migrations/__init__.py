"""Alembic's revisions of the schema ``agentwhere``; ``__main__`` writes new ones."""
